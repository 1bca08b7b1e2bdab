/**
 * The verdicts of every environment in memory, as clients ask for them: the newest entry about each subject, in the order
 * of the log. Bounded: what has ended goes, and of more than MAX_VERDICTS the oldest. All who wait share one answer.
 */
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { MAX_VERDICTS, type Verdict, type VerdictsAnswer } from "../../../sdk-client/src/wire/verdict-protocol.ts";
import type { Clock } from "../../clock.ts";
import type { Db } from "../../db/types.ts";
import type { PreparedVerdicts, VerdictLog } from "../../deps.ts";
import { Coalesced } from "../shared/coalesce.ts";
import { LongPolls } from "../snapshots/long-polls.ts";
import type { PollConnection } from "../snapshots/poll-connection.ts";
import { type LoggedVerdict, readVerdicts } from "./rows.ts";

/** Those who wait are let go at most so often: a fleet comes back each time. */
const PUBLISH_EVERY_MS = 150;
/** Answers kept of one state of the log: clients that wait have the same end, and those that were busy one of a few. */
const MAX_KEPT_ANSWERS = 32;
/** Clients refuse bodies of more than 8 MiB. */
const MAX_ANSWER_BYTES = 7 * 1024 * 1024;
const FULL = -1;

const compress = promisify(gzip);

interface Log {
  lineage: string;
  n: number;
  /** Who knows less may have missed a lift that is gone. */
  floor: number;
  entries: Map<string, LoggedVerdict>;
  answers: Map<number, Promise<PreparedVerdicts>>;
  refresh: Coalesced;
  publishedAtMs: number | null;
  publishing: { cancel(): void } | null;
}

export class DatabaseVerdictLog implements VerdictLog {
  readonly #db: Db;
  readonly #clock: Clock;
  readonly #lineageOf: (environmentId: string) => string;
  readonly #parked: LongPolls;
  readonly #logs = new Map<string, Log>();

  /** `random` is in [0, 1); `lineageOf` an environment's lineage as it is served. */
  constructor(options: { db: Db; clock: Clock; random: () => number; lineageOf: (environmentId: string) => string }) {
    this.#db = options.db;
    this.#clock = options.clock;
    this.#lineageOf = options.lineageOf;
    this.#parked = new LongPolls(options.clock, options.random);
  }

  refresh(environmentId: string): Promise<void> {
    return this.#logOf(environmentId).refresh.run();
  }

  /** Takes the ends of all logs that a version check saw. */
  async reconcile(heads: ReadonlyMap<string, number>): Promise<void> {
    for (const id of this.#logs.keys()) {
      if (heads.has(id)) continue;
      this.#logs.delete(id);
      this.#parked.release(id);
    }
    const behind = [...heads].filter(([id, n]) => {
      const log = this.#logOf(id);
      return log.n !== n || log.lineage !== this.#lineageOf(id);
    });
    await Promise.all(behind.map(([id]) => this.refresh(id)));
  }

  has(environmentId: string, budgetId: string, subject: string): boolean {
    return this.#logs.get(environmentId)?.entries.has(keyOf({ budgetId, subject })) === true;
  }

  end(environmentId: string): { n: number; lineage: string } {
    const { n, lineage } = this.#logOf(environmentId);
    return { n, lineage };
  }

