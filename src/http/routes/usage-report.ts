/** `POST /sdk/v1/usage`: what clients report. Answered after commit; a retry with the same `batchId` counts nothing twice. */
import { Hono } from "hono";
import { MAX_USAGE_BODY_BYTES, USAGE_PATH, type UsageAnswer } from "../../../sdk-client/src/usage-protocol.ts";
import type { Deps } from "../../deps.ts";
import { AppError } from "../../errors.ts";
import type { AppEnv } from "../app-env.ts";
import { bodyLimit } from "../body-limit.ts";
import { parseUsageBatch } from "../usage-batch.ts";
import { sdkEnvironment } from "./sdk.ts";

const boundedBatch = bodyLimit(
  MAX_USAGE_BODY_BYTES,
  `A usage batch may have at most ${MAX_USAGE_BODY_BYTES / 1024} KiB. Send smaller ones.`,
);

export function usageReportRoutes(deps: Deps): Hono<AppEnv> {
  return new Hono<AppEnv>().post(USAGE_PATH, boundedBatch, async (c) => {
    const environmentId = sdkEnvironment(deps, c);
    const submission = parseUsageBatch(parseJson(await c.req.text()));
    const counted = await deps.ledger.submit(environmentId, submission);
    const revision = deps.snapshots.current(environmentId)?.revision;
    if (revision === undefined) throw new AppError("NOT_READY", "The server is starting.", { retryAfterSeconds: 1 });
    const answer: UsageAnswer = { ...counted, revision };
    return c.json(answer, 200, { "Cache-Control": "no-store" });
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("INVALID", "The body is not valid JSON.", {
      faults: [{ path: "", message: "is not valid JSON" }],
      cause: error,
    });
  }
}
