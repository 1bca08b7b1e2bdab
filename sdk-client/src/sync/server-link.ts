/** The way to the server: by which HTTP, under which name, and how to leave. Nothing here ever throws. */
import { localHeader } from "./local-header.ts";
import type { AndonLogger } from "../logger.ts";
import type { ResolvedOptions } from "../options.ts";
import { ask, type ServerLink } from "./request.ts";
import { INSTANCE_PATH } from "../wire/protocol.ts";
import type { Runtime } from "../runtime.ts";
import { type FetchLike, fetchTransport } from "./transport-fetch.ts";
import { nodeTransport } from "./transport-node.ts";

/** How long a client that closes waits for the server to take note. */
const FAREWELL_TIMEOUT_MS = 1_000;

/** Null when there is no server to talk to. */
export function linkTo(resolved: ResolvedOptions, runtime: Runtime): ServerLink | null {
  if (resolved.server === null) return null;
  const transport =
    resolved.fetch === null
      ? ((runtime.isRequestBound === true ? null : nodeTransport(resolved.server.url)) ?? fetchTransport(globalFetch()))
      : fetchTransport(resolved.fetch);
  const { instance, app } = resolved;
  return { ...resolved.server, instance, app, local: localHeader(resolved.localKill), transport, runtime };
}

/** Best effort: without it the server shows this instance as a straggler until it ages out. Never rejects. */
export async function farewell(link: ServerLink, logger: AndonLogger): Promise<void> {
  const request = {
    method: "DELETE",
    path: INSTANCE_PATH,
    timeoutMs: FAREWELL_TIMEOUT_MS,
    holdsProcess: true,
  } as const;
  const failure = await ask(link, request, () => null);
  if (failure !== null) logger.debug({}, "Andon could not be told that this instance stopped");
}

function globalFetch(): FetchLike {
  return (url, init) => fetch(url, init);
}
