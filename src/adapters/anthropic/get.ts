/** One GET with the admin key, bounded in time and bytes. A redirect is not followed: the key goes nowhere else. */
import type { Clock } from "../../clock.ts";
import { failureText } from "../notify/failure-text.ts";
import { retryAfterMs } from "../retry-after.ts";

/** From the first byte to the last, names and TLS included. */
const TIMEOUT_MS = 30_000;
const MAX_BODY_BYTES = 32 * 1024 * 1024;
const API_VERSION = "2023-06-01";
/** "Set your User-Agent header" is asked of integrations. */
const USER_AGENT = "andon";

export type Got =
  | { type: "body"; body: unknown }
  | { type: "retry"; error: string; retryAfterMs: number | null }
  | { type: "refused"; error: string };

export async function get(
  clock: Clock,
  { baseUrl, adminKey }: { baseUrl: string; adminKey: string },
  path: string,
  stop: AbortSignal,
): Promise<Got> {
  const timeout = new AbortController();
  const timer = clock.schedule(TIMEOUT_MS, () => timeout.abort());
  try {
    const response = await fetch(`${baseUrl}${path}`, {
      redirect: "manual",
      headers: { "x-api-key": adminKey, "anthropic-version": API_VERSION, "user-agent": USER_AGENT },
      signal: AbortSignal.any([timeout.signal, stop]),
    });
    if (!response.ok) {
      // The status is the answer; that the rest could not be thrown away changes nothing.
      await Promise.allSettled([response.body?.cancel()]);
      return answered(response, clock.nowMs());
    }
    const text = await bounded(response);
    if (text === null) return again(`Claude answered with more than ${MAX_BODY_BYTES / 1024 / 1024} MiB.`);
    return { type: "body", body: JSON.parse(text) };
  } catch (error) {
    // Whatever keeps a report from being read is told on the page, and tried again.
    if (stop.aborted) return again("The server stopped while it asked Claude.");
    if (timeout.signal.aborted) return again(`Claude did not answer within ${TIMEOUT_MS / 1000} s.`);
    if (error instanceof SyntaxError) return again("Claude's answer is not JSON.");
    return again(failureText(error, "Claude's host"));
  } finally {
    timer.cancel();
  }
}

async function bounded(response: Response): Promise<string | null> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) return null;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

const REFUSED: Readonly<Record<number, string>> = {
  401: "Claude answered 401: the key is not an admin key, or was revoked. Make one in the Claude Console under Settings, Admin keys (it begins with sk-ant-admin), and set ANDON_ANTHROPIC_ADMIN_KEY. A key that calls models cannot read reports.",
  403: "Claude answered 403: the key may not read the organisation's reports. It must be an admin key of the organisation; an individual account has none.",
  404: "Claude answered 404: there are no such reports at ANDON_ANTHROPIC_BASE_URL. Clouds and gateways do not have them.",
};

function answered(response: Response, nowMs: number): Got {
  const { status } = response;
  const refused = REFUSED[status];
  if (refused !== undefined) return { type: "refused", error: refused };
  if (status >= 300 && status < 400) {
    const error = `Claude answered ${status}, a redirect, which is not followed. Set ANDON_ANTHROPIC_BASE_URL to where it leads.`;
    return { type: "refused", error };
  }
  if (status === 429)
    return again("Claude answered 429: too many requests with this key.", retryAfterMs(response, nowMs));
  if (status < 500) return again(`Claude answered ${status}: it does not understand the question.`);
  return again(`Claude answered ${status}.`, retryAfterMs(response, nowMs));
}

function again(error: string, afterMs: number | null = null): Got {
  return { type: "retry", error, retryAfterMs: afterMs };
}
