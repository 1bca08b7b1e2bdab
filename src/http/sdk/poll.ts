/**
 * What clients ask all day: the snapshot. Answered from memory with a buffer made once per revision; the database is
 * asked only when a client has what this server does not. Never answers with an older revision than the client has.
 */
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono } from "hono";
import type { Deps, PreparedSnapshot } from "../../deps.ts";
import { HEADER_INSTANCE, HEADER_STALE, INSTANCE_PATH, SNAPSHOT_PATH } from "../../../sdk-client/src/wire/protocol.ts";
import { AppError, invalid } from "../../errors.ts";
import type { Process } from "../../services/instances/writes.ts";
import { databaseFault } from "../../database-away.ts";
import type { AppContext, AppEnv } from "../app-env.ts";
import { remoteAddressOf } from "../middleware/auth.ts";
import { failedAttemptsOf } from "../middleware/failed-attempts.ts";
import { headerReader, outgoingOfGet, connectionOf } from "../node-bindings.ts";
import { acceptsGzip, appliedOf, bearerOf, type HeaderReader, labelsOf, localOf, waitMsOf } from "./poll-request.ts";

const CACHE_CONTROL = "no-store";
const RETRY_AFTER_SECONDS = 1;

export function sdkRoutes(deps: Deps): Hono<AppEnv> {
  return pollRoute(deps).delete(INSTANCE_PATH, (c) => stop(deps, c));
}

/** The poll and nothing else. */
export function pollRoute(deps: Deps): Hono<AppEnv> {
  return new Hono<AppEnv>().get(SNAPSHOT_PATH, (c) => poll(deps, c));
}

/**
 * Hands polls to an app in which nothing else matches, everything else to `others`. Hono answers a route that is the
 * only match without a promise; among the middleware of all other routes a poll costs a third more.
 */
export function pollsFirst(polls: Hono<AppEnv>, others: Hono<AppEnv>["fetch"]): Hono<AppEnv>["fetch"] {
  return (request, ...rest) =>
    request.method === "GET" && isSnapshot(request.url) ? polls.fetch(request, ...rest) : others(request, ...rest);
}

/** True for `<scheme>://<host>` and the path; an address with a query takes the longer way. */
function isSnapshot(url: string): boolean {
  return url.endsWith(SNAPSHOT_PATH) && url.indexOf("/", url.indexOf("://") + 3) === url.length - SNAPSHOT_PATH.length;
}

/** Not async: the common answer, 304 at once, is made without waiting for anything. */
function poll(deps: Deps, c: AppContext): Response | Promise<Response> {
  const header = headerReader(c);
  const { environmentId, tokenId } = authenticate(deps, c, header);
  const labels = labelsOf(header);
  const served = deps.snapshots.current(environmentId);
  if (served === undefined) throw notReady();
  // Most polls have just what is served; that needs no parsing.
  const has = header("if-none-match") === served.etag ? { lineage: served.lineage, n: served.n } : appliedOf(header);
  if (has !== null && (has.lineage !== served.lineage || has.n > served.n)) {
    return catchUp(deps, header, { environmentId, tokenId }, has);
  }
  const { instance, boot, app, sdk } = labels;
  const process = instance === null ? null : { environmentId, instance, boot };
  const local = localOf(header);
  // Written out: a spread would be a tenth of what the whole poll takes.
  const sighting =
    instance === null
      ? 0
      : deps.instances.seen({ environmentId, instance, boot, tokenId, app, sdk, local, applied: has });
  const waitMs = waitMsOf(header);
  if (has?.n !== served.n) {
    // A client that waits comes again at once after news, to wait for more.
    if (process !== null && waitMs > 0) deps.instances.answered(process, sighting);
    return full(deps, served, acceptsGzip(header));
  }
  if (waitMs === 0) return notModified(deps, served.etag);
  if (!mayPark(deps)) {
    // As below: what it is told here is the last that this server hears of it.
    if (process !== null && deps.snapshots.draining) deps.instances.disconnected(process, sighting);
    return notModified(deps, served.etag);
  }
  const gzip = acceptsGzip(header);
  return park(deps, c, { environmentId, tokenId, served, waitMs, gzip, process, sighting });
}

/** A server that has not heard from its database parks nobody: another one may know more. */
function mayPark({ snapshots }: Deps): boolean {
  return snapshots.parks && snapshots.staleSeconds() === 0;
}

interface Parking {
  environmentId: string;
  tokenId: string;
  served: PreparedSnapshot;
  waitMs: number;
  gzip: boolean;
  process: Process | null;
  sighting: number;
}

/**
 * A waiting poll. Whatever can be is found out before it waits: of a thousand that wait, the last one waits for all that
 * is done for the others, and most of that is reaching for what no cache holds any more.
 */
