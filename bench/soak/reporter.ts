/**
 * A reporter without patience, by the same rule as the client's: a batch is sent again, the same bytes under the same id,
 * until it is acknowledged, and only then the next. It does not back off, so that usage arrives in every second that the
 * server lives. Invariant: a batch is forgotten only after its acknowledgement.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { makeBatch } from "../../sdk-client/src/reporting/batch.ts";
import { USAGE_PATH, type UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";

const ANSWER_TIMEOUT_MS = 10_000;
const PAUSE_MS = 15;
const RETRY_MS = 30;
const OK = 200;

export class Reporter {
  readonly #instance: string;
  readonly #server: { url: string; token: string };
  readonly #nextRecords: () => readonly UsageRecord[];
  readonly #abandoned = new AbortController();
  #isStopping = false;
  #isDone = false;
  #fault: Error | null = null;
  #sent = 0;
  #acknowledged = 0;
  #repeated = 0;

  /** Begins at once. `nextRecords` is asked for the records of each batch. */
  constructor(instance: string, server: { url: string; token: string }, nextRecords: () => readonly UsageRecord[]) {
    this.#instance = instance;
    this.#server = server;
    this.#nextRecords = nextRecords;
    this.#run().then(
      () => (this.#isDone = true),
      (error: unknown) => {
        if (!this.#abandoned.signal.aborted) this.#fault = error instanceof Error ? error : new Error(String(error));
      },
    );
  }

  /** Requests begun, repeats included. */
  get sent(): number {
    return this.#sent;
  }

  /** Batches acknowledged. Throws when the server has refused one for good. */
  get acknowledged(): number {
    if (this.#fault !== null) throw this.#fault;
    return this.#acknowledged;
  }

  /** Batches that the server had counted before their acknowledgement arrived. */
  get repeated(): number {
    return this.#repeated;
  }

  /** True when it was stopped and its last batch has been acknowledged. */
  get isDone(): boolean {
    if (this.#fault !== null) throw this.#fault;
    return this.#isDone;
  }

  /** Begins no further batch. */
  stop(): void {
    this.#isStopping = true;
  }

  /** Ends it at once, whatever was not acknowledged. */
  abandon(): void {
    this.#abandoned.abort(new Error("abandoned"));
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      const records = this.#nextRecords().map((record) => JSON.stringify(record));
      const { body } = makeBatch(this.#instance, records, {});
      while (!(await this.#isAcknowledged(body, records.length))) await this.#pause(RETRY_MS);
      this.#acknowledged += 1;
      await this.#pause(PAUSE_MS);
    }
  }

  #pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#abandoned.signal });
  }

  async #isAcknowledged(body: string, records: number): Promise<boolean> {
    this.#sent += 1;
    let answer: { status: number; text: string };
    try {
      const response = await fetch(`${this.#server.url}${USAGE_PATH}`, {
        method: "POST",
        headers: { Authorization: `Bearer ${this.#server.token}`, "Content-Type": "application/json" },
        body,
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      answer = { status: response.status, text: await response.text() };
    } catch {
      // The server is away, or died before the answer was whole: nothing was acknowledged.
      return false;
    }
    if (answer.status !== OK) {
      if (answer.status < 500 && answer.status !== 429) {
        throw new Error(`the server refused usage with ${answer.status}: ${answer.text}`);
      }
      return false;
    }
    const { accepted, duplicate }: { accepted: number; duplicate: boolean } = JSON.parse(answer.text);
    if (accepted !== records) throw new Error(`the server took ${accepted} of ${records} records: ${answer.text}`);
    if (duplicate) this.#repeated += 1;
    return true;
  }
}
