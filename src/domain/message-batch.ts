/** Message batches: which still run, what of their estimates stands, and what came of canceling them, in words. Pure. */
import { BATCH_PART, type BatchState, type CancelOutcome } from "../../sdk-client/src/wire/usage-protocol.ts";
import { usd } from "./alert-text.ts";
import type { PricedRecord } from "./ledger.ts";

/** The provider ends every batch within a day: https://platform.claude.com/docs/en/build-with-claude/batch-processing */
export const BATCH_LIFETIME_MS = 24 * 3_600_000;
/** Its results can be read for 29 days after it was made; then a few for who reports late. */
export const BATCH_KEPT_MS = 32 * 24 * 3_600_000;
/** A client that does not say what came of it is asked again, or another one, after so long. */
export const ORDER_AGAIN_MS = 15_000;
/** So often a client is asked; then it has failed. */
export const MAX_CANCEL_TRIES = 10;

/** A part of what a batch was estimated at, as it is counted in the ledger. */
export interface Estimated {
  flag: string;
  model: string;
  nanoUsd: number;
  /** It counts in their windows, whatever time it is of; what corrects it does too. */
  leaseIds?: string[];
}

/** The record of what a batch may cost: money alone, as its results tell the rest. */
export function isEstimate({ part }: PricedRecord["record"]): boolean {
  return part === BATCH_PART;
}

/**
 * Takes so much from what stands, of the same model first. Answers what is left, and what was taken: never more than there
 * was.
 */
export function takeEstimate(
  left: readonly Estimated[],
  nanoUsd: number,
  model: string | null,
): { left: Estimated[]; taken: Estimated[] } {
  const inOrder = left.toSorted((a, b) => Number(b.model === model) - Number(a.model === model));
  const result: { left: Estimated[]; taken: Estimated[] } = { left: [], taken: [] };
  let rest = nanoUsd;
  for (const each of inOrder) {
    const part = Math.min(each.nanoUsd, rest);
    rest -= part;
    if (part > 0) result.taken.push({ ...each, nanoUsd: part });
    if (part < each.nanoUsd) result.left.push({ ...each, nanoUsd: each.nanoUsd - part });
  }
  return result;
}

/** What a batch says of itself. */
export interface BatchFacts {
  flag: string;
  state: BatchState;
  instance: string;
  submittedAt: Date;
  left: readonly Estimated[];
  askedAt: Date | null;
  askedBy: string | null;
  orderedAt: Date | null;
  outcome: CancelOutcome | null;
}

export function isRunning({ state, submittedAt }: Pick<BatchFacts, "state" | "submittedAt">, nowMs: number): boolean {
  return (state === "running" || state === "canceling") && nowMs - submittedAt.getTime() < BATCH_LIFETIME_MS;
}

/** It can be asked to be canceled: nobody has, or it has failed. */
export function isCancelable(batch: BatchFacts, nowMs: number): boolean {
  if (!isRunning(batch, nowMs) || batch.state === "canceling") return false;
  return batch.askedAt === null || batch.outcome === "failed" || batch.outcome === "unknown";
}

export const standingNanoUsd = ({ left }: Pick<BatchFacts, "left">): number =>
  left.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0);

const STATES: Readonly<Record<BatchState, number>> = { running: 0, canceling: 1, ended: 2, settled: 3 };

/** What is known of it never goes back. */
export function laterState(known: BatchState, told: BatchState): BatchState {
  return STATES[told] > STATES[known] ? told : known;
}

/** "3 batches". */
export const counted = (n: number): string => (n === 1 ? "1 batch" : `${n} batches`);

/** Those that can be asked to be canceled, "3 batches are running, estimated at $41.00 at most"; null when there are none. */
export function runningWords(batches: readonly BatchFacts[], nowMs: number): { batches: string; words: string } | null {
  const running = batches.filter((batch) => isCancelable(batch, nowMs));
  if (running.length === 0) return null;
  const sum = running.reduce((nanoUsd, batch) => nanoUsd + standingNanoUsd(batch), 0);
  const worth = sum === 0 ? "" : `, estimated at ${usd(sum)} at most`;
  const known = counted(running.length);
  return { batches: known, words: `${known} ${running.length === 1 ? "is" : "are"} running${worth}` };
}

/** The last time that somebody asked to cancel some: how many, who, when, and what came of it. */
export interface Asked {
  batches: string;
  by: string | null;
  at: Date;
  /** "canceled 2 of 3; 1 had ended" */
  came: string;
}

/** Null when nobody has asked. */
export function lastAsked(batches: readonly BatchFacts[]): Asked | null {
  const askedMs = Math.max(...batches.map(({ askedAt }) => askedAt?.getTime() ?? Number.NEGATIVE_INFINITY));
  const asked = batches.filter(({ askedAt }) => askedAt?.getTime() === askedMs);
  const [first] = asked;
  if (first === undefined) return null;
  const of = (outcome: CancelOutcome): number => asked.filter((batch) => batch.outcome === outcome).length;
  const waiting = asked.filter(({ outcome }) => outcome === null);
  const parts = [
    of("canceled") > 0 ? `canceled ${of("canceled")} of ${asked.length}` : null,
    of("ended") > 0 ? `${of("ended")} had ended` : null,
    of("unknown") + of("failed") > 0 ? `${of("unknown") + of("failed")} could not be canceled` : null,
    waiting.length > 0 ? waitingWords(waiting) : null,
  ].filter((part) => part !== null);
  return { batches: counted(asked.length), by: first.askedBy, at: new Date(askedMs), came: parts.join("; ") };
}

/** The server has no key of the provider's: it waits for a client that has. */
function waitingWords(waiting: readonly BatchFacts[]): string {
  const names = [...new Set(waiting.map(({ instance }) => instance))].toSorted();
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  const who = `${names.slice(0, 3).join(", ")}${more}`;
  return `${waiting.length} ${waiting.length === 1 ? "waits" : "wait"} for ${who} to ask Claude, or another instance that has asked it about batches`;
}
