/**
 * What callers get in place of an answer: of a flag that is off, of models that failed, and of an answer that the application's
 * check refuses. Invariants: a guard without these options does nothing here; the application's check and cache are never
 * waited for without a bound, and a cache that fails costs no call.
 */
import type { DecidedRequest } from "./decided.ts";
import { isGuardError, outputRefused } from "./errors.ts";
import { findFeatureDisabled } from "../feature-disabled-error.ts";
import { messageResponse } from "./off-message.ts";
import { rebuilt } from "./answers.ts";
import { USAGE_LIMIT_TEXT, type WhyFallback, whyFallback } from "../degrade.ts";
import type { AnsweredCall, RequestLike } from "./types.ts";
import { messageIn } from "./whole-message.ts";
import { parseObject } from "../wire/json.ts";

/** A check or a cache that takes longer has failed. */
const MAX_WAIT_MS = 2_000;
/** For a flag without an off message. */
const REFUSED_MESSAGE = "This answer cannot be shown. Please try again.";
/** Answers that say all that there was to say. */
const COMPLETE: ReadonlySet<unknown> = new Set(["end_turn", "stop_sequence"]);

/** Sends, and gives what stands in for the answer where there is none. */
export async function withStandIn<R extends RequestLike>(
  decided: DecidedRequest<R>,
  send: () => Promise<Response>,
): Promise<Response> {
  let response: Response;
  try {
    response = await send();
  } catch (error) {
    const because = whyNone(decided, error);
    const instead = because === null ? null : await standIn(decided, because, error);
    if (instead === null) throw error;
    return instead;
  }
  // The flag's off message, as it would be without a guard's own.
  if (response.headers.has("andon-reason")) return (await standIn(decided, "off", null)) ?? response;
  if (response.ok) return checked(decided, response);
  const because = await whyFailed(response);
  return (because === null ? null : await standIn(decided, because, response)) ?? response;
}

/** Null for what is the caller's to see: an abort, or a request that is at fault. */
function whyNone<R extends RequestLike>(decided: DecidedRequest<R>, error: unknown): WhyFallback["because"] | null {
  const no = findFeatureDisabled(error);
  if (no !== null) return "limit" in no && isOfRequest(no.limit) ? null : "off";
  if (error instanceof Error && isGuardError(error)) return whyFallback(error);
  return decided.asked.door.isCallerGone() ? null : "failed";
}

/** A request over a cap is to be changed; trying something else hides it. */
function isOfRequest(limit: unknown): boolean {
  return typeof limit === "object" && limit !== null && Reflect.get(limit, "scope") === "request";
}

async function whyFailed(response: Response): Promise<WhyFallback["because"] | null> {
  if (response.status !== 400) return whyFallback(response);
  return USAGE_LIMIT_TEXT.test(await response.clone().text()) ? "failed" : null;
}

/** The cache's answer, else the fallback message; null when there is neither. */
async function standIn<R extends RequestLike>(
  decided: DecidedRequest<R>,
  because: WhyFallback["because"],
  error: unknown,
): Promise<Response | null> {
  const { options, host } = decided.asked.guarding;
  const { flag } = decided.asked.subject;
  const { model, stream } = decided;
  if (model === null) return null;
  const cached = options.cache === undefined ? null : await asked(decided, "get", options.cache.get(callOf(decided)));
  const known = typeof cached === "object" && cached !== null ? { ...cached } : null;
  const text = options.fallbackMessage;
  const parts = known ?? (text === undefined ? null : { content: [{ type: "text", text }] });
  if (parts === null) return null;
  const source = known === null ? "the fallback message" : "the cache";
  host.logger.warn({ flag, because, err: error }, `Claude does not answer; ${source} does`);
  return messageResponse({ model, ...parts }, { flag, reason: because === "off" ? "OFF" : "FAILED", stream });
}

/** Lets the check see a whole answer, and the cache keep it. */
async function checked<R extends RequestLike>(decided: DecidedRequest<R>, response: Response): Promise<Response> {
  const { options, host } = decided.asked.guarding;
  const { checkOutput, cache } = options;
  if (checkOutput === undefined && cache === undefined) return response;
  const { flag } = decided.asked.subject;
  if (decided.stream && options.bufferStreams !== true) {
    const what = "A stream is passed on unchecked and uncached: set bufferStreams to hold it back until it is whole";
    host.logger.warn({ flag }, what);
    return response;
  }
  const text = await response.text();
  const message = messageIn(text, decided.stream);
  // It has been read: the caller gets another with the same text.
  const copy = rebuilt(response, text);
  if (message === null) return copy;
  const call = callOf(decided);
  if (checkOutput !== undefined) {
    let refusal: unknown;
    try {
      refusal = await within(checkOutput(message, call));
    } catch (error) {
      host.logger.error({ flag, err: error }, "checkOutput failed; the answer is refused");
      refusal = "the check failed";
    }
    if (refusal !== true && refusal !== undefined) return refused(decided, refusal);
  }
  if (cache?.set !== undefined && COMPLETE.has(message["stop_reason"])) {
    await asked(decided, "set", cache.set(call, message));
  }
  return copy;
}

async function refused<R extends RequestLike>(decided: DecidedRequest<R>, refusal: unknown): Promise<Response> {
  const { guarding, door, subject } = decided.asked;
  const { flag } = subject;
  const why = typeof refusal === "string" ? refusal : "";
  guarding.host.logger.warn({ flag, why }, "checkOutput refused an answer");
  const words = decided.settings?.offMessage || REFUSED_MESSAGE;
  if (decided.settings?.offMode !== "message" || decided.model === null) {
    throw outputRefused(await door.errorBase(), { flag, message: words, why });
  }
  const content = [{ type: "text", text: words }];
  const { model, stream } = decided;
  return messageResponse({ model, content }, { flag, reason: "OUTPUT", stream });
}

function callOf<R extends RequestLike>({ asked: { subject, request }, body }: DecidedRequest<R>): AnsweredCall {
  const { flag, context } = subject;
  return { flag, context, body: body ?? parseObject(request.body) ?? {} };
}

/** What the cache says; null when it fails. */
async function asked<R extends RequestLike>(decided: DecidedRequest<R>, what: string, work: unknown): Promise<unknown> {
  try {
    return await within(work);
  } catch (error) {
    const { guarding, subject } = decided.asked;
    guarding.host.logger.error({ flag: subject.flag, err: error }, `The cache of answers failed (${what})`);
    return null;
  }
}

async function within(work: unknown): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result within ${MAX_WAIT_MS} ms`)), MAX_WAIT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
