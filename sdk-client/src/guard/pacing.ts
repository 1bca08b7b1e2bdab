/**
 * Pacing of work that can wait (`pace`): it holds its calls back while little is left of a model's rate limit, as the
 * `anthropic-ratelimit-*` headers of the last answers tell, so that what a person waits for finds room. Invariant: a wait
 * ends by itself, and at once by the caller, the deadline and any change of the flag.
 */
import { aborted } from "./errors.ts";
import { askedPauseMs } from "./retry-pause.ts";

/** The share of each limit that work that can wait leaves to others. */
const LEFT_SHARE = 0.2;
/** A limit is full again after a minute (token bucket, https://platform.claude.com/docs/en/api/rate-limits); a header that says more is not believed. */
const MAX_RESET_MS = 120_000;
const DEFAULT_RESET_MS = 60_000;
/** A call that was held back for so long is sent: others may use up all there is. */
const MAX_WAIT_MS = 300_000;
const MIN_SLEEP_MS = 20;
/** Models whose limits are remembered; an environment uses a handful. */
const MAX_MODELS = 100;

/** `tokens` is what older answers tell in place of the two after it. */
const KINDS = ["requests", "tokens", "input-tokens", "output-tokens"] as const;
type Kind = (typeof KINDS)[number];

/** One limit as an answer told it, and what this process has sent since. */
interface Told {
  limit: number;
  remaining: number;
  atMs: number;
  /** How much comes back in a millisecond. */
  perMs: number;
  sent: number;
}

interface ModelLimits {
  kinds: Map<Kind, Told>;
  /** Monotonic time before which the API asked not to come again. */
  notBeforeMs: number;
}

export class Pacer {
  readonly #models = new Map<string, ModelLimits>();

  /** Takes note of an answer of the model. Times are monotonic; `wallMs` is what reset times are told by. */
  note(model: string, headers: Headers, nowMs: number, wallMs: number): void {
    const known = this.#models.get(model);
    if (known === undefined && this.#models.size >= MAX_MODELS) return;
    const limits = known ?? { kinds: new Map<Kind, Told>(), notBeforeMs: 0 };
    for (const kind of KINDS) {
      const told = read(headers, kind, nowMs, wallMs);
      if (told !== null) limits.kinds.set(kind, told);
    }
    const pauseMs = headers.has("retry-after") ? askedPauseMs(headers, wallMs) : null;
    if (pauseMs !== null) limits.notBeforeMs = nowMs + Math.min(pauseMs, MAX_RESET_MS);
    if (known === undefined && (limits.kinds.size > 0 || pauseMs !== null)) this.#models.set(model, limits);
  }

  /** How long a call of so many tokens has to wait now, in milliseconds; 0: it may go, and {@link sent} is to be told. */
  waitMs(model: string, promptTokens: number, nowMs: number): number {
    const limits = this.#models.get(model);
    if (limits === undefined) return 0;
    let waitMs = Math.max(0, limits.notBeforeMs - nowMs);
    for (const [kind, told] of limits.kinds) {
      const missing = Math.min(told.limit, told.limit * LEFT_SHARE + needOf(kind, promptTokens)) - leftOf(told, nowMs);
      if (missing > 0) waitMs = Math.max(waitMs, missing / told.perMs);
    }
    return waitMs;
  }

  /** A call goes: what it needs is no longer left, until an answer tells. */
  sent(model: string, promptTokens: number): void {
    for (const [kind, told] of this.#models.get(model)?.kinds ?? []) told.sent += needOf(kind, promptTokens);
  }
}

export interface PacedCall {
  /** The model that would be sent now, by the name it is known by; null when none would be. Asked again after each change. */
  model(): string | null;
  promptTokens: number;
  signal: AbortSignal | null | undefined;
  /** Monotonic; the wait is over then, whatever is left. */
  deadlineMs: number;
  /** Calls back after every change of state. Returns the unsubscriber. */
  onChange(listener: () => void): () => void;
}

/** Resolves when the call may be decided and sent. Rejects as `fetch` does when its signal aborts. */
export async function waitForRoom(pacer: Pacer, call: PacedCall): Promise<void> {
  const endMs = performance.now() + MAX_WAIT_MS;
  for (;;) {
    if (call.signal?.aborted === true) throw aborted();
    const model = call.model();
    if (model === null) return;
    const nowMs = performance.now();
    if (nowMs >= call.deadlineMs) return;
    const waitMs = nowMs >= endMs ? 0 : pacer.waitMs(model, call.promptTokens, nowMs);
    if (waitMs <= 0) {
      pacer.sent(model, call.promptTokens);
      return;
    }
    await sleep(Math.min(Math.max(waitMs, MIN_SLEEP_MS), Math.min(call.deadlineMs, endMs) - nowMs), call);
  }
}

/** Until the time is up, the signal aborts or something changes. */
function sleep(ms: number, { signal, onChange }: Pick<PacedCall, "signal" | "onChange">): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(wake, ms);
    const unsubscribe = onChange(wake);
    signal?.addEventListener("abort", wake, { once: true });
    function wake(): void {
      clearTimeout(timer);
      unsubscribe();
      signal?.removeEventListener("abort", wake);
      resolve();
    }
  });
}

/** How much is left by now. */
function leftOf({ limit, remaining, atMs, perMs, sent }: Told, nowMs: number): number {
  return Math.min(limit, remaining + (nowMs - atMs) * perMs - sent);
}

/** Of output nothing is known before; one more token than is left to others has to be there. */
function needOf(kind: Kind, promptTokens: number): number {
  return kind === "requests" || kind === "output-tokens" ? 1 : promptTokens;
}

function read(headers: Headers, kind: Kind, nowMs: number, wallMs: number): Told | null {
  const limit = numberIn(headers, `anthropic-ratelimit-${kind}-limit`);
  const remaining = numberIn(headers, `anthropic-ratelimit-${kind}-remaining`);
  if (limit === null || remaining === null || limit <= 0) return null;
  const resetInMs = Date.parse(headers.get(`anthropic-ratelimit-${kind}-reset`) ?? "") - wallMs;
  const isTold = remaining < limit && resetInMs > 0;
  const perMs = isTold ? (limit - remaining) / Math.min(resetInMs, MAX_RESET_MS) : limit / DEFAULT_RESET_MS;
  return { limit, remaining, atMs: nowMs, perMs, sent: 0 };
}

function numberIn(headers: Headers, name: string): number | null {
  const value = Number(headers.get(name) ?? Number.NaN);
  return Number.isFinite(value) && value >= 0 ? value : null;
}

const byHost = new WeakMap<object, Pacer>();

/** The answers of all guards of this host are read for their rate limits from now on. */
export function paceBy(host: object): void {
  if (!byHost.has(host)) byHost.set(host, new Pacer());
}

/** The pacer of a host; null where no guard paces. */
export function pacerOf(host: object): Pacer | null {
  return byHost.get(host) ?? null;
}