function park(deps: Deps, c: AppContext, parking: Parking): Promise<Response> {
  const { environmentId, tokenId, served, waitMs, gzip, process, sighting } = parking;
  const connection = connectionOf(c);
  const outgoing = outgoingOfGet(c);
  return new Promise((resolve, reject) => {
    deps.snapshots.whenChanged(environmentId, served.revision, { timeoutMs: waitMs, connection }, (gone) => {
      try {
        if (process !== null) {
          // A server that stops lets all go: to another one, which is where they are next heard of, if they run.
          if (gone || deps.snapshots.draining) deps.instances.disconnected(process, sighting);
          else deps.instances.answered(process, sighting);
        }
        // The token may have been revoked meanwhile.
        if (deps.tokens.byId(tokenId) === null) throw unauthenticated();
        const now = deps.snapshots.current(environmentId);
        if (now === undefined) throw notReady();
        if (now.revision === served.revision) resolve(notModified(deps, served.etag));
        else if (outgoing === null) resolve(full(deps, now, gzip));
        else {
          // Sent here and now, past hono's promises.
          outgoing.writeHead(200, headersOf(deps, now, gzip)).end(gzip ? now.gzip : now.json);
          resolve(RESPONSE_ALREADY_SENT);
        }
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** The client has what this server does not serve: another lineage, or a later revision of this one. */
async function catchUp(
  deps: Deps,
  header: HeaderReader,
  { environmentId, tokenId }: { environmentId: string; tokenId: string },
  has: { lineage: string; n: number },
): Promise<Response> {
  try {
    await deps.snapshots.catchUp(environmentId, has);
  } catch (error) {
    throw databaseFault(error);
  }
  const now = deps.snapshots.current(environmentId);
  if (now === undefined) throw notReady();
  const labels = labelsOf(header);
  const isReceipt = has.lineage === now.lineage && has.n <= now.n;
  if (labels.instance !== null) {
    const { app, sdk, instance, boot } = labels;
    const applied = isReceipt ? has : null;
    deps.instances.seen({ environmentId, tokenId, instance, boot, app, sdk, local: localOf(header), applied });
  }
  if (has.lineage === now.lineage && has.n > now.n) {
    throw new AppError("NOT_READY", "This server is behind what the client has. It keeps its state and asks again.", {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    });
  }
  return has.lineage === now.lineage && has.n === now.n
    ? notModified(deps, now.etag)
    : full(deps, now, acceptsGzip(header));
}

function stop(deps: Deps, c: AppContext): Response {
  const header = headerReader(c);
  const { environmentId, tokenId } = authenticate(deps, c, header);
  const { instance, boot } = labelsOf(header);
  if (instance === null) throw invalid(HEADER_INSTANCE, "expected the id of the instance that stopped");
  deps.instances.stopped({ environmentId, tokenId, instance, boot });
  return new Response(null, { status: 204 });
}

/** The environment of the sdk token of any request of a client. 401 without a valid one, 403 for other kinds. */
export function sdkToken(deps: Deps, c: AppContext): { tokenId: string; environmentId: string } {
  return authenticate(deps, c, headerReader(c));
}

function authenticate(deps: Deps, c: AppContext, header: HeaderReader): { tokenId: string; environmentId: string } {
  const token = bearerOf(header);
  const actor = token === null ? null : deps.tokens.find(token);
  if (actor === null) {
    if (token !== null) failedAttemptsOf(deps).count(remoteAddressOf(c));
    throw unauthenticated();
  }
  const environmentId = actor.environmentIds?.[0];
  if (actor.kind !== "sdk" || environmentId === undefined) {
    throw new AppError("FORBIDDEN", `Clients need a token of kind "sdk", not "${actor.kind}".`);
  }
  return { tokenId: actor.id, environmentId };
}

function unauthenticated(): AppError {
  return new AppError("UNAUTHENTICATED", "Send a valid sdk token as Authorization: Bearer <token>.");
}

function notModified(deps: Deps, etag: string): Response {
  const stale = deps.snapshots.staleSeconds();
  const headers: Record<string, string> = { ETag: etag, "Cache-Control": CACHE_CONTROL };
  if (stale > 0) tellStale(headers, stale);
  return new Response(null, { status: 304, headers });
}

function full(deps: Deps, served: PreparedSnapshot, gzip: boolean): Response {
  return new Response(gzip ? served.gzip : served.json, { headers: headersOf(deps, served, gzip) });
}

function headersOf(deps: Deps, served: PreparedSnapshot, gzip: boolean): Record<string, string> {
  const stale = deps.snapshots.staleSeconds();
  const headers: Record<string, string> = {
    ETag: served.etag,
    "Content-Type": "application/json",
    "Content-Length": String((gzip ? served.gzip : served.json).byteLength),
    "Cache-Control": CACHE_CONTROL,
    Vary: "Accept-Encoding",
  };
  if (gzip) headers["Content-Encoding"] = "gzip";
  if (stale > 0) tellStale(headers, stale);
  return headers;
}

/** The connection ends with the answer: where they are balanced, the next one may lead to a server that knows more. */
function tellStale(headers: Record<string, string>, seconds: number): void {
  headers[HEADER_STALE] = String(seconds);
  headers["Connection"] = "close";
}

function notReady(): AppError {
  return new AppError("NOT_READY", "The snapshot is not loaded yet.", { retryAfterSeconds: RETRY_AFTER_SECONDS });
}
