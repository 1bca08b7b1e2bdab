/**
 * The message batches of one client: tells its server which run, and asks the API to cancel those that the server names, as
 * the server has no key of the API. Invariants: what is kept is bounded; a batch is canceled only when the server says so.
 */
import type { GuardHost, ReportPart } from "../guard-host.ts";
import { isObject, parseObject } from "../wire/json.ts";
import {
  type BatchNews,
  type CancelOutcome,
  MAX_BATCHES_PER_REPORT,
  RECORD_FIELDS,
  storable,
} from "../wire/usage-protocol.ts";
import { reportPartsOf } from "./report-parts.ts";
import type { RequestLike } from "./types.ts";

/** Running batches that are followed. */
const MAX_RUNNING = 1_000;
/** Untold news that are kept; of more, the oldest go: the server knows these batches as running. */
const MAX_UNTOLD = 5_000;
/** The API ends every batch within 24 hours: https://platform.claude.com/docs/en/build-with-claude/batch-processing */
const LIFETIME_MS = 25 * 3_600_000;
/** While a batch runs, the server is asked this often whether it is to be canceled. */
const ASK_AGAIN_MS = 5_000;
const CANCEL_TIMEOUT_MS = 10_000;
const COLLECTION = /^(.*?\/v1\/messages\/batches)[^?#]*(\?[^#]*)?/;

/** How the API can be asked about batches of an account: as it was asked before. */
interface Way {
  collection: string;
  query: string;
  headers: Headers;
  send: (asking: RequestLike) => Promise<Response>;
}

interface Running {
  way: Way | null;
  sinceMs: number;
}

export class Batches implements ReportPart {
  readonly #host: GuardHost;
  readonly #running = new Map<string, Running>();
  #untold = new Map<string, BatchNews>();
  #told = new Map<string, BatchNews>();
  /** Of the last request about batches: for those that another process has submitted. */
  #way: Way | null = null;
  readonly #canceling = new Set<string>();
  #takenMs = 0;

  constructor(host: GuardHost) {
    this.#host = host;
    reportPartsOf(host).add(this);
    // Never unsubscribed: there is one of these per host, and it lives as long. A press in Andon makes a new revision.
    host.onApplied(() => {
      if (this.#running.size > 0) host.reportNow();
    });
  }

  /** The API has taken it. `by`: how it was asked. */
  submitted(id: string, told: { flag: string; requests: number; atMs: number; by: Way | null }): void {
    const { flag, requests, atMs, by } = told;
    this.#run(id, by);
    this.#tell({ id, flag, state: "running", at: atMs, requests });
  }

  /** What the API says of a batch. One that has ended without a single answer was not billed: there is nothing to wait for. */
  seen(batch: Readonly<Record<string, unknown>>, flag: string, by: Way | null): void {
    const { id, processing_status: status, request_counts: counts, created_at: createdAt } = batch;
    if (typeof id !== "string") return;
    const isKnown = this.#running.has(id);
    if (status === "in_progress" || status === "canceling") {
      this.#run(id, by);
      if (isKnown) return;
      const at = typeof createdAt === "string" ? Date.parse(createdAt) : Number.NaN;
      const state = status === "canceling" ? "canceling" : "running";
      this.#tell({ id, flag, state, ...(Number.isNaN(at) ? {} : { at }), requests: sumOf(counts) });
    } else if (status === "ended") {
      this.#running.delete(id);
      const isUnanswered = isObject(counts) && counts["succeeded"] === 0;
      if (isKnown || isUnanswered) this.#tell({ id, flag, state: isUnanswered ? "settled" : "ended" });
    }
  }

  /** All its results have been read. */
  settled(id: string, flag: string): void {
    this.#running.delete(id);
    this.#tell({ id, flag, state: "settled" });
  }

  get isDue(): boolean {
    if (this.#untold.size > 0) return true;
    return this.#running.size > 0 && Date.now() - this.#takenMs >= ASK_AGAIN_MS;
  }

  take(): string {
    this.#forgetOld();
    const isAble = this.#way !== null || this.#running.size > 0;
    if (!isAble && this.#untold.size === 0) return "";
    this.#takenMs = Date.now();
    const told = [...this.#untold].slice(0, MAX_BATCHES_PER_REPORT);
    this.#told = new Map(told);
    for (const [id] of told) this.#untold.delete(id);
    return `,"messageBatches":${JSON.stringify([...this.#told.values()])}`;
  }

  counted(answer: Readonly<Record<string, unknown>>): void {
    this.#told = new Map();
    const ids: unknown = answer["cancelBatches"];
    for (const id of Array.isArray(ids) ? (ids as unknown[]) : []) if (typeof id === "string") void this.#cancel(id);
    if (this.#untold.size > 0) this.#host.reportNow();
  }

  lost(): void {
    // What is newer says more.
    this.#untold = new Map([...this.#told, ...this.#untold]);
    this.#told = new Map();
  }

  /** What a request about batches tells of how the API is asked. Its body is not kept. */
  wayOf<R extends RequestLike>(request: R, next: (request: R) => Promise<Response>): Way | null {
    const [, collection, query = ""] = COLLECTION.exec(request.url) ?? [];
    if (collection === undefined) return null;
    const bare: R = { ...request };
    const written: RequestLike = bare;
    written.body = undefined;
    written.signal = undefined;
    const headers = new Headers(request.headers);
    for (const name of ["content-length", "content-type", "idempotency-key"]) headers.delete(name);
    this.#way = { collection, query, headers, send: (asking) => next({ ...bare, ...asking }) };
    return this.#way;
  }

  #run(id: string, by: Way | null): void {
    const known = this.#running.get(id);
    this.#running.set(id, { way: by ?? known?.way ?? null, sinceMs: known?.sinceMs ?? Date.now() });
    for (const oldest of this.#running.keys()) {
      if (this.#running.size <= MAX_RUNNING) return;
      this.#running.delete(oldest);
    }
  }

  #tell(news: BatchNews): void {
    const before = this.#untold.get(news.id);
    this.#untold.delete(news.id);
    this.#untold.set(news.id, { ...before, ...news });
    for (const oldest of this.#untold.keys()) {
      if (this.#untold.size <= MAX_UNTOLD) break;
      this.#untold.delete(oldest);
    }
    this.#host.reportNow();
  }

  #forgetOld(): void {
    const beforeMs = Date.now() - LIFETIME_MS;
    for (const [id, { sinceMs }] of this.#running) if (sinceMs < beforeMs) this.#running.delete(id);
  }

  async #cancel(id: string): Promise<void> {
    const way = this.#running.get(id)?.way ?? this.#way;
    if (way === null || this.#canceling.has(id)) return;
    this.#canceling.add(id);
    const { outcome, detail } = await cancel(way, id);
    this.#canceling.delete(id);
    this.#host.logger.info({ batch: id, outcome, detail }, "a message batch was to be canceled");
    if (outcome === "ended") this.#running.delete(id);
    const state = outcome === "canceled" ? "canceling" : outcome === "ended" ? "ended" : "running";
    this.#tell({ id, state, cancel: { outcome, detail } });
  }
}

/** Never rejects. */
async function cancel(way: Way, id: string): Promise<{ outcome: CancelOutcome; detail: string }> {
  const ask = async (method: string, path: string) => {
    const url = `${way.collection}/${encodeURIComponent(id)}${path}${way.query}`;
    const headers = new Headers(way.headers);
    const response = await way.send({ url, method, headers, signal: AbortSignal.timeout(CANCEL_TIMEOUT_MS) });
    return { response, text: await response.text() };
  };
  try {
    const { response, text } = await ask("POST", "/cancel");
    const status = parseObject(text)?.["processing_status"];
    if (response.ok) return { outcome: status === "ended" ? "ended" : "canceled", detail: "" };
    // One that has ended cannot be canceled; what the API says of it then is not documented.
    const now = await ask("GET", "");
    if (parseObject(now.text)?.["processing_status"] === "ended") return { outcome: "ended", detail: "" };
    const detail = bounded(`status ${response.status}: ${text}`);
    return { outcome: response.status === 404 ? "unknown" : "failed", detail };
  } catch (error) {
    return { outcome: "failed", detail: bounded(error instanceof Error ? error.message : "") };
  }
}

function bounded(text: string): string {
  return storable(text, RECORD_FIELDS.errorType.max);
}

function sumOf(counts: unknown): number {
  let sum = 0;
  for (const count of Object.values(isObject(counts) ? counts : {})) if (typeof count === "number") sum += count;
  return sum;
}

const byHost = new WeakMap<GuardHost, Batches>();

/** The message batches of a host, made on first use. */
export function batchesOf(host: GuardHost): Batches {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new Batches(host);
  byHost.set(host, made);
  return made;
}
