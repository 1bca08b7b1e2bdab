/**
 * Batches of one environment that wait to be counted. Invariant: no token can keep those of others waiting: each has its
 * share of the room, and they take turns.
 */
import type { Counted, Submission } from "../../deps.ts";
import { FairShare } from "../../domain/fair-share.ts";

/** Records and counts of checks; a token is refused more than its share of them. */
const MAX_QUEUED_RECORDS = 400_000;
/** Records of one transaction. */
const MAX_RECORDS_PER_TRANSACTION = 20_000;

export interface Waiting {
  submission: Submission;
  resolve: (counted: Counted) => void;
  reject: (error: unknown) => void;
}

export class UsageQueue {
  readonly #room = new FairShare(MAX_QUEUED_RECORDS);
  /** By token, whose turn it is first. */
  readonly #tokens = new Map<string, Waiting[]>();

  get isEmpty(): boolean {
    return this.#tokens.size === 0;
  }

  /** False when its token has too much waiting already. */
  add(waiting: Waiting): boolean {
    const { submission } = waiting;
    const { tokenId } = submission;
    if (!this.#room.take(tokenId, weightOf(submission))) return false;
    const own = this.#tokens.get(tokenId);
    if (own === undefined) this.#tokens.set(tokenId, [waiting]);
    else own.push(waiting);
    return true;
  }

  /** Takes out what one transaction counts: of each token in turn, oldest first. */
  take(): Waiting[] {
    const taken: Waiting[] = [];
    const from = new Map<string, number>();
    let weight = 0;
    while (this.#tokens.size > 0) {
      const [turn] = this.#tokens;
      if (turn === undefined) break;
      const [tokenId, own] = turn;
      const index = from.get(tokenId) ?? 0;
      const next = own[index];
      const more = next === undefined ? 0 : weightOf(next.submission);
      if (taken.length > 0 && weight + more > MAX_RECORDS_PER_TRANSACTION) break;
      this.#tokens.delete(tokenId);
      if (next === undefined) continue;
      this.#tokens.set(tokenId, own);
      from.set(tokenId, index + 1);
      taken.push(next);
      weight += more;
    }
    for (const [tokenId, count] of from) this.#remove(tokenId, count);
    return taken;
  }

  #remove(tokenId: string, count: number): void {
    const own = this.#tokens.get(tokenId);
    if (own === undefined) return;
    own.splice(0, count);
    if (own.length === 0) this.#tokens.delete(tokenId);
  }

  /** Its room is free again: it was counted, or refused. */
  done({ submission }: Waiting): void {
    this.#room.giveBack(submission.tokenId, weightOf(submission));
  }
}

/** An empty batch is not weightless. */
const weightOf = ({ records, checks }: Submission): number => 1 + records.length + (checks?.size ?? 0);
