/** How big the crowd is: what it does in a time, so what the server has to remember of it. */

export const BOARDS = 10;
/** Clients of a fleet. Each fleet makes place for the next one, every second of them without a goodbye. */
export const CLIENTS = 100;
export const FLAGS = 20;
export const FLAG_KEYS: readonly string[] = Array.from({ length: FLAGS }, (_, n) => `feature-${n}`);
export const GENERATION_MS = 10_000;
export const KILLS_PER_GENERATION = 4;
/** A kill and its restore. */
const CHANGES_PER_GENERATION = 2 * KILLS_PER_GENERATION;
/** A call is reported this often, by one client of the fleet. */
export const REPORT_EVERY_MS = 20;

export const changesIn = (ms: number): number => Math.ceil((ms / GENERATION_MS) * CHANGES_PER_GENERATION);
export const callsIn = (ms: number): number => Math.ceil(ms / REPORT_EVERY_MS);
/** Clients that come, and as many that go. */
export const clientsIn = (ms: number): number => Math.ceil((ms / GENERATION_MS) * CLIENTS);
/** Clients that go without a goodbye. */
export const lostIn = (ms: number): number => clientsIn(ms) / 2;
