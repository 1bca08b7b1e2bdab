/**
 * `POST /sdk/v1/leases`: clients say what became of the money they hold and ask for more. `Prefer: wait=2` lets a request
 * wait for its turn, and one that holds idle money for the moment when others need it.
 */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import {
  LEASES_PATH,
  MAX_LEASE_WAIT_SECONDS,
  MAX_LEASES_BODY_BYTES,
} from "../../../sdk-client/src/wire/lease-protocol.ts";
import { HEADER_SENT } from "../../../sdk-client/src/wire/protocol.ts";
import type { AppEnv } from "../app-env.ts";
import { bodyLimit } from "../middleware/body-limit.ts";
import { connectionOf, headerReader } from "../node-bindings.ts";
import { parseLeaseRequest } from "./lease-request.ts";
import { sdkToken } from "./poll.ts";
import { waitMsOf } from "./poll-request.ts";
import { parseJson, sentAtMsOf } from "./usage.ts";

const bounded = bodyLimit(
  MAX_LEASES_BODY_BYTES,
  `A request for leases may have at most ${MAX_LEASES_BODY_BYTES / 1024} KiB.`,
);

export function leaseRoutes(deps: Deps): Hono<AppEnv> {
  return new Hono<AppEnv>().post(LEASES_PATH, bounded, async (c) => {
    const { environmentId } = sdkToken(deps, c);
    const request = parseLeaseRequest(parseJson(await c.req.text()));
    const header = headerReader(c);
    const answer = await deps.leases.ask(environmentId, {
      request,
      sentAtMs: sentAtMsOf(header(HEADER_SENT.toLowerCase())),
      waitMs: Math.min(waitMsOf(header), MAX_LEASE_WAIT_SECONDS * 1000),
      connection: connectionOf(c),
    });
    return c.json(answer, 200, { "Cache-Control": "no-store" });
  });
}
