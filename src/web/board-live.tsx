/**
 * The live part of the board as a fragment with a hash of what it shows. A request that already has that hash is
 * parked until something changes, for a bounded time.
 */
import { createHash } from "node:crypto";
import type { Ctx } from "../context.ts";
import { BoardLive, LiveRegion } from "./board-page.tsx";
import { type Board, type LastKnownBoard, loadBoard } from "./board-state.ts";
import { isComplete } from "./proof.ts";
import { toHtml } from "./render.tsx";

/** Shorter than what the page takes for a lost connection. */
const PARK_MS = 5_000;
/** How often receipts are counted again: while some are missing, and else. */
const COUNTING_MS = 250;
const SETTLED_MS = 1_000;
const HASH_CHARS = 16;

export interface LivePart {
  html: string;
  hash: string;
  board: Board | LastKnownBoard;
}

/** Renders the live part of `environmentKey` as it is now. */
export async function livePart(ctx: Ctx, environmentKey: string): Promise<LivePart> {
  const board = await loadBoard(ctx, environmentKey);
  const inner = <BoardLive board={board} actor={ctx.actor} publicUrl={ctx.deps.config.publicUrl} />;
  const hash = hashOf(toHtml(inner));
  const html = toHtml(
    <LiveRegion path={`/e/${environmentKey}/live`} after={hash}>
      {inner}
    </LiveRegion>,
  );
  return { html, hash, board };
}

/** The live part when it no longer has the hash `after`; null when it still has after a while. */
export async function nextLivePart(
  ctx: Ctx,
  environmentKey: string,
  after: string,
  signal: AbortSignal,
): Promise<LivePart | null> {
  const { snapshots, clock } = ctx.deps;
  const untilMs = clock.monotonicMs() + PARK_MS;
  for (;;) {
    const part = await livePart(ctx, environmentKey);
    if (part.hash !== after) return part;
    if (clock.monotonicMs() >= untilMs || signal.aborted || !snapshots.parks) return null;
    const environmentId = snapshots.environmentByKey(environmentKey)?.environmentId;
    if (environmentId === undefined) return null;
    const timeoutMs = isCounting(part.board) ? COUNTING_MS : SETTLED_MS;
    await new Promise<void>((resolve) =>
      snapshots.whenChanged(environmentId, part.board.revision, { timeoutMs, signal }, () => resolve()),
    );
  }
}

function isCounting(board: Board | LastKnownBoard): boolean {
  if (board.kind === "last known") return false;
  const proofs = [board.masterLast, ...board.rows.map((row) => row.last)].map((last) => last?.proof ?? null);
  return proofs.some((proof) => proof !== null && proof.live > 0 && !isComplete(proof));
}

/** The countdown runs in the browser: it alone is no reason to send the page again. */
function hashOf(html: string): string {
  const still = html.replaceAll(/data-countdown="\d+">[^<]*/g, "");
  return createHash("sha256").update(still).digest("hex").slice(0, HASH_CHARS);
}
