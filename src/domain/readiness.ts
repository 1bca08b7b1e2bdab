/**
 * A flag's checklist before launch, computed from what is known and never ticked by hand. Pure. Invariant: what Andon
 * cannot see is "unknown", with where to look; nothing is taken to be well because nothing was heard.
 */

export const READINESS_STATES = ["ok", "missing", "unknown"] as const;
export type ReadinessState = (typeof READINESS_STATES)[number];

export interface ReadinessLine {
  /** Names the check for machines. */
  check: string;
  /** What is checked, in words. */
  title: string;
  state: ReadinessState;
  /** What is so. */
  says: string;
  /** What to do about it; null when there is nothing to do. */
  todo: string | null;
}

export interface ReadinessFacts {
  nowMs: number;
  liveInstances: number;
  evaluatedAtMs: number | null;
  guardedAtMs: number | null;
  /** Of the budgets that all its calls count against and that are not paused: whether one has a step that alerts. */
  budgets: readonly { name: string; alerts: boolean }[];
  /** Channels that hear of an incident at once. */
  channels: readonly { name: string; testedAtMs: number | null; result: string | null }[];
  /** The newest drill that came to an end, and the newest that was proven. */
  lastDrill: { state: string; atMs: number } | null;
  provenAtMs: number | null;
  /** Output prices of its chain's steps, null for a step without a price. */
  stepPrices: readonly (number | null)[];
  hasLimits: boolean;
  hasCaps: boolean;
  offMode: "error" | "message";
  offMessage: string | null;
  owner: string;
  runbookUrl: string | null;
  /** Titles of open incidents of failing or slow calls that name it. */
  failing: readonly string[];
}

const DAY_MS = 24 * 3_600_000;
/** What was seen so long ago says nothing of today. */
const WIRED_MS = 7 * DAY_MS;
/** A drill and a channel's test are good for a quarter. */
export const QUARTER_MS = 92 * DAY_MS;

/** The lines in the order in which one would mend them. */
export function readiness(facts: ReadinessFacts): ReadinessLine[] {
  return [
    wired(facts),
    counted(facts),
    proven(facts),
    budget(facts),
    channel(facts),
    fallback(facts),
    limits(facts),
    caps(facts),
    content(),
    offAnswer(facts),
    owned(facts),
    calls(facts),
  ];
}

type Verdict = Omit<ReadinessLine, "check" | "title">;
const ok = (says: string): Verdict => ({ state: "ok", says, todo: null });
const missing = (says: string, todo: string): Verdict => ({ state: "missing", says, todo });
const unknown = (says: string, todo: string): Verdict => ({ state: "unknown", says, todo });

function wired({ nowMs, liveInstances, evaluatedAtMs }: ReadinessFacts): ReadinessLine {
  const line = { check: "wired", title: "An application asks for it" };
  const todo = "Guard the application's client with this flag's key, and send one call.";
  if (evaluatedAtMs === null) return { ...line, ...missing("No application has asked for it yet.", todo) };
  if (nowMs - evaluatedAtMs > WIRED_MS)
    return { ...line, ...unknown(`It was last asked for ${ago(nowMs - evaluatedAtMs)}.`, todo) };
  if (liveInstances === 0) return { ...line, ...unknown("No instance is connected now.", "Start the application.") };
  return { ...line, ...ok(`Asked for ${ago(nowMs - evaluatedAtMs)}.`) };
}

function counted({ nowMs, guardedAtMs }: ReadinessFacts): ReadinessLine {
  const line = { check: "usage", title: "Its calls are guarded and counted" };
  const todo = "Guard the client that makes the calls: only then a kill ends running ones and their cost is known.";
  if (guardedAtMs === null) return { ...line, ...missing("No guarded call was seen.", todo) };
  if (nowMs - guardedAtMs > WIRED_MS)
    return { ...line, ...unknown(`The last guarded call was ${ago(nowMs - guardedAtMs)}.`, todo) };
  return { ...line, ...ok(`The last guarded call was ${ago(nowMs - guardedAtMs)}.`) };
}

function proven({ nowMs, lastDrill, provenAtMs }: ReadinessFacts): ReadinessLine {
  const line = { check: "killSwitch", title: "Its kill switch is proven" };
  const todo = "Run a drill.";
  if (lastDrill === null) return { ...line, ...missing("No drill was run yet.", todo) };
  if (provenAtMs === null)
    return { ...line, ...missing("No drill has proven it.", "See who did not answer, then drill.") };
  if (lastDrill.state === "unproven" && lastDrill.atMs > provenAtMs)
    return { ...line, ...missing("The last drill has not proven it.", "See who did not answer, then drill again.") };
  const age = ago(nowMs - provenAtMs);
  return nowMs - provenAtMs > QUARTER_MS
    ? { ...line, ...missing(`Last proven ${age}, more than a quarter.`, todo) }
    : { ...line, ...ok(`Last proven ${age}.`) };
}

