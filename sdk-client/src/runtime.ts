/**
 * What the client takes from the process it runs in: two clocks, timers, chance, the environment. Injected, so that tests own time. Durations are measured on the monotonic clock only; the wall clock
 * serves nothing but HTTP dates.
 */

export interface Runtime {
  /** Unix time in milliseconds; may jump. */
  nowMs(): number;
  /** Milliseconds since some fixed point; never goes back. */
  monotonicMs(): number;
  /** In [0, 1). */
  random(): number;
  /** Calls back once after the delay; returns the canceller. `holdsProcess` keeps the process alive until then. */
  startTimer(callback: () => void, delayMs: number, holdsProcess: boolean): () => void;
  /**
   * True where nothing runs between two requests and what one has begun ends with it, as on Cloudflare Workers: there is no
   * polling in the background, and whoever needs newer state asks for it.
   */
  readonly isRequestBound?: boolean;
}

/** Longest delay that timers take; longer ones would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemRuntime: Runtime = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  random: () => Math.random(),
  isRequestBound: isWorker(),
  startTimer(callback, delayMs, holdsProcess) {
    try {
      const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), MAX_TIMER_MS));
      if (!holdsProcess) unref(timer);
      return () => {
        clearTimeout(timer);
      };
    } catch {
      // Cloudflare Workers have no timers outside of a request: what would have gone by itself is asked for when used.
      return nothing;
    }
  },
};

function isWorker(): boolean {
  const navigator: unknown = Reflect.get(globalThis, "navigator");
  return (
    typeof navigator === "object" && navigator !== null && Reflect.get(navigator, "userAgent") === "Cloudflare-Workers"
  );
}

function nothing(): void {
  // No timer is running.
}

let boot: string | null = null;

/** Tells this process from others that use the same instance name, one before it or one beside it. */
export function bootId(): string {
  boot ??= globalThis.crypto.randomUUID();
  return boot;
}

/** The process environment; empty where there is none. */
export function processEnv(): Readonly<Record<string, string | undefined>> {
  try {
    return typeof process === "undefined" || typeof process.env !== "object" ? {} : process.env;
  } catch {
    // As above.
    return {};
  }
}

/** Timers are objects with `unref` on Node and plain numbers elsewhere. */
function unref(timer: unknown): void {
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function") {
    timer.unref();
  }
}
