/**
 * What open boards ask all day: what changed. Like clients' polls it passes no middleware and is written on Node's own
 * response: hundreds of boards are answered after each change, and a kill may come in the middle of it.
 */
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import type { Actor } from "../../domain/actor.ts";
import type { AppContext, AppEnv } from "../../http/app-env.ts";
import { headerReader, outgoingOfGet, connectionOf } from "../../http/node-bindings.ts";
import { readSession } from "../../http/middleware/session.ts";
import { type Answer, feedOf } from "./feed.tsx";
import { encode, type Encoded, type Encoding, encodingOf } from "../shell/compress.ts";
import { ownPartsOf } from "./own-parts.tsx";
import { boardRoleOf } from "../shell/page-context.ts";
import { htmlHeaders, NO_STORE } from "../shell/render.tsx";

const LIVE_PATH = "/e/:environment/live";
const LIVE_URL = /^[a-z]+:\/\/[^/]+\/e\/[^/?#]+\/live(?:\?|$)/;
const MAX_VERSION_CHARS = 64;
const AFTER = /[?&]after=([^&#]*)/;

export function liveRoute(deps: Deps): Hono<AppEnv> {
  return new Hono<AppEnv>().get(LIVE_PATH, (c) => live(deps, c));
}

/** Hands what open boards ask to an app in which nothing else matches, everything else to `others`. */
export function boardsFirst(boards: Hono<AppEnv>, others: Hono<AppEnv>["fetch"]): Hono<AppEnv>["fetch"] {
  return (request, ...rest) =>
    request.method === "GET" && LIVE_URL.test(request.url) ? boards.fetch(request, ...rest) : others(request, ...rest);
}

async function live(deps: Deps, c: AppContext): Promise<Response> {
  const header = headerReader(c);
  const connection = connectionOf(c);
  const outgoing = outgoingOfGet(c);
  const actor = await readSession(c, deps);
  if (actor === null) return signedOut(c, header("hx-request") === "true");
  const ctx = { actor, requestId: "live", deps };
  const feed = await feedOf(ctx, c.req.param("environment") ?? "");
  const after = (AFTER.exec(c.req.url)?.[1] ?? "").slice(0, MAX_VERSION_CHARS);
  const encoding = encodingOf(header("accept-encoding"));
  const answer = await feed.next({ role: boardRoleOf(actor), after, encoding }, connection);
  // The session may have ended meanwhile.
  if ((await readSession(c, deps)) === null) return signedOut(c, header("hx-request") === "true");
  if (answer === null) return new Response(null, { status: 204, headers: NO_STORE });
  return send(outgoing, await answerFor(answer, actor, encoding));
}

const answersByActor = new WeakMap<Answer, Map<string, Promise<Encoded>>>();

/** The answer with the visitor's own parts: made once for all boards of one person, who may have hundreds by a token. */
function answerFor(answer: Answer, actor: Actor, encoding: Encoding): Promise<Encoded> {
  const byActor = answersByActor.get(answer) ?? new Map<string, Promise<Encoded>>();
  answersByActor.set(answer, byActor);
  const known = byActor.get(actor.id);
  if (known !== undefined) return known;
  const own = ownPartsOf(answer.board, actor);
  const made =
    own.length === 0
      ? Promise.resolve(answer.encoded)
      : encode(answer.html + own.map(({ html }) => html).join(""), encoding);
  byActor.set(actor.id, made);
  return made;
}

function send(outgoing: ReturnType<typeof outgoingOfGet>, { body, headers }: Encoded): Response {
  const all = { ...htmlHeaders(headers), "Content-Length": String(body.byteLength) };
  if (outgoing === null || outgoing.headersSent) return new Response(body, { headers: all });
  outgoing.writeHead(200, all).end(body);
  return RESPONSE_ALREADY_SENT;
}

/** The script leaves the page; a person who opened the address goes to sign in. */
function signedOut(c: AppContext, isScript: boolean): Response {
  return isScript ? c.body(null, 401, { "HX-Redirect": "/sign-in" }) : c.redirect("/sign-in", 303);
}
