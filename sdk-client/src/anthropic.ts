/** The guard for `@anthropic-ai/sdk` (0.103 to 1.x): its middleware is one door of the engine. */
import { assertGuarded, branded, type GuardableClient, isMiddleware } from "./guard/assert.ts";
import { engine } from "./guard/engine.ts";
import { middlewareOrder } from "./guard/errors.ts";
import type { GuardHost } from "./guard-host.ts";
import { type GuardStats, inFlightOf } from "./guard/in-flight.ts";
import { layerAround } from "./guard/nesting.ts";
import { findingFallbacks } from "./guard/order.ts";
import { SdkDoor } from "./guard/sdk-door.ts";
import type { GuardMiddleware, GuardOptions } from "./guard/types.ts";

export { FeatureDisabledError, findFeatureDisabled, isFeatureDisabled } from "./feature-disabled-error.ts";
export { assertGuarded, type ClientLike, type GuardableClient } from "./guard/assert.ts";
export type { GuardError, GuardErrorCode } from "./guard/errors.ts";
export type { GuardHost } from "./guard-host.ts";
export type { UsageDraft } from "./guard-host.ts";
export type { GuardStats } from "./guard/in-flight.ts";
export type { AnswerCache, AnsweredCall, GuardMiddleware, GuardOptions } from "./guard/types.ts";

/**
 * Middleware for the client option `middleware`. Off: throws `FeatureDisabledError`, or answers with the flag's off
 * message, as its `offMode` says. On: sends the first usable model of the flag's chain and steps down on failures.
 */
export function guard(host: GuardHost, options: GuardOptions): GuardMiddleware {
  const send = engine(host, options);
  return branded((request, next, ctx) => {
    const door = new SdkDoor(ctx);
    const sending = findingFallbacks(next, ctx, async ({ signal }) => {
      const layer = layerAround(signal);
      if (layer !== undefined) layer.isTaken = true;
      return middlewareOrder(await door.errorBase(), options.flag);
    });
    return send(request, sending, door);
  });
}

/**
 * The client with a guard behind its other middleware, where it sees all they send; without `host` the client as it is.
 * Throws as {@link assertGuarded} does when the guard would not be in force.
 */
export function guardClient<C extends GuardableClient>(client: C, host?: GuardHost, options?: GuardOptions): C {
  if (host === undefined || options === undefined) {
    assertGuarded(client);
    return client;
  }
  const others = (client.middleware ?? []).filter(isMiddleware);
  const guarded = client.withOptions({ middleware: [...others, guard(host, options)] });
  assertGuarded(guarded);
  return guarded;
}

/** How many guarded calls of this host run now, and how many a kill has ended, by flag. */
export function guardStats(host: GuardHost): GuardStats {
  return inFlightOf(host).stats();
}
