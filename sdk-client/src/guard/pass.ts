/**
 * What one call of the application has used up of its chain, across the SDK's own retries. Invariant: a model that
 * failed is not tried again in the same call, so that the SDK's retries never multiply passes down the chain.
 */
import type { ModelTable } from "../evaluate/model-table.ts";
import type { RequestLike } from "./types.ts";

const RETRY_COUNT_HEADER = "x-stainless-retry-count";

export interface Pass {
  /** Monotonic time of the first attempt, in milliseconds. */
  readonly startedMs: number;
  /** Attempts sent so far. */
  attempts: number;
  /** The models that failed, by the names they are compared by. */
  readonly failed: Set<string>;
  /** The error of the last failure; errors carry no header to say "do not retry". */
  lastError: Error | null;
}

/** The passes of one guard, keyed by the object that all requests of one call share. */
export type Passes = WeakMap<object, Pass>;

/** The pass of this call: a new one for its first request, the same one for the SDK's retries of it. */
export function passOf(passes: Passes, request: RequestLike, call: object | undefined, nowMs: number): Pass {
  const known = call === undefined ? undefined : passes.get(call);
  if (known !== undefined && (request.headers.get(RETRY_COUNT_HEADER) ?? "0") !== "0") return known;
  const pass: Pass = { startedMs: nowMs, attempts: 0, failed: new Set(), lastError: null };
  if (call !== undefined) passes.set(call, pass);
  return pass;
}

/** True when the model has failed in this pass. */
export function hasFailed(pass: Pass, model: string, models: ModelTable): boolean {
  return pass.failed.size > 0 && pass.failed.has(models.nameOf(model));
}

/** Notes a failure, so that the model is not tried again in this call. */
export function noteFailure(pass: Pass, model: string, models: ModelTable, error: Error | null): void {
  pass.failed.add(models.nameOf(model));
  pass.lastError = error;
}
