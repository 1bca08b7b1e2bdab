/** The way to the server: by which HTTP, under which name, and how to leave. Nothing here ever throws. */
import { localHeader } from "./local-header.ts";
import type { AndonLogger } from "../logger.ts";
import type { ResolvedOptions } from "../options.ts";
import { identityHeaders, type PollTarget } from "./poll.ts";
import { INSTANCE_PATH } from "../wire/protocol.ts";
import type { Runtime } from "../runtime.ts";
import { type FetchLike, fetchTransport } from "./transport-fetch.ts";
import { nodeTransport } from "./transport-node.ts";

/** Null when there is no server to talk to. */
export function linkTo(resolved: ResolvedOptions, runtime: Runtime): PollTarget | null {
  if (resolved.server === null) return null;
  const transport =
    resolved.fetch === null
      ? (nodeTransport(resolved.server.url) ?? fetchTransport(globalFetch()))
      : fetchTransport(resolved.fetch);
  const { instance, app } = resolved;
  return { ...resolved.server, instance, app, local: localHeader(resolved.localKill), transport, runtime };
}

/** Best effort: without it the server shows this instance as a straggler until it ages out. Never rejects. */
export async function farewell(target: PollTarget, logger: AndonLogger, signal: AbortSignal): Promise<void> {
  try {
    const url = target.url + INSTANCE_PATH;
    await target.transport.send({ method: "DELETE", url, headers: identityHeaders(target), signal });
  } catch {
    logger.debug({}, "Andon could not be told that this instance stopped");
  }
}

function globalFetch(): FetchLike {
  return (url, init) => fetch(url, init);
}
