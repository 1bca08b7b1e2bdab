/**
 * The guard for whatever takes a `fetch`: the Vercel AI SDK (`createAnthropic({ fetch })`), or plain requests to the
 * Claude API. The Anthropic SDK is guarded by `andon-client/anthropic`, as it would retry what this one throws.
 */
import { callKind } from "./guard/endpoints.ts";
import { engine } from "./guard/engine.ts";
import { asError, isGuardError } from "./guard/errors.ts";
import { FetchDoor } from "./guard/fetch-door.ts";
import { type Fetch, type FetchRequest, fetchRequest, sendBy } from "./guard/fetch-request.ts";
import type { GuardHost } from "./guard-host.ts";
import { RETRY_COUNT_HEADER } from "./guard/pass.ts";
import { withTextBody } from "./guard/request.ts";
import { isRetriedBySdk, isRetriedStatus } from "./guard/retry-pause.ts";
import type { GuardOptions } from "./guard/types.ts";

export { FeatureDisabledError, findFeatureDisabled, isFeatureDisabled } from "./feature-disabled-error.ts";
export type { GuardError, GuardErrorCode } from "./guard/errors.ts";
export type { GuardHost, UsageDraft } from "./guard-host.ts";
export type { GuardOptions } from "./guard/types.ts";

/** As often as the Anthropic SDK does it by default. */
const MAX_RETRIES = 2;

export interface GuardFetchOptions extends GuardOptions {
  /** What sends the requests. Default: the global `fetch`. */
  fetch?: Fetch | undefined;
  /** How often a message is asked for again when its only model fails, or its last rate limit is reached. Default 2. */
  maxRetries?: number | undefined;
}

/**
 * A `fetch` that holds every call of the Claude API to what its flag allows. Off: rejects with `FeatureDisabledError`, or
 * answers with the flag's off message, as its `offMode` says. On: sends the first usable model of the flag's chain and
 * steps down on failures. When no model has answered it rejects with an error of code `ANDON_PROVIDER_FAILED` in place of
 * a 408, 409, 429 or 5xx, or of a lost connection, which libraries would try again. Other requests pass as they are.
 */
export function guardFetch(host: GuardHost, options: GuardFetchOptions): Fetch {
  const send = engine(host, options);
  const fetch: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const maxRetries = options.maxRetries ?? MAX_RETRIES;
  const next = (request: FetchRequest): Promise<Response> => sendBy(fetch, request);
  return async (input, init) => {
    const given = fetchRequest(input, init);
    const door = new FetchDoor(given, given.headers.get("andon-flag") ?? options.flag);
    if (callKind(given) !== "message") return send(given, next, door);
    const request = await withTextBody(given);
    for (let retries = 0; ; retries += 1) {
      const isLast = retries >= maxRetries;
      let response: Response;
      try {
        response = await send(retried(request, retries), next, door);
      } catch (thrown) {
        const error = asError(thrown);
        if (isGuardError(error) || door.isCallerGone()) throw thrown;
        if (isLast) throw door.lostBy(error);
        await door.pause(retries);
        continue;
      }
      if (response.ok || !isRetriedStatus(response.status)) return response;
      if (isLast || !isRetriedBySdk(response)) throw await door.failedBy(response);
      await response.body?.cancel();
    }
  };
}

/** The request with headers of its own, which the guard takes its own from, and the count that it and the API know. */
function retried(request: FetchRequest, retries: number): FetchRequest {
  const headers = new Headers(request.headers);
  if (retries > 0) headers.set(RETRY_COUNT_HEADER, String(retries));
  return { ...request, headers };
}
