/** Waits until every live instance has applied a change, counting up; bounded, and honest about who has not. */
import type { ApiClient } from "./api-client.ts";
import { type ReceiptsAnswer, receiptsAnswer } from "./answers.ts";
import { CliError, EXIT_FAILED, EXIT_OK, type Io } from "./io.ts";
import { lateLine, receiptsLine } from "./text.ts";

const WAIT_MS = 10_000;
const ASK_EVERY_MS = 200;

export interface Proof {
  exitCode: number;
  /** Null when this token may not read receipts. */
  receipts: ReceiptsAnswer | null;
}

/** Asks for the receipts of `revision` until all live instances applied it, for at most 10 s. EXIT_FAILED when some have not. */
export async function waitForReceipts(io: Io, api: ApiClient, environment: string, revision: string): Promise<Proof> {
  const startedMs = io.monotonicMs();
  for (;;) {
    const receipts = await readReceipts(io, api, environment, revision);
    if (receipts === null) return { exitCode: EXIT_OK, receipts };
    const done = receipts.applied >= receipts.live;
    if (done || io.monotonicMs() - startedMs >= WAIT_MS) return { exitCode: done ? EXIT_OK : EXIT_FAILED, receipts };
    io.progress?.(receiptsLine(receipts));
    await io.sleep(ASK_EVERY_MS);
  }
}

/** The change is made: what cannot be proven is said, and does not fail the command. */
async function readReceipts(
  io: Io,
  api: ApiClient,
  environment: string,
  revision: string,
): Promise<ReceiptsAnswer | null> {
  try {
    return await api.call(
      `/environments/${environment}/receipts?revision=${encodeURIComponent(revision)}`,
      receiptsAnswer,
    );
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    io.err(`The change is made, but its receipts cannot be read with this token: ${error.message}`);
    return null;
  }
}

/** Says how far it got. */
export function sayProof(io: Io, { receipts, exitCode }: Proof): void {
  if (receipts === null) return;
  io.out(receiptsLine(receipts));
  const late = lateLine(receipts);
  if (late !== null) io.err(late);
  if (exitCode !== EXIT_OK) io.err(`Not everywhere yet. Ask again: andon receipts --revision ${receipts.revision}`);
}
