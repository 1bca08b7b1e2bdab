/**
 * The session of a person at the board: a signed cookie that names itself and a token by their ids and nothing else. Both
 * are looked up on every request: signing out ends a session, and revoking or expiring a token all of its, at once.
 */
import { hkdfSync } from "node:crypto";
import type { Context } from "hono";
import { deleteCookie, setCookie } from "hono/cookie";
import { type CookieOptions, parse } from "hono/utils/cookie";
import { errors, jwtVerify, SignJWT } from "jose";
import type { Deps, Session } from "../../deps.ts";
import type { Actor } from "../../domain/actor.ts";
import { AppError } from "../../errors.ts";
import { endSession } from "../../services/access/sign-out.ts";
import { failedAttemptsOf } from "./failed-attempts.ts";
import { headerReader } from "../node-bindings.ts";

const COOKIE_NAME = "andon_session";
const SECOND_MS = 1_000;
const SESSION_SECONDS = 12 * 60 * 60;
const ISSUER = "andon";
const AUDIENCE = "andon-board";
const KEY_BYTES = 32;
const MAX_COOKIE_CHARS = 1_024;

/** Signs in: sets the cookie of a session of the token with this id. */
export async function createSession(c: Context, deps: Deps, tokenId: string): Promise<void> {
  const nowSeconds = Math.floor(deps.clock.nowMs() / SECOND_MS);
  const value = await new SignJWT()
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(tokenId)
    .setJti(deps.newId())
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + SESSION_SECONDS)
    .sign(keyOf(deps));
  setCookie(c, COOKIE_NAME, value, { ...cookieOptions(deps), maxAge: SESSION_SECONDS });
}

/** Who is signed in; null without a session, or when its token was revoked or has expired. */
export async function readSession(c: Context, deps: Deps): Promise<Actor | null> {
  const session = await sessionOf(c, deps);
  if (session === null || deps.tokens.hasEnded(session)) return null;
  const actor = deps.tokens.byId(session.tokenId);
  return actor?.kind === "op" ? actor : null;
}

/** Signs out: removes the cookie, and ends the session so that no copy of it is good. DATABASE_AWAY without the latter. */
export async function signOut(c: Context, deps: Deps): Promise<void> {
  const session = await sessionOf(c, deps);
  deleteCookie(c, COOKIE_NAME, cookieOptions(deps));
  if (session !== null) await endSession(deps, session);
}

/**
 * Whom a typed token belongs to; null when it is not known. FORBIDDEN for kinds that are for programs, RATE_LIMITED
 * after too many failures from `address`; a valid token is never refused for the failures of others.
 */
export function signInWithToken(deps: Deps, token: string, address = "sign-in"): Actor | null {
  const actor = deps.tokens.find(token.trim());
  if (actor === null) {
    failedAttemptsOf(deps).count(address);
    return null;
  }
  if (actor.kind !== "op") {
    throw new AppError(
      "FORBIDDEN",
      `This is a token of kind "${actor.kind}", which is for programs. Sign in with an op token.`,
    );
  }
  return actor;
}

async function sessionOf(c: Context, deps: Deps): Promise<Session | null> {
  const name = isHttps(deps) ? `__Host-${COOKIE_NAME}` : COOKIE_NAME;
  const value = parse(headerReader(c)("cookie") ?? "", name)[name];
  if (value === undefined || value.length > MAX_COOKIE_CHARS) return null;
  const ofDeps = verified.get(deps) ?? new Map<string, Session>();
  verified.set(deps, ofDeps);
  const known = ofDeps.get(value);
  if (known !== undefined) return known.expiresAtMs > deps.clock.nowMs() ? known : null;
  const session = await verify(value, deps);
  if (session === null) return null;
  const [oldest] = ofDeps.keys();
  if (ofDeps.size >= MAX_VERIFIED && oldest !== undefined) ofDeps.delete(oldest);
  ofDeps.set(value, session);
  return session;
}

/** Checking a signature takes longer than all else of an open board's request: each cookie is checked once. */
const MAX_VERIFIED = 2_000;
const verified = new WeakMap<Deps, Map<string, Session>>();

async function verify(value: string, deps: Deps): Promise<Session | null> {
  try {
    const { payload } = await jwtVerify(value, keyOf(deps), {
      algorithms: ["HS256"],
      issuer: ISSUER,
      audience: AUDIENCE,
      requiredClaims: ["sub", "jti", "iat", "exp"],
      currentDate: new Date(deps.clock.nowMs()),
    });
    const { jti: id, sub: tokenId, iat, exp } = payload;
    if (id === undefined || tokenId === undefined || iat === undefined || exp === undefined) return null;
    return { id, tokenId, issuedAtMs: iat * SECOND_MS, expiresAtMs: exp * SECOND_MS };
  } catch (error) {
    // A cookie that is old, forged or signed by a former secret is no session; anything else is a fault of ours.
    if (error instanceof errors.JOSEError) return null;
    throw error;
  }
}

const keys = new WeakMap<Deps, Uint8Array>();

/** The signing key, derived so that the configured secret may serve other purposes too. */
function keyOf(deps: Deps): Uint8Array {
  const known = keys.get(deps);
  if (known !== undefined) return known;
  const key = new Uint8Array(hkdfSync("sha256", deps.config.secret, "", "andon session v1", KEY_BYTES));
  keys.set(deps, key);
  return key;
}

function isHttps(deps: Deps): boolean {
  return deps.config.publicUrl.startsWith("https:");
}

function cookieOptions(deps: Deps): CookieOptions {
  const common = { path: "/", httpOnly: true, sameSite: "Lax" } as const;
  return isHttps(deps) ? { ...common, secure: true, prefix: "host" } : common;
}
