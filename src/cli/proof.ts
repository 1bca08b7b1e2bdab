/** Waits until every live instance has applied a change, counting up; bounded, and honest about who has not. */
import type { ApiClient } from "./api-client.ts";
import { type ReceiptsAnswer, receiptsAnswer } from "./answers.ts";
import { CliError, EXIT_OK, EXIT_UNCONFIRMED, type Io } from "./io.ts";
import { following, isProbablyGone, lateLines, receiptsLine, refusalLines } from "./text.ts";

const WAIT_MS = 10_000;
/** So long even those get who seem to be gone: a client that runs answers a change, or reconnects, within a second. */
const WAIT_FOR_GONE_MS = 3_000;
const ASK_EVERY_MS = 200;

export interface Proof {
  exitCode: number;
  /** Null when this token may not read receipts. */
  receipts: ReceiptsAnswer | null;
}

/**
 * Asks for the receipts of `revision` until all that follow it have applied it, for at most 10 s, or until only such are
 * left as were lost. EXIT_UNCONFIRMED when some have not applied it, or when nobody can tell.
 */
export async function waitForReceipts(io: Io, api: ApiClient, environment: string, revision: string): Promise<Proof> {
  const startedMs = io.monotonicMs();
  for (;;) {
    const receipts = await readReceipts(io, api, environment, revision);
    if (receipts === null) return { exitCode: EXIT_UNCONFIRMED, receipts };
    if (receipts.applied >= following(receipts)) {
      // Of clients that are not counted nobody can tell.
      return { exitCode: receipts.notCounted.length === 0 ? EXIT_OK : EXIT_UNCONFIRMED, receipts };
    }
    const waitMs = nobodyLeft(receipts) ? WAIT_FOR_GONE_MS : WAIT_MS;
    if (io.monotonicMs() - startedMs >= waitMs) return { exitCode: EXIT_UNCONFIRMED, receipts };
    io.progress?.(receiptsLine(receipts));
    await io.sleep(ASK_EVERY_MS);
  }
}

/** True when all that have not applied it were lost, or are probably gone. */
function nobodyLeft(receipts: ReceiptsAnswer): boolean {
  const missing = following(receipts) - receipts.applied;
  if (missing <= receipts.lost) return true;
  // A list that was cut does not tell.
  return receipts.stragglers.length === missing && receipts.stragglers.every(isProbablyGone);
}

/** The change is made: what cannot be proven is said. */
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

/** As a shell takes it: a second process of one name is `host-7 (2)`. */
function quoted(name: string): string {
  return /^[\w.:@/-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

/** Says how far it got. */
export function sayProof(io: Io, { receipts, exitCode }: Proof): void {
  if (receipts === null) return;
  io.out(receiptsLine(receipts));
  for (const line of refusalLines(receipts)) io.out(line);
  for (const line of lateLines(receipts)) io.err(line);
  if (exitCode === EXIT_OK) return;
  const [lost] = receipts.lostInstances;
  if (lost !== undefined) io.err(`If you know that one is dead: andon declare-dead ${quoted(lost)}`);
  io.err(`The change is made, but not confirmed by all. Ask again: andon receipts --revision ${receipts.revision}`);
}
