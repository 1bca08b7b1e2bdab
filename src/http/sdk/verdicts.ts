/**
 * `GET /sdk/v1/verdicts?after=n`: what budgets mean for users and sessions, for the token's environment. Answered from
 * memory, one buffer for all who have the same; parked until there is news, if asked to.
 */
import { Hono } from "hono";
import { VERDICTS_PATH } from "../../../sdk-client/src/wire/verdict-protocol.ts";
import type { Deps } from "../../deps.ts";
import { AppError, invalid } from "../../errors.ts";
import type { AppContext, AppEnv } from "../app-env.ts";
import { connectionOf, headerReader } from "../node-bindings.ts";
import { sdkToken } from "./poll.ts";
import { acceptsGzip, waitMsOf } from "./poll-request.ts";

const MAX_LINEAGE_CHARS = 64;

export function verdictRoutes(deps: Deps): Hono<AppEnv> {
  return new Hono<AppEnv>().get(VERDICTS_PATH, async (c) => {
    const { tokenId, environmentId } = sdkToken(deps, c);
    const header = headerReader(c);
    const after = afterOf(c);
    const waitMs = waitMsOf(header);
    const end = deps.verdicts.end(environmentId);
    const hasAll = after !== null && after.n === end.n && (after.lineage === null || after.lineage === end.lineage);
    if (hasAll && waitMs > 0 && deps.verdicts.parks && deps.snapshots.staleSeconds() === 0) {
      await news(deps, c, environmentId, waitMs);
      // The token may have been revoked meanwhile.
      if (deps.tokens.byId(tokenId) === null)
        throw new AppError("UNAUTHENTICATED", "This token is not valid any more.");
    }
    const { json, gzip } = await deps.verdicts.answer(environmentId, after);
    const isPacked = acceptsGzip(header);
    return new Response(isPacked ? gzip : json, {
      headers: {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        // By the clock that ends the verdicts, so that a client can tell how far its own is off.
        Date: new Date(deps.clock.nowMs()).toUTCString(),
        Vary: "Accept-Encoding",
        ...(isPacked && { "Content-Encoding": "gzip" }),
      },
    });
  });
}

function news(deps: Deps, c: AppContext, environmentId: string, waitMs: number): Promise<void> {
  return new Promise((resolve) => {
    deps.verdicts.park(environmentId, waitMs, connectionOf(c), () => resolve());
  });
}

/** What the client has; null for nothing. */
function afterOf(c: AppContext): { n: number; lineage: string | null } | null {
  const text = c.req.query("after");
  if (text === undefined || text === "") return null;
  const n = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(n)) throw invalid("after", "must be a whole number, 0 or more");
  const lineage = c.req.query("lineage") ?? null;
  if (lineage !== null && lineage.length > MAX_LINEAGE_CHARS) {
    throw invalid("lineage", `must be at most ${MAX_LINEAGE_CHARS} characters`);
  }
  return { n, lineage };
}
