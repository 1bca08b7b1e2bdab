/**
 * The pause before the SDK's retry, which the guard keeps in its place: the SDK sleeps any `retry-after` up to 24 days and
 * hears neither a kill nor a deadline meanwhile. Invariant: the pause is as long as the SDK's own would have been.
 */
import { rebuilt } from "./answers.ts";

const MAX_TIMER_MS = 2 ** 31 - 1;
/** The SDK's own pause without a header: half a second, doubled by each retry up to 8 s, up to a quarter less. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 8_000;
const JITTER = 0.25;

/** How long the provider asks to wait, in milliseconds; null when it does not say, or nothing that can be kept. */
export function askedPauseMs(headers: Headers, nowMs: number): number | null {
  const inMs = Number.parseFloat(headers.get("retry-after-ms") ?? "");
  if (isPause(inMs)) return inMs;
  const after = headers.get("retry-after");
  if (after === null) return null;
  const seconds = Number.parseFloat(after);
  const ms = Number.isNaN(seconds) ? Date.parse(after) - nowMs : seconds * 1_000;
  return isPause(ms) ? ms : null;
}

function isPause(ms: number): boolean {
  return ms > 0 && ms <= MAX_TIMER_MS;
}

/** The longest pause that the SDK makes by itself after its `retries` retries so far. */
export function ownPauseMs(retries: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** retries, MAX_PAUSE_MS);
}

/** The same with the SDK's jitter. */
export function jitteredPauseMs(retries: number): number {
  return ownPauseMs(retries) * (1 - Math.random() * JITTER);
}

/** True when the SDK would send this call again, if it has retries left. */
export function isRetriedBySdk({ status, headers }: Response): boolean {
  const said = headers.get("x-should-retry");
  if (said !== null) return said === "true";
  return isRetriedStatus(status);
}

/** The statuses that call for another try, to the SDK and to other libraries. */
export function isRetriedStatus(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

/**
 * The response, so that the SDK comes back at once if it has retries left. If it has none it reads the text, to make its
 * error of it, whose headers then are the provider's again.
 */
export function retriedAtOnce(response: Response): Response {
  const copy = rebuilt(response, response.body);
  const asked = copy.headers.get("retry-after-ms");
  const text = copy.text.bind(copy);
  copy.headers.set("retry-after-ms", "1");
  Object.defineProperty(copy, "text", {
    value: () => {
      if (asked === null) copy.headers.delete("retry-after-ms");
      else copy.headers.set("retry-after-ms", asked);
      return text();
    },
  });
  return copy;
}
