/** The wait for a first state. Invariant: a process waits for it once, and no call past its deadline. */
import type { GuardHost } from "../guard-host.ts";

/** How long the first call of a process waits for a first snapshot. */
export const FIRST_STATE_TIMEOUT_MS = 1_000;

const firstStates = new WeakMap<GuardHost, Promise<unknown>>();

/** One wait per host, shared by all first calls; over and done with when it has passed. */
export function firstState(host: GuardHost, deadlineMs: number | undefined): Promise<unknown> {
  const known = firstStates.get(host);
  const wait = known ?? host.ready({ timeoutMs: FIRST_STATE_TIMEOUT_MS });
  if (known === undefined) firstStates.set(host, wait);
  return atMost(deadlineMs, wait);
}

/** Waits for `work`, and not past a call's deadline. */
function atMost(deadlineMs: number | undefined, work: Promise<unknown>): Promise<unknown> {
  if (deadlineMs === undefined || deadlineMs >= FIRST_STATE_TIMEOUT_MS) return work;
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<void>((resolve) => void (timer = setTimeout(resolve, deadlineMs)));
  return Promise.race([work, passed]).finally(() => clearTimeout(timer));
}
