/**
 * What one call of the application has used up of its chain, across the SDK's own retries. Invariant: a model that
 * failed is not tried again in the same call, so that the SDK's retries never multiply passes down the chain.
 */
import type { ModelNames } from "../evaluate/model-names.ts";
import type { RequestLike } from "./types.ts";

/** How often a request was sent before, as the SDK tells the API. */
export const RETRY_COUNT_HEADER = "x-stainless-retry-count";

export interface Pass {
  /** Monotonic time of the first attempt, in milliseconds. */
  readonly startedMs: number;
  /** Attempts sent so far. */
  attempts: number;
  /** The models that failed or are left out, by the names they are compared by. */
  readonly failed: string[];
  /** The models whose rate limit was waited for, by the same names. */
  readonly waitedFor: string[];
  /** What the caller gets when all fail: the first failure; a model that declined to answer comes before errors. */
  first: Failure | null;
  /** Monotonic time before which the next request must not be sent, in milliseconds: the provider asked to wait. */
  waitUntilMs: number;
}

/** How a model failed: the answer that says so, or what was thrown. */
export type Failure = { response: Response; error: null } | { response: null; error: Error };

/** The passes of one guard, keyed by the object that all requests of one call share. */
export type Passes = WeakMap<object, Pass>;

/** The pass of this call: a new one for its first request, the one that was kept for the SDK's retries of it. */
export function passOf(passes: Passes, request: RequestLike, call: object | undefined, nowMs: number): Pass {
  const known = call === undefined ? undefined : passes.get(call);
  if (known !== undefined && retriesOf(request) !== 0) return known;
  // Other middleware sends the same call from its beginning.
  if (known !== undefined && call !== undefined) passes.delete(call);
  return {
    startedMs: nowMs,
    attempts: 0,
    failed: [],
    waitedFor: [],
    first: null,
    waitUntilMs: 0,
  };
}

/** Keeps the pass for the SDK's retries. To be called where there may be one: a call that was answered has none. */
export function keepPass(passes: Passes, call: object | undefined, pass: Pass): void {
  if (call !== undefined) passes.set(call, pass);
}

/** True when the model has failed in this pass. */
export function hasFailed(pass: Pass, model: string, models: ModelNames): boolean {
  return pass.failed.length > 0 && pass.failed.includes(models.nameOf(model));
}

/** Notes a failure, so that the model is not tried again in this call. */
export function noteFailure(pass: Pass, model: string, models: ModelNames, failure: Failure): void {
  pass.failed.push(models.nameOf(model));
  const isAnswer = failure.response?.ok === true;
  if (pass.first === null || (isAnswer && pass.first.response?.ok !== true)) pass.first = failure;
}

/** How often the SDK has sent this call again. */
export function retriesOf(request: RequestLike): number {
  return Number(request.headers.get(RETRY_COUNT_HEADER) ?? "0");
}
