/**
 * The breakers of one guard: a model that keeps failing is left out for a while, so that a hanging one costs one wait and
 * not one per call. It needs no server. Invariants: only failures of the provider count; while a breaker is open one call
 * in each pause is let through as a probe, and any success closes it; no timer, so nothing is held.
 */

/** So many failures in a row open a breaker; a model that hung opens it alone. */
const FAILURES_TO_OPEN = 5;
/** Without another model to turn to, calls are refused only after twice as many. */
const FAILURES_TO_SHUT = 2 * FAILURES_TO_OPEN;
/** Failures further apart than this are not in a row. */
const ROW_MS = 60_000;
/** Between probes; doubled by each. */
const FIRST_PAUSE_MS = 5_000;
const MAX_PAUSE_MS = 60_000;
/** Calls name their model: the list of them is bounded, the longest unused goes. */
const MAX_MODELS = 200;

interface Breaker {
  /** Failures since the last success; a hang counts as all that it takes to open. */
  failures: number;
  failedMs: number;
  succeededMs: number;
  openedMs: number;
  pauseMs: number;
  /** When the next probe is due; meaningless while closed. */
  probeMs: number;
}

/** A failure of the provider. All times are monotonic, in milliseconds. */
export interface ProviderFailure {
  startedMs: number;
  nowMs: number;
  /** It did not answer in time, after a connection was made. */
  isHang: boolean;
}

export class Breakers {
  readonly #breakers = new Map<string, Breaker>();
  readonly #isOn: boolean;
  #open = 0;

  /** One that is not on counts nothing, and leaves no model out. */
  constructor(isOn = true) {
    this.#isOn = isOn;
  }

  /** Nothing need be asked while none is open. */
  get hasOpen(): boolean {
    return this.#open > 0;
  }

  /**
   * The models of `models` that may be tried now, in order: closed ones, and before them one that is due for its probe.
   * Are all out, those that have not failed twice as often; empty when there is none.
   */
  admit(models: readonly string[], nowMs: number): string[] {
    const admitted: string[] = [];
    for (const model of models) {
      const breaker = this.#breakers.get(model);
      if (breaker === undefined || breaker.failures < FAILURES_TO_OPEN) admitted.push(model);
      else if (admitted.length === 0 && breaker.probeMs <= nowMs) {
        breaker.probeMs = nowMs + breaker.pauseMs;
        breaker.pauseMs = Math.min(breaker.pauseMs * 2, MAX_PAUSE_MS);
        admitted.push(model);
      }
    }
    if (admitted.length > 0) return admitted;
    return models.filter((model) => (this.#breakers.get(model)?.failures ?? 0) < FAILURES_TO_SHUT);
  }

  succeeded(model: string, nowMs: number): void {
    const breaker = this.#of(model);
    if (breaker.failures >= FAILURES_TO_OPEN) this.#open -= 1;
    breaker.failures = 0;
    breaker.succeededMs = nowMs;
  }

  /** Counts a failure. True when it opens the breaker. */
  failed(model: string, { startedMs, nowMs, isHang }: ProviderFailure): boolean {
    if (!this.#isOn) return false;
    const breaker = this.#of(model);
    const wasOpen = breaker.failures >= FAILURES_TO_OPEN;
    // What began before it opened is part of what opened it.
    if (wasOpen && startedMs < breaker.openedMs) return false;
    if (!wasOpen && nowMs - breaker.failedMs > ROW_MS) breaker.failures = 0;
    // A slow call beside others that were answered meanwhile is no sign that the model hangs.
    breaker.failures += isHang && breaker.succeededMs < startedMs ? FAILURES_TO_OPEN : 1;
    breaker.failedMs = nowMs;
    if (breaker.failures < FAILURES_TO_OPEN) return false;
    if (!wasOpen) {
      this.#open += 1;
      breaker.openedMs = nowMs;
      breaker.pauseMs = FIRST_PAUSE_MS;
    }
    breaker.probeMs = nowMs + breaker.pauseMs;
    return !wasOpen;
  }

  #of(model: string): Breaker {
    const known = this.#breakers.get(model);
    if (known !== undefined) return known;
    for (const [oldest, breaker] of this.#breakers) {
      if (this.#breakers.size < MAX_MODELS) break;
      this.#breakers.delete(oldest);
      if (breaker.failures >= FAILURES_TO_OPEN) this.#open -= 1;
    }
    const made: Breaker = {
      failures: 0,
      failedMs: 0,
      succeededMs: -1,
      openedMs: 0,
      pauseMs: FIRST_PAUSE_MS,
      probeMs: 0,
    };
    this.#breakers.set(model, made);
    return made;
  }
}
