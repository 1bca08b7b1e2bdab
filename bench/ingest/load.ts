/**
 * The load of `ingest.*`: batches of usage records as clients send them, each connection its next when the last one is
 * acknowledged. Its own process; says how many records were acknowledged.
 */
import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { z } from "zod";
import { makeBatch } from "../../sdk-client/src/reporting/batch.ts";
import { USAGE_PATH } from "../../sdk-client/src/wire/usage-protocol.ts";
import { send, task } from "../support/worker.ts";

const CONNECTIONS = 16;
const RECORDS_PER_BATCH = 500;
const MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"] as const;
const USERS = 1_000;
const OK = 200;

const { url, token, flags, seconds } = task(
  z.object({ url: z.string(), token: z.string(), flags: z.number(), seconds: z.number() }),
);
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
const endMs = performance.now() + seconds * 1_000;
let records = 0;
let faults = 0;

const startedMs = performance.now();
await Promise.all(Array.from({ length: CONNECTIONS }, (_, connection) => keepSending(`instance-${connection}`)));
send({ records, faults, seconds: (performance.now() - startedMs) / 1_000 });
agent.destroy();

async function keepSending(instance: string): Promise<void> {
  while (performance.now() < endMs) {
    const { body } = makeBatch(instance, Array.from({ length: RECORDS_PER_BATCH }, record), {});
    if ((await post(body)) === OK) records += RECORDS_PER_BATCH;
    else faults += 1;
  }
}

function record(_: unknown, index: number): string {
  const model = MODELS[index % MODELS.length];
  return JSON.stringify({
    id: randomUUID(),
    at: Date.now(),
    flag: `feature-${index % flags}`,
    model,
    requestedModel: model,
    outcome: "ok",
    exact: true,
    usage: {
      input: 1_200,
      output: 350 + (index % 64),
      cacheWrite5m: 0,
      cacheWrite1h: 0,
      cacheRead: 8_000,
      webSearches: 0,
    },
    attempt: 1,
    latencyMs: 900 + index,
    firstTokenMs: 300,
    status: 200,
    stopReason: "end_turn",
    requestId: `req_${index}`,
    user: `user-${index % USERS}`,
  });
}

/** The status that answered; rejects when nothing did. */
function post(body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
    };
    const sent = request(`${url}${USAGE_PATH}`, { method: "POST", agent, headers }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
