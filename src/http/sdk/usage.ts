/** `POST /sdk/v1/usage`: what clients report. Answered after commit; a retry with the same `batchId` counts nothing twice. */
import { type MiddlewareHandler, Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { HEADER_BOOT, HEADER_SENT } from "../../../sdk-client/src/wire/protocol.ts";
import { MAX_USAGE_BODY_BYTES, USAGE_PATH, type UsageAnswer } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { FairShare } from "../../domain/fair-share.ts";
import { AppError } from "../../errors.ts";
import type { AppEnv } from "../app-env.ts";
import { bodyLimit } from "../middleware/body-limit.ts";
import { parseUsageBatch } from "./usage-batch.ts";
import { sdkToken } from "./poll.ts";

/** Of the batches that are being read or counted. A token has its share: 5,000 instances with batches of 12 KiB have room. */
const MAX_BYTES_AT_A_TIME = 128 * 1024 * 1024;
/** What a request weighs at the least. */
const MIN_REQUEST_BYTES = 1024;
const RETRY_AFTER_SECONDS = 1;
const MAX_BOOT_CHARS = 128;
/** A request that was sent this long ago may have been under way. */
const CLOCK_TOLERANCE_MS = 5_000;

const boundedBatch = bodyLimit(
  MAX_USAGE_BODY_BYTES,
  `A usage batch may have at most ${MAX_USAGE_BODY_BYTES / 1024} KiB. Send smaller ones.`,
);

export function usageReportRoutes(deps: Deps): Hono<AppEnv> {
  return new Hono<AppEnv>().post(USAGE_PATH, inTurn(deps), boundedBatch, async (c) => {
    const { tokenId, environmentId } = sdkToken(deps, c);
    const clockAheadMs = aheadMs(c.req.header(HEADER_SENT), deps.clock.nowMs());
    const boot = c.req.header(HEADER_BOOT)?.slice(0, MAX_BOOT_CHARS);
    const submission = parseUsageBatch(parseJson(await c.req.text()), { tokenId, clockAheadMs, boot });
    const { n, ...counted } = await deps.ledger.submit(environmentId, submission);
    if (!counted.duplicate) addRejected(deps, environmentId, counted.rejected.length);
    const served = deps.snapshots.current(environmentId);
    if (served === undefined) throw new AppError("NOT_READY", "The server is starting.", { retryAfterSeconds: 1 });
    // Another server may have committed a trip that this one has not read yet.
    const revision = n > served.n ? deps.snapshots.revisionOf(environmentId, n) : served.revision;
    const answer: UsageAnswer = { ...counted, revision };
    return c.json(answer, 200, { "Cache-Control": "no-store" });
  });
}

function addRejected({ stats: { rejectedRecords } }: Deps, environmentId: string, count: number): void {
  rejectedRecords.set(environmentId, (rejectedRecords.get(environmentId) ?? 0) + count);
}

/** Refuses a token's request, before its body is read, while it has its share of the room: nothing of it was counted. */
function inTurn(deps: Deps): MiddlewareHandler<AppEnv> {
  const room = new FairShare(MAX_BYTES_AT_A_TIME);
  return async (c, next) => {
    const { tokenId } = sdkToken(deps, c);
    const announced = Number(c.req.header("content-length") ?? MAX_USAGE_BODY_BYTES);
    const bytes = Math.min(Math.max(announced || 0, MIN_REQUEST_BYTES), MAX_USAGE_BODY_BYTES);
    if (!room.take(tokenId, bytes)) {
      const words = "Too many batches of this token are being counted. Send this one again, alone or with more.";
      throw new AppError("RATE_LIMITED", words, { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    try {
      await next();
    } finally {
      room.giveBack(tokenId, bytes);
    }
  };
}

/** How far the client's clock is ahead (negative: behind); 0 while that may be the time the request took. */
function aheadMs(sentAt: string | undefined, nowMs: number): number {
  const sentAtMs = sentAtMsOf(sentAt);
  if (sentAtMs === null) return 0;
  return Math.abs(sentAtMs - nowMs) <= CLOCK_TOLERANCE_MS ? 0 : sentAtMs - nowMs;
}

/** The client's clock as it sent this, Unix time in milliseconds; null when it does not say. */
export function sentAtMsOf(sentAt: string | undefined): number | null {
  const sentAtMs = sentAt === undefined ? Number.NaN : Number(sentAt);
  return Number.isSafeInteger(sentAtMs) ? sentAtMs : null;
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("INVALID", "The body is not valid JSON.", {
      faults: [{ path: "", message: "is not valid JSON" }],
      cause: error,
    });
  }
}
