/**
 * Responses that the guard makes of those it was given. Invariant: an answer that must not be sent again says so in the
 * one header that the SDK heeds.
 */
import { type ApiError, statusOf } from "./failures.ts";

/** An error body longer than this is cut: the API's own are a few hundred bytes. */
const MAX_ERROR_BODY_BYTES = 65_536;
/** An error whose body takes longer is judged by what came: the status has been told. */
const MAX_ERROR_BODY_MS = 5_000;

type BodyInit = ConstructorParameters<typeof Response>[0];

/**
 * A response like the given one with another body. Its headers are copied here: where `@hono/node-server` 2.1.8 serves, the
 * global `Response` is its own and keeps the ones it is given, which are immutable when they came from `fetch`
 * (findings/hono-node-server-response-shares-headers.sh).
 */
export function rebuilt(response: Response, body: BodyInit | null, status = response.status): Response {
  const { statusText } = response;
  const copy = new Response(body, { status, statusText, headers: new Headers(response.headers) });
  // The constructor cannot set it; callers of `asResponse()` and the SDK's log read it.
  Object.defineProperty(copy, "url", { value: response.url });
  return copy;
}

/** The response with the header by which the SDK is told not to retry. */
export function withoutRetry(response: Response): Response {
  if (response.ok) return response;
  const copy = rebuilt(response, response.body);
  copy.headers.set("x-should-retry", "false");
  return copy;
}

/** An error that came with status 200, with the status that belongs to it: as that the SDK tells and retries it. */
export function asFailure(response: Response, error: ApiError, text: string): Response {
  const copy = rebuilt(response, text, statusOf(error));
  copy.headers.set("content-type", "application/json");
  for (const name of ["content-length", "content-encoding"]) copy.headers.delete(name);
  return copy;
}

/** The body of an error, bounded in bytes and time. */
export async function readBounded(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    void reader.cancel().catch(() => undefined);
  }, MAX_ERROR_BODY_MS);
  try {
    while (bytes <= MAX_ERROR_BODY_BYTES) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      text += decoder.decode(value, { stream: true });
      bytes += value.byteLength;
    }
    await reader.cancel();
    return text;
  } catch (error) {
    if (isLate) return text;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