function budget({ budgets }: ReadinessFacts): ReadinessLine {
  const line = { check: "budget", title: "It has a budget that alerts" };
  const [first] = budgets;
  if (first === undefined) return { ...line, ...missing("No budget counts its calls.", "Give it a budget.") };
  const alerting = budgets.find(({ alerts }) => alerts);
  return alerting === undefined
    ? { ...line, ...missing(`Budget ${first.name} has no step that alerts.`, "Add a step to its ladder.") }
    : { ...line, ...ok(`Budget ${alerting.name}.`) };
}

function channel({ nowMs, channels }: ReadinessFacts): ReadinessLine {
  const line = { check: "channel", title: "Alerts reach somebody, tested this quarter" };
  if (channels.length === 0)
    return { ...line, ...missing("No channel hears of incidents.", "Add a channel and test it.") };
  const tested = channels.find(({ testedAtMs }) => testedAtMs !== null && nowMs - testedAtMs <= QUARTER_MS);
  if (tested === undefined)
    return { ...line, ...unknown("No channel was tested this quarter.", "Press Test on the page Channels.") };
  const arrived = channels.find(
    ({ testedAtMs, result }) =>
      testedAtMs !== null && nowMs - testedAtMs <= QUARTER_MS && result?.startsWith("Delivered") === true,
  );
  return arrived === undefined
    ? { ...line, ...missing(`The test of ${tested.name} failed.`, "Mend the channel and test it again.") }
    : { ...line, ...ok(`${arrived.name} took a test.`) };
}

function fallback({ stepPrices }: ReadinessFacts): ReadinessLine {
  const line = { check: "fallback", title: "It can step down to a cheaper model" };
  const todo = "Give it a chain that ends in a cheaper model.";
  if (stepPrices.length < 2) return { ...line, ...missing("There is no step to go down to.", todo) };
  const [first = null] = stepPrices;
  const last = stepPrices.at(-1) ?? null;
  if (first === null || last === null)
    return { ...line, ...unknown("A model of its chain has no price.", "Add the price on the page Prices.") };
  return last < first
    ? { ...line, ...ok("The last step of its chain is cheaper than the first.") }
    : { ...line, ...missing("The last step of its chain is not cheaper than the first.", todo) };
}

function limits({ hasLimits }: ReadinessFacts): ReadinessLine {
  const line = { check: "limits", title: "Its calls are limited" };
  return hasLimits
    ? { ...line, ...ok("It limits how many calls are made.") }
    : {
        ...line,
        ...missing("Nothing limits how many calls are made.", "Set limits for all calls, a user or a session."),
      };
}

function caps({ hasCaps }: ReadinessFacts): ReadinessLine {
  const line = { check: "caps", title: "The size of a call is bounded" };
  return hasCaps
    ? { ...line, ...ok("A request or its answer has a largest size.") }
    : { ...line, ...missing("Requests and answers may be of any size.", "Set a largest input or max_tokens.") };
}

function content(): ReadinessLine {
  const says = "Andon never sees content, so it cannot tell.";
  return {
    check: "content",
    title: "Input and output are checked",
    ...unknown(says, "Check what users send and what is shown to them in the application."),
  };
}

function offAnswer({ offMode, offMessage }: ReadinessFacts): ReadinessLine {
  const line = { check: "offAnswer", title: "People see something sensible while it is off" };
  if (offMode === "error")
    return {
      ...line,
      ...unknown(
        "A call gets FeatureDisabledError; what the application makes of it is not known.",
        "See it in a drill, or answer with an off message.",
      ),
    };
  return offMessage === null || offMessage.trim() === ""
    ? { ...line, ...missing("It answers with a message, and has none.", "Write the off message.") }
    : { ...line, ...ok("A call gets its off message.") };
}

function owned({ owner, runbookUrl }: ReadinessFacts): ReadinessLine {
  const line = { check: "owner", title: "It has an owner and a runbook" };
  const lacks = [...(owner === "" ? ["an owner"] : []), ...(runbookUrl === null ? ["a runbook"] : [])].join(" and ");
  return lacks === ""
    ? { ...line, ...ok(`${owner}.`) }
    : { ...line, ...missing(`It lacks ${lacks}.`, `Give it ${lacks}.`) };
}

function calls({ failing, guardedAtMs, nowMs }: ReadinessFacts): ReadinessLine {
  const line = { check: "calls", title: "Its calls neither fail nor crawl" };
  const [first] = failing;
  if (first !== undefined) return { ...line, ...missing(first, "See the incident.") };
  return guardedAtMs === null || nowMs - guardedAtMs > WIRED_MS
    ? { ...line, ...unknown("No calls were seen of late.", "Guard its calls.") }
    : { ...line, ...ok("No watch tells of failing or slow calls.") };
}

/** "today", "yesterday", "12 days ago". */
export function ago(ms: number): string {
  const days = Math.floor(Math.max(0, ms) / DAY_MS);
  if (days === 0) return "today";
  return days === 1 ? "yesterday" : `${String(days)} days ago`;
}
