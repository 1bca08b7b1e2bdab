/**
 * The application of the bill: calls of every kind through every door of the guard, in a process of its own, which must end
 * by itself when its client is closed. It tells what was recorded and how each call ended.
 */
import type Anthropic from "@anthropic-ai/sdk";
import { setTimeout as delay } from "node:timers/promises";
import { Andon } from "../../sdk-client/src/index.ts";
import {
  findFeatureDisabled,
  type GuardHost,
  type GuardOptions,
  guardStats,
  type UsageDraft,
} from "../../sdk-client/src/anthropic.ts";
import { priceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { priceUsage } from "../../sdk-client/src/pricing/price.ts";
import { heapBytes } from "../support/memory.ts";
import { SILENT } from "../support/silent-logger.ts";
import { send, task } from "../support/worker.ts";
import { DOCUMENT_TOKENS, randomOf } from "./bill-endpoint.ts";
import { type BillMessage, billTaskSchema } from "./bill-protocol.ts";
import { type Ask, type DoorName, doorsOf, Truncated } from "./doors.ts";

const MODELS = [
  "claude-opus-5-5",
  "claude-sonnet-5-5",
  "claude-haiku-4-5",
  "claude-fable-5-2",
  "us.anthropic.claude-opus-5-5-v1:0",
] as const;
const ATTEMPT_MS = 1_500;
const IDLE_MS = 1_000;
const CALLS_PER_GUARD = 15;
/** While the flag is off nobody reaches the endpoint. */
const REFUSED_PAUSE_MS = 15;
const CONCURRENT = 24;
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

/** How many of ten calls go by a door. */
const WEIGHTS: readonly (readonly [DoorName, number])[] = [
  ["sdk", 4],
  ["fetch", 3],
  ["langchain", 2],
  ["ai-sdk", 1],
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
const ids: string[] = [];
let clients = clientsOf(host);
let next = 0;

await andon.ready({ timeoutMs: 10_000 });
const warmHeapBytes = await made(Math.floor(given.calls * WARM_UP));
const endHeapBytes = await made(given.calls);
tell({ kind: "callsDone" });
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
      if (next % CALLS_PER_GUARD === 0) clients = clientsOf(host);
      await call(next);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, worker));
  return heapBytes();
}

/** The host, telling what it is told. */
function tapped(of: Andon): GuardHost {
  const { table } = priceTable();
  return new Proxy(of, {
    get(target, property) {
      if (property === "record") {
        return (used: UsageDraft): void => {
          const { costNanoUsd } = priceUsage(table, { ...used, atMs: Date.now(), geo: used.geo ?? null });
          const record = JSON.stringify(used);
          tell({ kind: "recorded", call: used.user ?? "", costNanoUsd, exact: used.exact, record });
          target.record(used);
        };
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

function clientsOf(of: GuardHost): Record<DoorName, Ask>[] {
  const limits = {
    flag: given.flag,
    deadlineMs: DEADLINE_MS,
    attemptTimeoutMs: ATTEMPT_MS,
    idleTimeoutMs: IDLE_MS,
    documentTokens: DOCUMENT_TOKENS * 2,
  };
  const kinds: GuardOptions[] = [
    limits,
    { ...limits, bufferStreams: true },
    { ...limits, fallbackOnRefusal: true, deadlineMs: 2 * ATTEMPT_MS },
  ];
  const live = kinds.map((options) => doorsOf(of, options, given.endpointUrl));
  return [...live, ...live, ...live, doorsOf(of, limits, given.deadUrl)];
}

async function call(number: number): Promise<void> {
  const client = clients[number % clients.length];
  if (client === undefined) throw new Error("there is no client");
  const door = doorOf(random());
  const abort = new AbortController();
  const timer = random() < 0.1 ? setTimeout(() => abort.abort(), random() * 300) : null;
  const leavesAfter = random() < 0.1 ? Math.floor(random() * 8) : null;
  const text = "question ".repeat(1 + Math.floor(random() * 60));
  const body = bodyOf(text);
  const headers = { "x-soak-call": `c${number}`, "andon-user": `c${number}` };
  const startedMs = performance.now();
  let end: string;
  let fault: string | null = null;
  try {
    const taken = await client[door]({ body, text, headers, signal: abort.signal, leavesAfter });
    if (taken.id !== undefined) ids.splice(0, ids.length, taken.id);
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
  tell({ kind: "ended", call: `c${number}`, door, end, tookMs, fault });
}

function doorOf(at: number): DoorName {
  let left = at * WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [door, weight] of WEIGHTS) {
    left -= weight;
    if (left < 0) return door;
  }
  return "sdk";
}

function bodyOf(text: string): Anthropic.MessageCreateParams {
  const content: object[] = [{ type: "text", text }];
  const extra: Record<string, unknown> = {};
  const kind = Math.floor(random() * 12);
  const [block] = content;
  if (kind === 0) content[0] = { ...block, cache_control: { type: "ephemeral" } };
  else if (kind === 1) content[0] = { ...block, cache_control: { type: "ephemeral", ttl: "1h" } };
  else if (kind === 2)
    content.push(source("image", { type: "base64", media_type: "image/png", data: "A".repeat(2_000) }));
  else if (kind === 3) {
    const data = Buffer.from("%PDF-1.4 /Type /Page /Type /Page").toString("base64");
    content.push(source("document", { type: "base64", media_type: "application/pdf", data }));
  } else if (kind === 4) content.push(source("document", { type: "url", url: "https://example.com/a.pdf" }));
  else if (kind === 5) extra["thread"] = { type: "create" };
  else if (kind === 6) extra["thread"] = { type: "continue", previous_message_id: ids[0] ?? "msg_unknown" };
  else if (kind === 7) extra["fallbacks"] = [{ model: "claude-haiku-4-5" }];
  const model = MODELS[Math.floor(random() * MODELS.length)] ?? MODELS[0];
  // Some of it is newer than the types.
  const body: Anthropic.MessageCreateParams = JSON.parse(
    JSON.stringify({
      model,
      max_tokens: 8 + Math.floor(random() * 60),
      stream: random() < 0.5,
      messages: [{ role: "user", content }],
      ...extra,
    }),
  );
  return body;
}

function source(type: string, from: object): object {
  return { type, source: from };
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
async function stillRunning(): Promise<number> {
  const until = performance.now() + COLLECT_TIMEOUT_MS;
  for (;;) {
    const count = Object.values(guardStats(host).running).reduce((sum, each) => sum + each, 0);
    if (count === 0 || performance.now() > until) return count;
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
