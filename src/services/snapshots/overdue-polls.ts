/**
 * Clients that were answered and must come again at once. One that does not has lost its connection, or stands still:
 * there is no parked poll whose end would tell. Cheap where it counts: a kill answers thousands in one turn.
 */
import type { Clock } from "../../clock.ts";
import type { Process } from "../instances/writes.ts";

/** A client polls again within milliseconds of an answer. With what it takes to tell, within 3 s on the board. */
export const OVERDUE_AFTER_MS = 1500;
/** Answers that are remembered; of more than this within that time, the rest is found silent later. */
const AWAITED_MAX = 50_000;

/** A client that was answered: its process, and the number of the sighting that the answer belongs to. */
export interface Answered {
  process: Process;
  sighting: number;
  atMs: number;
}

export class OverduePolls {
  readonly #clock: Clock;
  readonly #overdue: (answered: readonly Answered[]) => void;
  #awaited: Answered[] = [];
  #timer: { cancel(): void } | null = null;

  /** `overdue` is handed each answer once, when its client should have come again. */
  constructor(clock: Clock, overdue: (answered: readonly Answered[]) => void) {
    this.#clock = clock;
    this.#overdue = overdue;
  }

  await(process: Process, sighting: number): void {
    if (this.#awaited.length >= AWAITED_MAX) return;
    this.#awaited.push({ process, sighting, atMs: this.#clock.monotonicMs() });
    this.#timer ??= this.#clock.schedule(OVERDUE_AFTER_MS, () => this.#look());
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#awaited = [];
  }

  #look(): void {
    const dueMs = this.#clock.monotonicMs() - OVERDUE_AFTER_MS;
    const later = this.#awaited.findIndex(({ atMs }) => atMs > dueMs);
    const due = this.#awaited.splice(0, later === -1 ? this.#awaited.length : later);
    const next = this.#awaited[0];
    this.#timer = next === undefined ? null : this.#clock.schedule(next.atMs - dueMs, () => this.#look());
    this.#overdue(due);
  }
}
