/** The guard for `@anthropic-ai/sdk` (0.101 to 1.x): its middleware is one door of the engine. */
import { engine } from "./guard/engine.ts";
import type { GuardHost } from "./guard-host.ts";
import { type GuardStats, inFlightOf } from "./guard/in-flight.ts";
import { SdkDoor } from "./guard/sdk-door.ts";
import type { GuardMiddleware, GuardOptions } from "./guard/types.ts";

export { FeatureDisabledError, findFeatureDisabled, isFeatureDisabled } from "./feature-disabled-error.ts";
export type { GuardError, GuardErrorCode } from "./guard/errors.ts";
export type { GuardHost } from "./guard-host.ts";
export type { UsageDraft } from "./guard-host.ts";
export type { GuardStats } from "./guard/in-flight.ts";
export type { GuardMiddleware, GuardOptions } from "./guard/types.ts";

/**
 * Middleware for the client option `middleware`. Off: throws `FeatureDisabledError`, or answers with the flag's off
 * message, as its `offMode` says. On: sends the first usable model of the flag's chain and steps down on failures.
 */
export function guard(host: GuardHost, options: GuardOptions): GuardMiddleware {
  const send = engine(host, options);
  return (request, next, ctx) => send(request, next, new SdkDoor(ctx));
}

/** How many guarded calls of this host run now, and how many a kill has ended, by flag. */
export function guardStats(host: GuardHost): GuardStats {
  return inFlightOf(host).stats();
}
