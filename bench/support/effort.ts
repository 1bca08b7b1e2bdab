/**
 * How hard a bench tries. `full` gives the figures of README.md; `quick` only shows that the bench runs, in a few
 * seconds, and its figures mean nothing.
 */
import type { Workload } from "../overshoot/protocol.ts";

export interface Effort {
  readonly isQuick: boolean;
  /** How long ours is loaded, when asked for: to see that it stays as it is. Null: as long as a figure needs. */
  readonly seconds: number | null;
  /** Of `overshoot`: a file of calls to replay, whether processes are killed at random, and which workloads; null: all. */
  readonly trace: string | null;
  readonly kills: boolean;
  readonly workloads: readonly Workload[] | null;
  /** Progress for a person, on stderr. */
  say(text: string): void;
}

/** The first value on a full run, the second on a quick one. */
export function by<T>(effort: Effort, full: T, quick: T): T {
  return effort.isQuick ? quick : full;
}
