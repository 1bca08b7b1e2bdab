/** One process of callers: the real SDK with the real guard. Says when it is ready, begins when told, tells how it went. */
import { setTimeout as sleep } from "node:timers/promises";
import { once } from "node:events";
import Anthropic from "@anthropic-ai/sdk";
import { guard, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { findFeatureDisabled } from "../../sdk-client/src/feature-disabled-error.ts";
import { Andon } from "../../sdk-client/src/andon.ts";
import { randomOf } from "../soak/bill-endpoint.ts";
import { SILENT } from "../support/silent-logger.ts";
import { send, task } from "../support/worker.ts";
import { type Call, type ClientResult, clientTaskSchema, FLAG, HEADER_CALL, MODEL } from "./protocol.ts";
import { Calls } from "./workloads.ts";

const READY_TIMEOUT_MS = 20_000;
/** Callers begin within this time of each other, unless they begin in one step. */
const SPREAD_MS = 300;
/** A caller that is refused for now asks again after so long. */
const AGAIN_AFTER_MS = 100;
/** Refusals that no waiting mends in this run. */
const FINAL = /^(?:TRIPPED|KILLED|MASTER|BUDGET (?:spent|tooLarge))/;
const OVER_KEPT = 2_000;

const given = clientTaskSchema.parse(task(clientTaskSchema));
const random = randomOf(given.seed);
const calls = new Calls(given.workload, random, given.traceFile);
const andon = new Andon({ url: given.url, token: given.token, instance: given.instance, logger: SILENT });
const claude = new Anthropic({
  apiKey: "bench",
  baseURL: given.endpointUrl,
  maxRetries: 0,
  timeout: 60_000,
  middleware: [guard(andon, { flag: FLAG })],
});
const result: ClientResult = { answered: 0, failed: {}, refused: {}, overMs: [] };
const over = new AbortController();

// It waits to be told: that holds the process.
process.channel?.ref();
await andon.ready({ timeoutMs: READY_TIMEOUT_MS });
const told = once(process, "message");
send({ ready: true });
await told;
process.once("message", () => over.abort());
const startedMs = performance.now();
await Promise.all(Array.from({ length: given.callers }, () => caller()));
await andon.flush();
send(result);
await once(process, "message");
await andon.close();
process.exit(0);

async function caller(): Promise<void> {
  if (!given.isStep) await sleep(random() * SPREAD_MS);
  while (!over.signal.aborted && !isQuiet()) {
    const call = calls.next();
    const why = await ask(call);
    if (why !== null && FINAL.test(why)) return;
    await sleep(why === null ? calls.pauseMs() : AGAIN_AFTER_MS);
  }
}

function isQuiet(): boolean {
  return given.quietAfterMs !== null && performance.now() - startedMs > given.quietAfterMs;
}

/** Why it was refused; null when it was answered, or failed otherwise. */
async function ask(call: Call): Promise<string | null> {
  const beganMs = performance.now();
  const content = "x".repeat(call.promptBytes);
  const text = call.cacheRead > 0 ? { cache_control: { type: "ephemeral" as const } } : {};
  const body = {
    model: MODEL,
    max_tokens: call.maxTokens,
    messages: [{ role: "user" as const, content: [{ type: "text" as const, text: content, ...text }] }],
  };
  const options = { headers: { [HEADER_CALL]: JSON.stringify(call) } };
  try {
    if (given.workload === "agent") {
      for await (const event of await claude.messages.create({ ...body, stream: true }, options)) void event;
    } else await claude.messages.create(body, options);
    result.answered += 1;
    if (result.overMs.length < OVER_KEPT) result.overMs.push(performance.now() - beganMs - call.tookMs);
    return null;
  } catch (error) {
    if (isFeatureDisabled(error)) {
      const why = whyOf(error);
      count(result.refused, why);
      return why;
    }
    count(result.failed, error instanceof Error ? error.message : String(error));
    return null;
  }
}

function whyOf(error: unknown): string {
  const no = findFeatureDisabled(error);
  if (no === null) return "unknown";
  const because = "because" in no && typeof no.because === "string" ? ` ${no.because}` : "";
  return `${no.reason}${because}`;
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
