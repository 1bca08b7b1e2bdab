/**
 * Finds the SDK's refusal fallbacks behind a guard. There they undo the body that the guard has chosen and send further
 * models that it never sees, so that such a call is refused. Invariant: nothing of it is sent.
 */
import type { MiddlewareContextLike, RequestLike, RequestOptionsLike } from "./types.ts";
import { isObject } from "../wire/json.ts";

/** Thrown by what the refusal fallbacks look at first. */
class RefusalFallbacksBehind extends Error {}

/**
 * `betaRefusalFallbackMiddleware` (0.103 to 1.14) asks `ctx.options.body` for `fallbacks` before it sends. Inherited, so
 * that copying or logging the body asks for nothing.
 */
const TRAP: object = Object.defineProperty({}, "fallbacks", {
  get: () => {
    throw new RefusalFallbacksBehind();
  },
  // An own `fallbacks` without a value is the same as none.
  set: () => {},
});

const originals = new WeakMap<object, unknown>();

/** The body as the caller gave it, also while a guard further out looks for refusal fallbacks. */
export function givenBody(options: RequestOptionsLike | undefined): unknown {
  const body = options?.body;
  return isObject(body) ? (originals.get(body) ?? body) : body;
}

/** `next`, which ends in the error of `onFound` when refusal fallbacks are behind it. */
export function findingFallbacks<R extends RequestLike>(
  next: (request: R) => Promise<Response>,
  ctx: MiddlewareContextLike,
  onFound: (request: R) => Promise<Error>,
): (request: R) => Promise<Response> {
  const { options } = ctx;
  const given = givenBody(options);
  if (options === undefined || !isBeta(options) || !isObject(given) || (given["fallbacks"] ?? null) !== null)
    return next;
  return async (request) => {
    const trapped: object = Object.assign(Object.create(TRAP), given);
    originals.set(trapped, given);
    const before = options.body;
    options.body = trapped;
    try {
      return await next(request);
    } catch (error) {
      throw error instanceof RefusalFallbacksBehind ? await onFound(request) : error;
    } finally {
      options.body = before;
    }
  };
}

/** True for the calls that refusal fallbacks act on, those of `client.beta`: 0.x says it in the path, 1.x beside it. */
function isBeta(options: RequestOptionsLike): boolean {
  const qualifiers: unknown = Reflect.get(options, "__qualifiers");
  return (isObject(qualifiers) && qualifiers["beta"] === "true") || options.path?.includes("beta=true") === true;
}