  answer(environmentId: string, after: { n: number; lineage: string | null } | null): Promise<PreparedVerdicts> {
    const log = this.#logOf(environmentId);
    const isOfLog = after !== null && after.n <= log.n && (after.lineage === null || after.lineage === log.lineage);
    const from = isOfLog && after.n >= log.floor ? after.n : FULL;
    let prepared = log.answers.get(from);
    if (prepared === undefined) {
      if (log.answers.size >= MAX_KEPT_ANSWERS) log.answers.clear();
      prepared = prepare(log, from, this.#clock.nowMs());
      log.answers.set(from, prepared);
    }
    return prepared;
  }

  get parks(): boolean {
    return this.#parked.open;
  }

  park(environmentId: string, timeoutMs: number, connection: PollConnection, then: (gone: boolean) => void): void {
    this.#parked.park(environmentId, timeoutMs, connection, then);
  }

  releaseAll(): void {
    this.#parked.releaseAll();
  }

  /** Answers all who wait and parks nobody any more. */
  drain(): void {
    for (const log of this.#logs.values()) log.publishing?.cancel();
    this.#parked.drain();
  }

  #logOf(environmentId: string): Log {
    const known = this.#logs.get(environmentId);
    if (known !== undefined) return known;
    const log: Log = {
      lineage: this.#lineageOf(environmentId),
      n: 0,
      floor: 0,
      entries: new Map(),
      answers: new Map(),
      refresh: new Coalesced(() => this.#read(environmentId, log)),
      publishedAtMs: null,
      publishing: null,
    };
    this.#logs.set(environmentId, log);
    return log;
  }

  async #read(environmentId: string, log: Log): Promise<void> {
    const lineage = this.#lineageOf(environmentId);
    // History was rewound: what was read before may never have been.
    const isRewound = lineage !== log.lineage;
    const { n, floor, entries } = await readVerdicts(this.#db, environmentId, isRewound ? 0 : log.n);
    if (!isRewound && n <= log.n) return;
    if (isRewound) {
      log.lineage = lineage;
      log.floor = 0;
      log.entries.clear();
    }
    log.n = n;
    log.floor = Math.max(log.floor, floor);
    for (const entry of entries) {
      // The newest comes last.
      log.entries.delete(keyOf(entry));
      log.entries.set(keyOf(entry), entry);
    }
    this.#forget(log);
    log.answers.clear();
    this.#publish(environmentId, log);
  }

  #forget(log: Log): void {
    const nowMs = this.#clock.nowMs();
    if (log.entries.size <= MAX_VERDICTS) return;
    for (const [key, { untilMs }] of log.entries) if (untilMs <= nowMs) log.entries.delete(key);
    for (const [key, { n }] of log.entries) {
      if (log.entries.size <= MAX_VERDICTS) break;
      log.entries.delete(key);
      log.floor = n;
    }
  }

  #publish(environmentId: string, log: Log): void {
    if (log.publishing !== null) return;
    const sinceMs = log.publishedAtMs === null ? PUBLISH_EVERY_MS : this.#clock.monotonicMs() - log.publishedAtMs;
    const publish = (): void => {
      log.publishing = null;
      log.publishedAtMs = this.#clock.monotonicMs();
      this.#parked.release(environmentId);
    };
    if (sinceMs >= PUBLISH_EVERY_MS) publish();
    else log.publishing = this.#clock.schedule(PUBLISH_EVERY_MS - sinceMs, publish);
  }
}

/** A verdict as clients are told it. */
export function verdictOf({ n, budgetId, subject, action, level, untilMs }: LoggedVerdict): Verdict {
  const until = new Date(untilMs).toISOString();
  return { n, budgetId, subject, action, ...(level !== null && { level }), until };
}

async function prepare(log: Log, from: number, nowMs: number): Promise<PreparedVerdicts> {
  const told = [...log.entries.values()].filter(
    ({ n, action, untilMs }) => n > from && untilMs > nowMs && (from !== FULL || action !== "lift"),
  );
  const head: Omit<VerdictsAnswer, "verdicts"> = { n: log.n, lineage: log.lineage, full: from === FULL };
  const json = Buffer.from(`${JSON.stringify(head).slice(0, -1)},"verdicts":[${newestOf(told).join(",")}]}`);
  return { json, gzip: await compress(json) };
}

/** As JSON, the newest that clients take in one body: whom they are not told of so is told with the next report. */
function newestOf(told: readonly LoggedVerdict[]): string[] {
  const texts: string[] = [];
  let bytes = 0;
  for (const entry of told.toReversed()) {
    const text = JSON.stringify(verdictOf(entry));
    bytes += Buffer.byteLength(text) + 1;
    if (bytes > MAX_ANSWER_BYTES) break;
    texts.push(text);
  }
  return texts.toReversed();
}

function keyOf({ budgetId, subject }: { budgetId: string; subject: string }): string {
  return `${budgetId} ${subject}`;
}
