/**
 * Slows down who guesses tokens: counts failures per remote address in a fixed window. Only a failed attempt is ever
 * refused by it; a valid token passes however many failures came from the same address.
 */
import type { Clock } from "../../clock.ts";
import type { Deps } from "../../deps.ts";
import { AppError } from "../../errors.ts";

const MAX_FAILURES_PER_WINDOW = 300;
const WINDOW_MS = 60_000;
const MAX_ADDRESSES = 10_000;

export class FailedAttempts {
  readonly #clock: Clock;
  /** In order of the start of their windows, so that the oldest is the first. */
  readonly #windows = new Map<string, { startedMs: number; failures: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts one failure of `address`. Throws RATE_LIMITED when there were too many in this window. */
  count(address: string): void {
    const nowMs = this.#clock.monotonicMs();
    let window = this.#windows.get(address);
    if (window === undefined || nowMs - window.startedMs >= WINDOW_MS) {
      this.#windows.delete(address);
      this.#makeRoom();
      window = { startedMs: nowMs, failures: 0 };
      this.#windows.set(address, window);
    }
    window.failures += 1;
    if (window.failures > MAX_FAILURES_PER_WINDOW) {
      throw new AppError("RATE_LIMITED", "Too many failed attempts from this address; wait and use a valid token.", {
        retryAfterSeconds: Math.ceil((window.startedMs + WINDOW_MS - nowMs) / 1_000),
      });
    }
  }

  #makeRoom(): void {
    const oldest = this.#windows.keys().next();
    if (this.#windows.size >= MAX_ADDRESSES && oldest.done !== true) this.#windows.delete(oldest.value);
  }
}

const perServer = new WeakMap<Deps, FailedAttempts>();

/** The one counter of this server: API and sign-in page share it. */
export function failedAttemptsOf(deps: Deps): FailedAttempts {
  const known = perServer.get(deps);
  if (known !== undefined) return known;
  const created = new FailedAttempts(deps.clock);
  perServer.set(deps, created);
  return created;
}
