/**
 * The application of the bill: calls of every kind through every door of the guard, in a process of its own, which must end
 * by itself when its client is closed. It tells what was recorded and how each call ended.
 */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Andon } from "../../sdk-client/src/index.ts";
import {
  findFeatureDisabled,
  type GuardHost,
  type GuardOptions,
  type UsageDraft,
} from "../../sdk-client/src/anthropic.ts";
import { priceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { priceUsage } from "../../sdk-client/src/pricing/price.ts";
import { BATCH_PART } from "../../sdk-client/src/wire/usage-protocol.ts";
import { inFlightOf } from "../../sdk-client/src/guard/in-flight.ts";
import { heapBytes } from "../support/memory.ts";
import { SILENT } from "../support/silent-logger.ts";
import { send, task } from "../support/worker.ts";
import { nextBody } from "./bill-bodies.ts";
import { DOCUMENT_TOKENS, HEADER_CALL, HEADER_FLAG, randomOf } from "./bill-endpoint.ts";
import { type BillMessage, billTaskSchema } from "./bill-protocol.ts";
import { type Ask, type DoorName, doorsOf, Truncated } from "./doors.ts";

const ATTEMPT_MS = 1_500;
const IDLE_MS = 1_000;
/** Of all clients together. */
const CALLS_PER_GUARD = 3;
/** While the flag is off nobody reaches the endpoint. */
const REFUSED_PAUSE_MS = 15;
const SESSIONS = 50;
/** Answers of threads that are known to be continued. */
const THREADS_KEPT = 20;
/** Of all calls, those before the heap is first looked at. */
const WARM_UP = 0.25;
const DRAIN_TIMEOUT_MS = 60_000;
const DRAIN_LOOK_MS = 100;
const MAX_CAUSES = 5;
const COLLECT_TIMEOUT_MS = 30_000;
const MAX_UNHANDLED = 20;
const DEADLINE_MS = 8_000;
/** What a stream may take once its content has begun, and a busy machine on top. */
const STREAM_MS = 3_000;
const LATE_MS = 3_000;

/** How many calls go by a door, as shares. */
const WEIGHTS: readonly (readonly [DoorName, number])[] = [
  ["sdk", 5],
  ["fetch", 5],
  ["langchain", 1],
  ["ai-sdk", 1],
  ["batches", 0.5],
];

const given = task(billTaskSchema);
const random = randomOf(given.seed);
const unhandled: string[] = [];
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    if (unhandled.length < MAX_UNHANDLED) unhandled.push(`${event}: ${textOf(error)}`);
  });
}

const andon = new Andon({ url: given.url, token: given.token, flushIntervalMs: 200, logger: SILENT });
const host = tapped(andon);
const threads: string[] = [];
const makers = makersOf(host);
const clients = makers.map((make) => make());
let next = 0;

await andon.ready({ timeoutMs: 10_000 });
const warmHeapBytes = await made(Math.floor(given.calls * WARM_UP));
const endHeapBytes = await made(given.calls);
// Unrest ends first: what is given back at the close while no server can be told of it expires.
const isOver = once(process, "message");
process.channel?.ref();
tell({ kind: "callsDone" });
await isOver;
process.channel?.unref();
await drained();
const { waiting, droppedRecords: dropped } = andon.usageStats();
const running = await stillRunning();
await andon.close();
// What this process says its last words by is open, and its output.
const resources = process.getActiveResourcesInfo().filter((name) => !/^(Pipe|TTY|FSReq)/.test(name));
tell({ kind: "closed", unhandled, running, dropped, waiting, resources, warmHeapBytes, endHeapBytes });

/** Makes calls until there were so many; bytes of the heap when all of them are over. */
async function made(calls: number): Promise<number> {
  const worker = async (): Promise<void> => {
    while (next < calls) {
      next += 1;
      // So many failures open every breaker: new guards have seen none.
      if (next % CALLS_PER_GUARD === 0) renew(next / CALLS_PER_GUARD);
      await call(next);
    }
  };
  await Promise.all(Array.from({ length: given.concurrent }, worker));
  return heapBytes();
}

