/**
 * The bill: calls of every kind and end through guarded clients, against an endpoint that keeps a bill of its own, while
 * switches, levels and blocks change. Invariants looked at: no call's records are below its bill, those of a call that are all
 * exact are equal to it, and the ledger holds what the records come to.
 */
import Anthropic from "@anthropic-ai/sdk";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { Andon } from "../../sdk-client/src/index.ts";
import {
  guard,
  type GuardHost,
  type GuardOptions,
  isFeatureDisabled,
  type UsageDraft,
} from "../../sdk-client/src/anthropic.ts";
import { priceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { priceUsage } from "../../sdk-client/src/pricing/price.ts";
import { OperatorApi, tokenSchema } from "../../src/demo/story/operator-api.ts";
import { waitUntil } from "../../src/demo/story/wait.ts";
import { ENVIRONMENT_PATH } from "../support/andon-server.ts";
import { SILENT } from "../support/silent-logger.ts";
import { BillEndpoint, DOCUMENT_TOKENS, randomOf, type Random } from "./bill-endpoint.ts";

const FLAG = "billed";
const CHAIN = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"] as const;
const MODELS = [...CHAIN, "claude-fable-5-2", "us.anthropic.claude-opus-5-5-v1:0"] as const;
const ATTEMPT_MS = 1_500;
const IDLE_MS = 1_000;
const CHANGE_EVERY_MS = 400;
const DRAIN_TIMEOUT_MS = 60_000;
const MAX_FAULTS = 20;
const CALLS_PER_GUARD = 15;
/** While the flag is off nobody reaches the endpoint. */
const REFUSED_PAUSE_MS = 15;
const CONCURRENT = 24;

export interface BillOptions {
  url: string;
  adminToken: string;
  /** Requests that reach the endpoint, at least. */
  calls: number;
  seed: number;
  signal?: AbortSignal;
}

export interface BillVerdict {
  /** Empty when everything held. */
  faults: string[];
  seed: number;
  /** Calls that were made, and those of them that cost something. */
  calls: number;
  billedCalls: number;
  exactCalls: number;
  billNanoUsd: number;
  ledgerNanoUsd: number;
  played: ReadonlyMap<string, number>;
}

const usageSchema = z.object({
  items: z.array(z.object({ exactNanoUsd: z.number(), estimatedNanoUsd: z.number() })),
});

/** Runs it on a server that is up. Rejects when it could not be run to its end; what did not hold is in the verdict. */
export async function bill(options: BillOptions): Promise<BillVerdict> {
  const random = randomOf(options.seed);
  const endpoint = new BillEndpoint(randomOf(options.seed + 1));
  const api = new OperatorApi(options.url, options.adminToken);
  const token = await setUp(api);
  const andon = new Andon({ url: options.url, token, flushIntervalMs: 200, logger: SILENT });
  const done = new AbortController();
  try {
    const baseURL = await endpoint.listen();
    await andon.ready({ timeoutMs: 10_000 });
    const drafts = new Map<string, UsageDraft[]>();
    let clients = clientsOf(tapped(andon, drafts), baseURL);
    const ids: string[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      while (endpoint.requests < options.calls) {
        options.signal?.throwIfAborted();
        next += 1;
        // So many failures open every breaker: new guards have seen none.
        if (next % CALLS_PER_GUARD === 0) clients = clientsOf(tapped(andon, drafts), baseURL);
        await call(clients[next % clients.length], next, { random, ids });
      }
    };
    const workers = Promise.all(Array.from({ length: CONCURRENT }, worker)).finally(() => done.abort());
    await Promise.all([workers, change(api, random, done.signal)]);
    await settled(andon);
    const usage = await api.call("GET", `${ENVIRONMENT_PATH}/usage?groupBy=flag`, null, usageSchema);
    return { seed: options.seed, calls: next, ...verdict(endpoint, drafts, usage.items) };
  } finally {
    done.abort();
    await andon.close();
    endpoint.close();
  }
}

async function setUp(api: OperatorApi): Promise<string> {
  await api.change("PUT", `${ENVIRONMENT_PATH}/chains/billed`, { steps: CHAIN.map((model) => ({ model })) });
  const flag = { key: FLAG, name: FLAG, owner: "soak", chain: "billed", abortInFlight: true };
  await api.change("POST", `${ENVIRONMENT_PATH}/flags`, flag);
  const body = { kind: "sdk", name: "bill", environments: ["production"] };
  return (await api.call("POST", "/v1/tokens", body, tokenSchema)).secret;
}

/** The host, with what it is told kept by the number of the call. */
function tapped(andon: Andon, drafts: Map<string, UsageDraft[]>): GuardHost {
  return new Proxy(andon, {
    get(target, property) {
      if (property === "record") {
        return (used: UsageDraft): void => {
          const known = drafts.get(used.user ?? "");
          if (known === undefined) drafts.set(used.user ?? "", [used]);
          else known.push(used);
          target.record(used);
        };
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

function clientsOf(host: GuardHost, baseURL: string): Anthropic[] {
  const limits = {
    flag: FLAG,
    attemptTimeoutMs: ATTEMPT_MS,
    idleTimeoutMs: IDLE_MS,
    documentTokens: DOCUMENT_TOKENS * 2,
  };
  const kinds: GuardOptions[] = [
    limits,
    { ...limits, bufferStreams: true },
    { ...limits, fallbackOnRefusal: true, deadlineMs: 2 * ATTEMPT_MS },
  ];
  return kinds.map(
    (options) => new Anthropic({ apiKey: "none", baseURL, maxRetries: 1, middleware: [guard(host, options)] }),
  );
}

/** Kills, restores, downgrades and blocks, one after the other, until it is stopped. */
async function change(api: OperatorApi, random: Random, signal: AbortSignal): Promise<void> {
  const flag = `${ENVIRONMENT_PATH}/flags/${FLAG}`;
  const reason = { reason: "soak" };
  const pause = (): Promise<unknown> => delay(CHANGE_EVERY_MS, undefined, { signal }).catch(() => undefined);
  for (let turn = 0; !signal.aborted; turn += 1) {
    await pause();
    if (turn % 3 === 0) {
      await api.change("POST", `${flag}/kill`, reason);
      await delay(20);
      await api.change("POST", `${flag}/restore`, reason);
    } else if (turn % 3 === 1) {
      await api.change("POST", `${flag}/downgrade`, { level: Math.floor(random() * CHAIN.length), ...reason });
    } else {
      const model = `${ENVIRONMENT_PATH}/models/${CHAIN[0]}`;
      await api.change("PUT", model, { blocked: true, ...reason });
      await pause();
      await api.change("PUT", model, { blocked: false, ...reason });
    }
  }
}

async function call(
  client: Anthropic | undefined,
  number: number,
  { random, ids }: { random: Random; ids: string[] },
): Promise<void> {
  if (client === undefined) throw new Error("there is no client");
  const abort = new AbortController();
  const timer = random() < 0.1 ? setTimeout(() => abort.abort(), random() * 300) : null;
  const leavesAfter = random() < 0.1 ? Math.floor(random() * 8) : null;
  const body = bodyOf(random, ids);
  const headers = { "x-soak-call": `c${number}`, "andon-user": `c${number}` };
  try {
    const answer = await client.messages.create(body, { headers, signal: abort.signal });
    if (!(Symbol.asyncIterator in answer)) {
      ids.push(answer.id);
      return;
    }
    let events = 0;
    for await (const _ of answer) {
      events += 1;
      if (events === leavesAfter) break;
    }
  } catch (error) {
    // Failing is what many of them do; what matters is what they are recorded at.
    if (!(error instanceof Error)) throw error;
    if (isFeatureDisabled(error)) await delay(REFUSED_PAUSE_MS);
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

function bodyOf(random: Random, ids: readonly string[]): Anthropic.MessageCreateParams {
  const content: object[] = [{ type: "text", text: "question ".repeat(1 + Math.floor(random() * 60)) }];
  const extra: Record<string, unknown> = {};
  const kind = Math.floor(random() * 12);
  const [text] = content;
  if (kind === 0) content[0] = { ...text, cache_control: { type: "ephemeral" } };
  else if (kind === 1) content[0] = { ...text, cache_control: { type: "ephemeral", ttl: "1h" } };
  else if (kind === 2)
    content.push(source("image", { type: "base64", media_type: "image/png", data: "A".repeat(2_000) }));
  else if (kind === 3) {
    const data = Buffer.from("%PDF-1.4 /Type /Page /Type /Page").toString("base64");
    content.push(source("document", { type: "base64", media_type: "application/pdf", data }));
  } else if (kind === 4) content.push(source("document", { type: "url", url: "https://example.com/a.pdf" }));
  else if (kind === 5) extra["thread"] = { type: "create" };
  else if (kind === 6) extra["thread"] = { type: "continue", previous_message_id: ids.at(-1) ?? "msg_unknown" };
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

async function settled(andon: Andon): Promise<void> {
  const isDone = async (): Promise<boolean> => (await andon.flush()) && andon.usageStats().waiting === 0;
  const until = performance.now() + DRAIN_TIMEOUT_MS;
  while (!(await isDone())) if (performance.now() > until) throw new Error("not all usage was acknowledged");
  await waitUntil(() => andon.usageStats().waiting === 0, DRAIN_TIMEOUT_MS);
}

function verdict(
  endpoint: BillEndpoint,
  drafts: ReadonlyMap<string, readonly UsageDraft[]>,
  rows: readonly { exactNanoUsd: number; estimatedNanoUsd: number }[],
): Omit<BillVerdict, "calls" | "seed"> {
  const faults: string[] = [];
  const { table } = priceTable();
  const costOf = (used: UsageDraft): number =>
    priceUsage(table, { ...used, atMs: Date.now(), geo: used.geo ?? null }).costNanoUsd;
  const sums = { exact: 0, estimated: 0, bill: 0, exactCalls: 0 };
  for (const used of [...drafts.values()].flat()) sums[used.exact ? "exact" : "estimated"] += costOf(used);
  for (const [number, billed] of endpoint.bills) {
    sums.bill += billed;
    const own = drafts.get(number) ?? [];
    const recorded = own.reduce((sum, used) => sum + costOf(used), 0);
    const isExact = own.length > 0 && own.every(({ exact }) => exact);
    if (isExact) sums.exactCalls += 1;
    if (recorded < billed || (isExact && recorded !== billed)) {
      faults.push(`${number}: recorded ${recorded}, billed ${billed} nano-USD: ${JSON.stringify(own)}`);
    }
  }
  for (const [number, own] of drafts) {
    const isExact = own.every(({ exact }) => exact);
    if (isExact && !endpoint.bills.has(number) && own.some((used) => costOf(used) > 0)) {
      faults.push(`${number}: billed nothing, but exact: ${JSON.stringify(own)}`);
    }
  }
  const ledger = rows.reduce((sum, row) => sum + row.exactNanoUsd + row.estimatedNanoUsd, 0);
  const exact = rows.reduce((sum, row) => sum + row.exactNanoUsd, 0);
  if (exact !== sums.exact || ledger !== sums.exact + sums.estimated) {
    faults.push(
      `the ledger has ${exact} exact of ${ledger}, the records ${sums.exact} of ${sums.exact + sums.estimated}`,
    );
  }
  return {
    faults: faults.slice(0, MAX_FAULTS),
    billedCalls: endpoint.bills.size,
    exactCalls: sums.exactCalls,
    billNanoUsd: sums.bill,
    ledgerNanoUsd: ledger,
    played: endpoint.played,
  };
}
