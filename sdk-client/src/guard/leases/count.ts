/**
 * Asks the API how many tokens a prompt has, where its bytes bound it too loosely. The endpoint is free, and has rate limits
 * of its own: after a failure nobody asks for a while. Invariant: it never rejects, and is over within its time.
 */
import { isObject, parseObject } from "../../wire/json.ts";
import type { Body } from "../request.ts";
import type { RequestLike } from "../types.ts";

const TIMEOUT_MS = 1_500;
const PAUSE_MS = 5_000;
const MESSAGES_PATH = /\/v1\/messages(?=\?|$)/;
/** What it takes of a message request (SDK 1.11.0, `MessageCountTokensParams` and its beta); the rest is an error there. */
const FIELDS = [
  "cache_control",
  "context_management",
  "mcp_servers",
  "messages",
  "model",
  "output_config",
  "output_format",
  "speed",
  "system",
  "thinking",
  "tool_choice",
  "tools",
] as const;
/** "Token count should be considered an estimate": https://platform.claude.com/docs/en/build-with-claude/token-counting */
const MARGIN_SHARE = 0.05;
const MARGIN_TOKENS = 200;

export class TokenCounter {
  #pausedUntilMs = 0;

  /** The prompt's tokens with a margin; null when that cannot be had. Stops with `signal`. */
  async count<R extends RequestLike>(
    request: R,
    next: (request: R) => Promise<Response>,
    body: Body,
    signal: AbortSignal,
  ): Promise<number | null> {
    const { url } = request;
    if (performance.now() < this.#pausedUntilMs || !MESSAGES_PATH.test(url)) return null;
    const counted: Record<string, unknown> = {};
    for (const field of FIELDS) if (body[field] !== undefined) counted[field] = body[field];
    const own = new AbortController();
    const stop = (): void => own.abort();
    const timer = setTimeout(stop, TIMEOUT_MS);
    signal.addEventListener("abort", stop, { once: true });
    try {
      const headers = new Headers(request.headers);
      headers.delete("content-length");
      const asking: R = { ...request, url: url.replace(MESSAGES_PATH, "/v1/messages/count_tokens"), headers };
      const written: RequestLike = asking;
      written.body = JSON.stringify(counted);
      written.signal = own.signal;
      const response = await next(asking);
      const tokens = response.ok ? readTokens(await response.text()) : null;
      if (!response.ok) await response.body?.cancel();
      if (tokens === null) this.#pause();
      return tokens === null ? null : Math.ceil(tokens * (1 + MARGIN_SHARE)) + MARGIN_TOKENS;
    } catch {
      // What it would have told is bounded by the bytes instead, or the call is refused in words.
      if (!signal.aborted) this.#pause();
      return null;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }

  #pause(): void {
    this.#pausedUntilMs = performance.now() + PAUSE_MS;
  }
}

function readTokens(text: string): number | null {
  const answer = parseObject(text);
  const tokens = isObject(answer) ? answer["input_tokens"] : undefined;
  return typeof tokens === "number" && tokens > 0 ? tokens : null;
}
