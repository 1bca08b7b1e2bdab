/**
 * The breaker of a model for the whole fleet: what counts, when it takes the model out, how it probes and how it comes
 * back by itself. Pure. Invariant: only what the provider did wrong counts against a model; an application's own network,
 * its own bugs and our own refusals never do.
 */
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";

/** The span of time that a trip looks at. */
export const WINDOW_MS = 60_000;
/** Fewer calls than these say nothing. */
export const MIN_CALLS = 20;
/** Fewer instances than these may share one broken network. */
export const MIN_INSTANCES = 3;
/** How long a model is out before it is probed; doubled each time that the probes fail. */
export const FIRST_WAIT_MS = 30_000;
export const MAX_WAIT_MS = 300_000;
/** How many calls of the whole fleet should probe in a minute. */
export const PROBES_PER_MINUTE = 20;
/** So many probes decide; of them so many failures are too many. */
export const PROBES_TO_DECIDE = 5;
export const FAILED_PROBES_TO_OPEN = 2;
/** The share of calls that probes is set anew when it is off by this factor, at most once in a window. */
const SHARE_OFF_BY = 2;

/** What an attempt says of its model; null for nothing. */
export type Counted = "answered" | "failed" | null;

/** Errors that the API tells of in a stream, and the limits of an attempt that began. */
const PROVIDER_ERRORS: ReadonlySet<string> = new Set(["overloaded_error", "api_error", "timeout_error", "timeout"]);

export function counted({
  outcome,
  status,
  errorType,
}: Pick<UsageRecord, "outcome" | "status" | "errorType">): Counted {
  switch (outcome) {
    case "ok":
    // The model's own refusal is an answer.
    case "refused":
      return "answered";
    case "aborted":
      return null;
    case "error":
      if (status !== undefined && status >= 500) return "failed";
      // 4xx: the caller, the account or a rate limit.
      if (status !== undefined && status >= 400) return null;
      return errorType !== undefined && PROVIDER_ERRORS.has(errorType) ? "failed" : null;
  }
}

/** Calls of one model in the window, over all instances. */
export interface FleetCalls {
  calls: number;
  failures: number;
  /** Instances that called it, and those of which more than half of the calls failed. */
  instances: number;
  failingInstances: number;
}

/** True when most calls fail on most instances, and there are enough of both to tell. */
export function breaches({ calls, failures, instances, failingInstances }: FleetCalls): boolean {
  if (calls < MIN_CALLS || instances < MIN_INSTANCES) return false;
  return failures * 2 > calls && failingInstances * 2 > instances;
}

/** Why a model was taken out: "31 of 40 calls failed on 5 of 5 instances in 60 s". */
export function whyOut({ calls, failures, instances, failingInstances }: FleetCalls): string {
  const seconds = WINDOW_MS / 1_000;
  return `${failures} of ${calls} calls failed on ${failingInstances} of ${instances} instances in ${seconds} s`;
}

/** A model that is out. */
export type BreakerState =
  | { state: "open"; probeAt: Date }
  /** That share of the calls that would use it does. `since` is when its probes began, or the share was set. */
  | { state: "probing"; probeShare: number; since: Date }
  /** On-call lets it run: it is in use, and is not taken out again before it has recovered. */
  | { state: "overridden"; since: Date };

export type Breaker = BreakerState & {
  /** How many times in a row its probes have failed. */
  rounds: number;
};

/** What is known of the model now. */
export interface Seen {
  /** In the window. */
  fleet: FleetCalls;
  /** Calls that were decided after the probing began. */
  probes: { answered: number; failed: number };
  /** Calls in the last window that would have used it. */
  wanted: number;
}

/** What to do about a model that is out; null for nothing. */
export type BreakerMove =
  | { to: "open"; probeAt: Date; rounds: number }
  | { to: "probing"; probeShare: number; isFirst: boolean }
  | { to: "closed" }
  | null;

export function nextMove(breaker: Breaker, seen: Seen, now: Date): BreakerMove {
  switch (breaker.state) {
    case "open":
      if (now < breaker.probeAt) return null;
      return { to: "probing", probeShare: shareOf(seen.wanted), isFirst: true };
    case "probing":
      return afterProbes(breaker, seen, now);
    case "overridden": {
      if (now.getTime() - breaker.since.getTime() < WINDOW_MS) return null;
      return seen.fleet.failures * 2 > seen.fleet.calls ? null : { to: "closed" };
    }
  }
}

function afterProbes(breaker: Breaker & { state: "probing" }, { probes, wanted }: Seen, now: Date): BreakerMove {
  if (probes.failed >= FAILED_PROBES_TO_OPEN) {
    const rounds = breaker.rounds + 1;
    return { to: "open", probeAt: new Date(now.getTime() + waitMs(rounds)), rounds };
  }
  if (probes.answered + probes.failed >= PROBES_TO_DECIDE) return { to: "closed" };
  // Traffic changes: with a share of noon nobody would probe at night.
  if (now.getTime() - breaker.since.getTime() < WINDOW_MS) return null;
  const probeShare = shareOf(wanted);
  const off = probeShare / breaker.probeShare;
  return off >= SHARE_OFF_BY || off <= 1 / SHARE_OFF_BY ? { to: "probing", probeShare, isFirst: false } : null;
}

/** How long it is out before it is probed (again), after so many failed probings. */
export function waitMs(rounds: number): number {
  return Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(rounds, 16));
}

/** So that about {@link PROBES_PER_MINUTE} of the calls of a window probe. */
function shareOf(wanted: number): number {
  const probes = (PROBES_PER_MINUTE * WINDOW_MS) / 60_000;
  return Math.min(0.5, probes / Math.max(1, wanted));
}
