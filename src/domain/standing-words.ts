/**
 * Since when, by whom and why a flag is as it is: the one wording for pages, command line and alerts. Each renders the
 * parts its own way: times as local or UTC, names in bold or in quotes.
 */

/** What the words are made from; of an older or newer server a kind may be unknown. */
export interface StandingFacts {
  since: string;
  heldSince: string | null;
  began: string | null;
  cause: CauseFacts;
}

export interface CauseFacts {
  kind: string;
  by: string | null;
  reason: string | null;
  at: string | null;
  until: string | null;
  budget: { id: string; name: string } | null;
  atPercent: number | null;
  models: readonly string[];
}

export type Word =
  | string
  | { type: "at"; at: string }
  /** Between two statements. */
  | { type: "and" }
  | { type: "reason"; reason: string }
  | { type: "budget"; name: string }
  | { type: "model"; model: string }
  | { type: "until"; at: string };

/** " since 01:00 (budget), held by hand since 02:00 by maria — leak · until 03:00". */
export function standingWords(standing: StandingFacts): Word[] {
  const { since, heldSince, began, cause } = standing;
  const words: Word[] = [" since ", { type: "at", at: since }];
  if (heldSince === null) return [...words, ...how(cause, since), ...until(cause)];
  const first = began === null ? undefined : BEGAN[began];
  if (first !== undefined) words.push(` (${first})`);
  return [...words, ...held(cause, heldSince), ...until(cause)];
}

/** Who let a budget go over its limit: the end of a sentence that begins with the budget. */
export function overWords(cause: CauseFacts): Word[] {
  return how(cause, null);
}

const BEGAN: Readonly<Record<string, string>> = {
  MASTER: "master switch",
  KILLED: "by hand",
  LEVEL: "by hand",
  TRIPPED: "budget",
  NO_MODEL: "no usable model",
  BLOCK: "block",
  BREAKER: "breaker",
};

/** The cause, where it is not younger than the state: its own time is told when that differs. */
function how(cause: CauseFacts, since: string | null): Word[] {
  const { kind, budget, atPercent } = cause;
  const name: Word = { type: "budget", name: budget?.name ?? "" };
  const and: Word = { type: "and" };
  switch (kind) {
    case "MASTER":
      return [" by the master switch", cause.by === null ? "" : `, ${cause.by}`, ...why(cause)];
    case "TRIPPED":
      return [and, "budget ", name, ` reached ${atPercent ?? 100} %`];
    case "NO_MODEL":
      return [and, "every model of its chain is blocked", ...last(cause), ...why(cause)];
    case "BLOCK":
      return [
        and,
        ...models(cause),
        cause.models.length === 1 ? " is blocked" : " are blocked",
        ...last(cause),
        ...why(cause),
      ];
    case "BREAKER":
      return [and, "a breaker took out ", ...models(cause), ...why(cause)];
    case "OVERRIDE":
      return [and, `${cause.by ?? "somebody"} restored it over budget `, name, ...moment(cause, since), ...why(cause)];
    case "RAISE_ENDED":
      return [and, "the raise of budget ", name, cause.by === null ? "" : ` by ${cause.by}`, " has ended"];
    case "TRACK":
      return [and, "budget ", name, " only tracks"];
    case "NO_KILL":
      return [and, "budget ", name, atPercent === null ? " turns nothing off" : ` turns it off only at ${atPercent} %`];
    default:
      return whoAndWhy(cause);
  }
}

/** The cause, where it came later than the state. */
function held(cause: CauseFacts, heldSince: string): Word[] {
  const at: Word = { type: "at", at: heldSince };
  switch (cause.kind) {
    case "MASTER":
      return [", held by the master switch since ", at, cause.by === null ? "" : `, ${cause.by}`, ...why(cause)];
    case "TRIPPED":
      return [", held by budget ", { type: "budget", name: cause.budget?.name ?? "" }, " since ", at];
    case "NO_MODEL":
    case "BLOCK":
      return [", held by the block of ", ...models(cause), " since ", at, ...whoAndWhy(cause)];
    case "BREAKER":
      return [", held by the breaker of ", ...models(cause), " since ", at, ...why(cause)];
    case "KILLED":
    case "LEVEL":
    case "RAMP":
      return [", held by hand since ", at, ...whoAndWhy(cause)];
    default:
      return how(cause, null);
  }
}

/** More models than these are counted. */
const SHOWN_MODELS = 2;

function models({ models: blocked }: CauseFacts): Word[] {
  const more = blocked.length - SHOWN_MODELS;
  const words = blocked
    .slice(0, SHOWN_MODELS)
    .flatMap((model, position): Word[] => [position === 0 ? "" : more > 0 ? ", " : " and ", { type: "model", model }]);
  return more > 0 ? [...words, ` and ${more} more`] : words;
}

/** Of several blocks the one that came last has moved it. */
function last({ models: blocked, by }: CauseFacts): Word[] {
  if (by === null) return [];
  return [blocked.length > 1 ? `, the last by ${by}` : ` by ${by}`];
}

function moment({ at }: CauseFacts, since: string | null): Word[] {
  return at === null || at === since ? [] : [" at ", { type: "at", at }];
}

function whoAndWhy(cause: CauseFacts): Word[] {
  return [cause.by === null ? "" : ` by ${cause.by}`, ...why(cause)];
}

function why({ reason }: CauseFacts): Word[] {
  return reason === null ? [] : [{ type: "reason", reason }];
}

/** An override ends with the window, which its budget says. */
function until({ until: at, kind }: CauseFacts): Word[] {
  return at === null || OF_BUDGETS.has(kind) ? [] : [{ type: "until", at }];
}

const OF_BUDGETS: ReadonlySet<string> = new Set(["OVERRIDE", "RAISE_ENDED", "TRACK", "NO_KILL"]);
