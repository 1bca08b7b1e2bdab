/**
 * Who asks: a bearer token, or the session cookie of a person at the board, looked up anew for every request so that
 * revoking works at once. What they may do is settled by `needs` before any input is read, and again by the services.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { Deps } from "../../deps.ts";
import { requireScope } from "../../authorize.ts";
import type { Need, Actor } from "../../domain/actor.ts";
import { AppError } from "../../errors.ts";
import type { AppEnv } from "../app-env.ts";
import { failedAttemptsOf } from "./failed-attempts.ts";
import { requireSameOrigin } from "./same-origin.ts";
import { readSession } from "./session.ts";

const BEARER = /^Bearer +([\w.~+/=-]{1,512})$/i;

/** Sets `ctx` for the operator API. 401 without a valid token or session, 403 for kinds that may not use it. */
export function authenticate(deps: Deps): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const actor = await actorOf(c, deps);
    if (actor.kind !== "op" && actor.kind !== "kill") {
      throw new AppError(
        "FORBIDDEN",
        `A token of kind "${actor.kind}" may not use the operator API; it needs an op token (or a kill token, to kill or downgrade).`,
      );
    }
    c.set("ctx", { actor, requestId: c.get("requestId"), deps });
    await next();
  };
}

/** Refuses actors whose kind or role does not suffice, before the body is looked at. */
export function needs(need: Need): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    requireScope(c.get("ctx").actor, need);
    await next();
  };
}

/** For what both `op` and `kill` tokens may ask; each sees only its own environments. */
export const anyActor: MiddlewareHandler<AppEnv> = async (_c, next) => next();

/** The address of the peer, "unknown" where there is no socket. A proxy in front counts as one peer. */
export function remoteAddressOf(c: Context): string {
  const bindings: unknown = c.env;
  return socketAddress(bindings) ?? "unknown";
}

async function actorOf(c: Context<AppEnv>, deps: Deps): Promise<Actor> {
  const authorization = c.req.header("authorization");
  if (authorization === undefined) {
    const actor = await readSession(c, deps);
    if (actor === null) {
      throw new AppError("UNAUTHENTICATED", "Send a token as Authorization: Bearer <token>, or sign in to the board.");
    }
    requireSameOrigin(c, deps);
    return actor;
  }
  return bearerActor(c, deps);
}

/** Whose bearer token the request has. UNAUTHENTICATED when it is none of ours. */
export function bearerActor(c: Context<AppEnv>, deps: Deps): Actor {
  const token = BEARER.exec(c.req.header("authorization") ?? "")?.[1];
  const actor = token === undefined ? null : deps.tokens.find(token);
  if (actor !== null) return actor;
  throw refuseToken(
    c,
    deps,
    "This token is not known here, has expired or was revoked. Create one on the tokens page.",
  );
}

/** UNAUTHENTICATED with these words, counted against who guesses; RATE_LIMITED is thrown when that was too often. */
export function refuseToken(c: Context<AppEnv>, deps: Deps, words: string): AppError {
  failedAttemptsOf(deps).count(remoteAddressOf(c));
  return new AppError("UNAUTHENTICATED", words);
}

function socketAddress(bindings: unknown): string | undefined {
  const incoming = fieldOf(bindings, "incoming");
  const address = fieldOf(fieldOf(incoming, "socket"), "remoteAddress");
  return typeof address === "string" ? address : undefined;
}

function fieldOf(value: unknown, field: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, field) : undefined;
}
