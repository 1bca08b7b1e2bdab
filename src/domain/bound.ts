/**
 * How far a budget can still be overspent: what runs, by its worst case, and what may begin unseen. Pure. Invariant: from
 * what clients have told by a trip, the bill never passes the bound; where one does not tell, the bound says so.
 */
import { NANO_PER_USD, type Budget, effectiveLimitNanoUsd } from "./budget.ts";

/** Of a limit, what calls may begin for between two reports of all clients. */
const CREDIT_SHARE = 0.05;
/** Nothing begins unseen when no more than this share of the limit is left, or what is spent in this time. */
const TIGHT_SHARE = 0.02;
const TIGHT_SECONDS = 2;
/** Clients end a credit 60 s after they made the report; a credit that is older is worth nothing. */
export const CREDIT_COUNTED_MS = 90_000;
/** Clients tell every 5 s what runs: one that has not for so long does not report. */
export const NOT_REPORTING_MS = 15_000;
/** Calls that began untold are told of with the next report: what is unknown of them then is over. */
const UNANSWERED_COUNTED_MS = 30_000;
/** A call ends sooner: what nobody has told of again for so long does not run. */
export const RUNNING_FORGOTTEN_MS = 15 * 60_000;

/** What one process has told last, and the credit it may have. Nano-USD by flag, and by budget id. */
export interface Told {
  toldAtMs: number;
  /** Null: it reports calls of the flag and does not tell what runs. */
  running: Readonly<Record<string, number | null>>;
  /** Granted with the last answer, and with the one before: that one may be the last that has arrived. */
  credits: Readonly<Record<string, number>>;
  creditsBefore: Readonly<Record<string, number>>;
  /** When calls of a flag last began that had not been told of, because no answer came in time. */
  unanswered: Readonly<Record<string, number>>;
}

/** The most that is spent in the end, by what was told when a kill was committed, and how many processes did not tell. */
export interface TripBound {
  nanoUsd: number;
  notReporting: number;
}

export interface Exposure {
  runningNanoUsd: number;
  startCreditsNanoUsd: number;
  /** Processes that do not tell what runs, or have not lately. */
  notReporting: number;
}

/** What the calls under a budget can still cost that the server does not know as spent. */
export function exposureOf(budget: Pick<Budget, "id" | "scope">, told: readonly Told[], nowMs: number): Exposure {
  const sum: Exposure = { runningNanoUsd: 0, startCreditsNanoUsd: 0, notReporting: 0 };
  for (const each of told) {
    const ageMs = nowMs - each.toldAtMs;
    if (ageMs > RUNNING_FORGOTTEN_MS) continue;
    let runs = false;
    let tellsNot = false;
    for (const [flag, nanoUsd] of Object.entries(each.running)) {
      if (!ofScope(budget.scope, flag)) continue;
      if (nanoUsd === null) tellsNot = true;
      else {
        sum.runningNanoUsd += nanoUsd;
        runs ||= nanoUsd > 0;
      }
    }
    const alone = Object.entries(each.unanswered).some(
      ([flag, atMs]) => ofScope(budget.scope, flag) && nowMs - atMs <= UNANSWERED_COUNTED_MS,
    );
    if (tellsNot || alone || (runs && ageMs > NOT_REPORTING_MS)) sum.notReporting += 1;
    if (ageMs > CREDIT_COUNTED_MS) continue;
    sum.startCreditsNanoUsd += Math.max(each.credits[budget.id] ?? 0, each.creditsBefore[budget.id] ?? 0);
  }
  return sum;
}

/** Running sums do not tell models: a budget of one counts all that its flags may run. */
export function ofScope({ flag, tagged }: Budget["scope"], key: string): boolean {
  return (flag === undefined || flag === key) && (tagged === undefined || tagged.includes(key));
}

/** What is spent when the ladder turns its flags off; null for a budget that stops nothing. */
export function stopsAtNanoUsd(
  budget: Pick<Budget, "enforcement" | "ladder" | "limitNanoUsd" | "raises" | "paused">,
  nowMs: number,
): number | null {
  const limit = effectiveLimitNanoUsd(budget, nowMs);
  if (budget.paused || budget.enforcement === "track") return null;
  if (budget.enforcement === "reserve") return limit;
  const kills = budget.ladder.flatMap(({ action, atPercent }) => (action === "kill" ? [atPercent] : []));
  return kills.length === 0 ? null : Math.ceil((limit / 100) * Math.min(...kills));
}

/** The most that is spent in the end: at the trip a bound, before it a forecast at the load of now. */
export function boundNanoUsd(spentNanoUsd: number, stopsAt: number, exposure: Exposure): number {
  return Math.max(spentNanoUsd, stopsAt) + exposure.runningNanoUsd + exposure.startCreditsNanoUsd;
}

/**
 * What one process may begin between two reports, by the worst cases of its calls: nothing near the limit, where each
 * start is told of first. `nanoUsdPerSecond` is what is being spent; `processes` share it.
 */
export function startCreditNanoUsd(
  stopsAt: number,
  given: { spentNanoUsd: number; nanoUsdPerSecond: number; processes: number },
): number {
  const rest = stopsAt - given.spentNanoUsd;
  if (rest <= Math.max(stopsAt * TIGHT_SHARE, given.nanoUsdPerSecond * TIGHT_SECONDS)) return 0;
  return Math.floor(Math.min(stopsAt * CREDIT_SHARE, rest / 2) / Math.max(1, given.processes));
}

/** Why nothing bounds what is spent. */
export type Unbounded = "track" | "paused" | "noKill" | "overridden" | "subjects";

export const UNBOUNDED_WORDS: Readonly<Record<Unbounded, string>> = {
  track: "nothing stops it: this budget only tells",
  paused: "nothing stops it: this budget is paused",
  noKill: "nothing stops it: no step of its ladder turns anything off",
  overridden: "nothing stops it: on-call lets it run",
  subjects: "each user or session is stopped alone",
};

/** A largest amount that is written down. */
export const MAX_BOUND_NANO_USD = 9_000_000 * NANO_PER_USD;
