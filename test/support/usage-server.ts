/**
 * An Andon server as far as a client's reports need one: serves one snapshot, and takes usage as a test says. Invariant:
 * a batch counts once, by its id, as the real ledger does it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Snapshot } from "../../sdk-client/src/wire/protocol.ts";
import type { StartCredit, UsageBatch, UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";

export interface ReceivedBatch extends UsageBatch {
  /** The body, byte for byte. */
  text: string;
  /** The client's clock as it was sent. */
  sentAtMs: number;
}

/**
 * What comes of one report: `count` counts and answers, `countSilently` counts and loses the answer, a number is a
 * status without counting, `reset` closes the connection, `hang` never answers.
 */
export type ReportFate =
  | "count"
  | "countSilently"
  | "reset"
  | "hang"
  | number
  | { status: number; headers: Record<string, string> }
  | { rejected: { index: number; path: string; message: string }[] }
  | { text: string };

export class UsageServer {
  /** All reports that arrived, repeats included. */
  readonly reports: ReceivedBatch[] = [];
  /** Those that counted, by batch id. */
  readonly counted = new Map<string, ReceivedBatch>();
  /** Fates of the next reports, in turn; then `fate`. */
  readonly next: ReportFate[] = [];
  fate: ReportFate | ((batch: ReceivedBatch) => ReportFate) = "count";
  /** What acknowledgements say is the newest revision; the snapshot's own when null. */
  revision: string | null = null;
  /** What acknowledgements grant. */
  credits: StartCredit[] = [];
  /** Answers to reports wait for this. */
  held: Promise<void> = Promise.resolve();
  /** False: polls are answered at once. */
  parks = true;
  polls = 0;
  snapshot: Snapshot;
  readonly #server = createServer((req, res) => this.#serve(req, res));

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `http://127.0.0.1:${address.port}`;
  }

  /** The records of all batches that counted. */
  get records(): UsageRecord[] {
    return [...this.counted.values()].flatMap((batch) => batch.records);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    if (req.method === "POST") {
      let text = "";
      req.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      req.on("end", () =>
        this.#take({ ...JSON.parse(text), text, sentAtMs: Number(req.headers["andon-sent"]) }, req, res),
      );
      return;
    }
    req.resume();
    if (req.method !== "GET") res.writeHead(204).end();
    else this.#poll(req, res);
  }

  #poll(req: IncomingMessage, res: ServerResponse): void {
    this.polls += 1;
    const isKnown = req.headers["if-none-match"] === `"${this.snapshot.revision}"`;
    // A parked poll is never answered: news must come another way.
    if (isKnown && this.parks && req.headers["prefer"] !== undefined) return;
    const headers = { "content-type": "application/json", etag: `"${this.snapshot.revision}"` };
    if (isKnown) res.writeHead(304, headers).end();
    else res.writeHead(200, headers).end(JSON.stringify(this.snapshot));
  }

  #take(batch: ReceivedBatch, req: IncomingMessage, res: ServerResponse): void {
    this.reports.push(batch);
    const standing = typeof this.fate === "function" ? this.fate(batch) : this.fate;
    const fate = this.next.shift() ?? standing;
    if (fate === "hang") return;
    if (fate === "reset") {
      req.socket.resetAndDestroy();
      return;
    }
    const duplicate = this.counted.has(batch.batchId);
    // A server refuses a body for what it is: one that it took before, it takes again.
    const isRefusal = fate === 413 || fate === 422;
    if (!(isRefusal && duplicate) && (typeof fate === "number" || (typeof fate === "object" && "status" in fate))) {
      const { status, headers } = typeof fate === "number" ? { status: fate, headers: {} } : fate;
      res.writeHead(status, headers).end();
      return;
    }
    if (typeof fate === "object" && "text" in fate) {
      res.writeHead(200, { "content-type": "text/html" }).end(fate.text);
      return;
    }
    if (!duplicate) this.counted.set(batch.batchId, batch);
    if (fate === "countSilently") {
      req.socket.resetAndDestroy();
      return;
    }
    const rejected = typeof fate === "object" ? fate.rejected : [];
    const accepted = batch.records.length - rejected.length;
    void this.held.then(() => {
      const revision = this.revision ?? this.snapshot.revision;
      res.writeHead(200, { "content-type": "application/json" });
      res.end(JSON.stringify({ accepted, duplicate, rejected, revision, credits: this.credits }));
    });
  }
}