/** The host, telling what it is told. */
function tapped(of: Andon): GuardHost {
  const { table } = priceTable();
  return new Proxy(of, {
    get(target, property) {
      if (property === "record") {
        return (used: UsageDraft): void => {
          // The ledger takes the estimate of a batch back when its results are read, which these callers do at once.
          if (used.part === BATCH_PART && used.messageBatch !== undefined) {
            target.record(used);
            return;
          }
          const { costNanoUsd } = priceUsage(table, { ...used, atMs: Date.now(), geo: used.geo ?? null });
          const { flag, exact, user = null } = used;
          const request = used.requestId ?? requestOfResult(used.id);
          tell({ kind: "recorded", flag, call: user, request, costNanoUsd, exact, record: JSON.stringify(used) });
          target.record(used);
        };
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

/** `msgbatch_1:r0:0` is a part of what the endpoint calls `msgbatch_1:r0`; null for no result of a batch. */
function requestOfResult(id: string | undefined): string | null {
  return id === undefined ? null : (/^(msgbatch_\d+:\w+):\d+$/.exec(id)?.[1] ?? null);
}

interface Client {
  flag: string;
  doors: Record<DoorName, Ask>;
}

/** Of all flags, guarded in every way; and one whose endpoint is away. */
function makersOf(of: GuardHost): (() => Client)[] {
  const live = given.flags.flatMap((flag) =>
    waysOf(flag).map((options) => () => clientOf(of, options, given.endpointUrl)),
  );
  const [flag = ""] = given.flags;
  const away = { flag, deadlineMs: DEADLINE_MS, attemptTimeoutMs: ATTEMPT_MS };
  return [...live, () => clientOf(of, away, given.deadUrl)];
}

/** One client after the other gives way to a new one. */
function renew(turn: number): void {
  const at = turn % makers.length;
  const client = makers[at]?.();
  if (client !== undefined) clients[at] = client;
}

function clientOf(of: GuardHost, options: GuardOptions, url: string): Client {
  return { flag: options.flag, doors: doorsOf(of, options, url) };
}

function waysOf(flag: string): GuardOptions[] {
  const limits = {
    flag,
    deadlineMs: DEADLINE_MS,
    attemptTimeoutMs: ATTEMPT_MS,
    idleTimeoutMs: IDLE_MS,
    documentTokens: DOCUMENT_TOKENS * 2,
  };
  return [
    limits,
    { ...limits, bufferStreams: true },
    { ...limits, fallbackOnRefusal: true, deadlineMs: 2 * ATTEMPT_MS },
  ];
}

async function call(number: number): Promise<void> {
  const client = clients[number % clients.length];
  if (client === undefined) throw new Error("there is no client");
  const door = doorOf(random());
  const abort = new AbortController();
  const timer = random() < 0.1 ? setTimeout(() => abort.abort(), random() * 300) : null;
  const leavesAfter = random() < 0.1 ? Math.floor(random() * 8) : null;
  const { kind, body, text } = nextBody(random, threads);
  const headers = {
    [HEADER_CALL]: `c${number}`,
    [HEADER_FLAG]: client.flag,
    "andon-user": `c${number}`,
    "andon-session": `s${number % SESSIONS}`,
  };
  const startedMs = performance.now();
  let end: string;
  let fault: string | null = null;
  try {
    const taken = await client.doors[door]({ body, text, headers, signal: abort.signal, leavesAfter });
    if (taken.id !== undefined && (kind === "thread" || kind === "continued")) threads.unshift(taken.id);
    threads.splice(THREADS_KEPT);
    ({ end } = taken);
  } catch (error) {
    // Failing is what many of them do; what matters is how, and what they are recorded at.
    end = endOf(error, abort.signal.aborted);
    fault = faultOf(error);
    if (end === "off") await delay(REFUSED_PAUSE_MS);
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
  const tookMs = performance.now() - startedMs;
  const longestMs = DEADLINE_MS + LATE_MS + (body.stream === true ? STREAM_MS : 0);
  if (tookMs > longestMs) fault ??= `took ${Math.round(tookMs)} ms, and ended as ${end}`;
  tell({ kind: "ended", call: `c${number}`, door, asked: door === "batches" ? "batch" : kind, end, tookMs, fault });
}

function doorOf(at: number): DoorName {
  let left = at * WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [door, weight] of WEIGHTS) {
    left -= weight;
    if (left < 0) return door;
  }
  return "sdk";
}

/** What a caller can tell of how its call ended. */
function endOf(error: unknown, isAborted: boolean): string {
  if (findFeatureDisabled(error) !== null) return "off";
  if (isAborted) return "aborted";
  const chain = causesOf(error);
  const code = chain.map((each) => each["code"]).find((each) => typeof each === "string" && each.startsWith("ANDON_"));
  if (typeof code === "string") return code;
  const status = chain.map((each) => each["status"] ?? each["statusCode"]).find((each) => typeof each === "number");
  if (status !== undefined) return `status ${String(status)}`;
  return error instanceof Error ? error.name : typeof error;
}

/** An answer that looked complete, or a mistake of ours: thrown by code of the client that means no such thing. */
function faultOf(error: unknown): string | null {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  if (error instanceof Truncated) return error.message;
  const isMistake = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  const [, thrownAt = ""] = /\n\s+at (.*)/.exec(error.stack ?? "") ?? [];
  return isMistake && thrownAt.includes("/sdk-client/") ? textOf(error) : null;
}

/** The error and what it was thrown for, as a library wraps it. */
function causesOf(error: unknown): Record<string, unknown>[] {
  const chain: Record<string, unknown>[] = [];
  for (let each = error; typeof each === "object" && each !== null && chain.length < MAX_CAUSES;) {
    const told: Record<string, unknown> = { ...each };
    const cause: unknown = Reflect.get(each, "cause");
    chain.push(told);
    each = cause ?? told["lastError"];
  }
  return chain;
}

/** Calls that the guard takes for running: streams that a library has dropped without a word end with the garbage. */
async function stillRunning(): Promise<string[]> {
  const until = performance.now() + COLLECT_TIMEOUT_MS;
  for (;;) {
    const calls = [...inFlightOf(host)];
    if (calls.length === 0 || performance.now() > until) {
      return calls.map(({ flag, context }) => `${context.targetingKey ?? "a call"} of ${flag}`);
    }
    await heapBytes();
  }
}

async function drained(): Promise<void> {
  const until = performance.now() + DRAIN_TIMEOUT_MS;
  while (performance.now() < until) {
    if ((await andon.flush()) && andon.usageStats().waiting === 0) return;
    await delay(DRAIN_LOOK_MS);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function tell(message: BillMessage): void {
  send(message);
}
