/**
 * Why Claude refuses an account, whatever the model: it is out of money, or its key is not accepted. Pure. What each
 * instance sees of it ends when its calls are answered again.
 */

/** `money`: a spend limit is reached. `key`: 401, or a 403 that names no model. */
export type AccountFault = "money" | "key";

/** What records call it, see `errorType` in the client's `guard/trial.ts`. */
export const FAULT_OF: ReadonlyMap<string, AccountFault> = new Map([
  ["billing_error", "money"],
  ["authentication_error", "key"],
]);

/** How far back a look goes: a client that was cut off tells late. */
export const LOOK_BACK_MS = 600_000;
/** What the first seconds bring is told in one alert. */
export const SETTLE_MS = 2_000;
/** Longer than a client waits between two probes, so that one key of several does not end what another keeps up. */
export const QUIET_MS = 30_000;
/** Nobody has called for so long: nothing is known any more. */
export const FORGOTTEN_MS = 3_600_000;

/** One instance whose calls for one flag are refused. */
export interface Refused {
  fault: AccountFault;
  flag: string;
  instance: string;
  /** The first and the last refusal. */
  since: Date;
  lastAt: Date;
}

/** How far a fault reaches. */
export interface Reach {
  flags: string[];
  /** Those that see it, by name, and how many run. */
  instances: string[];
  running: number;
  since: Date;
}

export function reachOf(refused: readonly Refused[], running: number): Reach {
  const instances = [...new Set(refused.map(({ instance }) => instance))].toSorted();
  return {
    flags: [...new Set(refused.map(({ flag }) => flag))].toSorted(),
    instances,
    running: Math.max(running, instances.length),
    since: new Date(Math.min(...refused.map(({ since }) => since.getTime()))),
  };
}

/** Whether most of those that run see it. */
export function isWide({ instances, running }: Pick<Reach, "instances" | "running">): boolean {
  return instances.length * 2 > running;
}

/** Whether the first alert may tell of a fault: the clock of an instance that is ahead does not hold it up. */
export function isSettled(refused: readonly Refused[], fault: AccountFault, nowMs: number): boolean {
  return refused.some((one) => {
    const sinceMs = nowMs - one.since.getTime();
    return one.fault === fault && (sinceMs >= SETTLE_MS || sinceMs < 0);
  });
}

/** Whether what one instance sees is over: `answered` says that a call which began after its last refusal was answered. */
export function isOver({ lastAt }: Refused, answered: boolean, nowMs: number): boolean {
  const quietMs = nowMs - lastAt.getTime();
  return quietMs >= FORGOTTEN_MS || (answered && quietMs >= QUIET_MS);
}
