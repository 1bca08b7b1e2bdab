/**
 * Sends unsent usage when the process is about to end: on `beforeExit`, SIGTERM and SIGINT. Invariant: the process ends
 * as it would have without this, at most {@link EXIT_FLUSH_MS} later. It listens only while usage waits; a signal that
 * nobody else handles is raised again after the flush, and one that the application handles is the application's.
 */

/** How long the end of the process may wait for the server. */
export const EXIT_FLUSH_MS = 2_000;

/** Something with usage to send; resolves when it was sent or cannot be. Must not reject. */
export type Flush = () => Promise<unknown>;

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Whose usage waits now. All clients of the process share one set of listeners, or each would defer to the others. */
const waiting = new Set<Flush>();
/** Tried on `beforeExit` in vain: the process must not be held again and again. */
const tried = new WeakSet<Flush>();
let isListening = false;

/** Flushes by this when the process ends, until {@link dropExitFlush}. Does nothing where there is no Node process. */
export function addExitFlush(flush: Flush): void {
  waiting.add(flush);
  tried.delete(flush);
  if (!isListening) isListening = listen();
}

function listen(): boolean {
  try {
    if (typeof process === "undefined") return false;
    process.on("beforeExit", onBeforeExit);
    // First in line: it takes itself off before others look at who else is listening.
    for (const signal of SIGNALS) process.prependListener(signal, onSignal);
    return true;
  } catch {
    // A `process` without these functions, or whose functions throw, as in Next.js's edge runtime.
    return false;
  }
}

/** Nothing waits any more. */
export function dropExitFlush(flush: Flush): void {
  waiting.delete(flush);
  if (waiting.size === 0) stopListening();
}

function stopListening(): void {
  if (!isListening) return;
  isListening = false;
  process.removeListener("beforeExit", onBeforeExit);
  stopListeningToSignals();
}

function stopListeningToSignals(): void {
  for (const signal of SIGNALS) process.removeListener(signal, onSignal);
}

function onBeforeExit(): void {
  const flushes = Array.from(waiting).filter((flush) => !tried.has(flush));
  for (const flush of flushes) tried.add(flush);
  if (flushes.length > 0) void flushAll(flushes, true);
}

function onSignal(signal: NodeJS.Signals): void {
  stopListeningToSignals();
  const isOurs = process.listenerCount(signal) === 0;
  void flushAll(Array.from(waiting), isOurs).then(() => {
    // Nobody else took it: end as the signal asks. A second signal, meanwhile, has ended the process at once.
    if (isOurs) process.kill(process.pid, signal);
  });
}

/** Resolves when all is sent or the time is up. `holdsProcess`: the process stays for that long. */
function flushAll(flushes: readonly Flush[], holdsProcess: boolean): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, EXIT_FLUSH_MS);
    if (!holdsProcess) timer.unref();
    void Promise.all(flushes.map((flush) => flush())).then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
