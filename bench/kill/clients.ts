/**
 * A thousand parked clients in one process, each with its own connection, and the kill that they wait for. The same code
 * measures Andon and the floor. Invariant: a round counts only when every client had the new revision, whole.
 */
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { SNAPSHOT_PATH } from "../../sdk-client/src/protocol.ts";
import { quantile } from "../support/statistics.ts";
import { send, task } from "../support/worker.ts";
import { clientsTaskSchema, type Round } from "./protocol.ts";

const WAIT_SECONDS = 55;
const ROUND_TIMEOUT_MS = 15_000;
/** From the last answer until every next poll is parked again; the receipts of Andon are written meanwhile. */
const SETTLE_MS = 1_500;

const given = clientsTaskSchema.parse(task(clientsTaskSchema));
const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
const changedSchema = z.object({ revision: z.string() });

/** Who has which revision since when, `performance.now()`. */
const revisions: string[] = Array.from({ length: given.clients }, () => "");
const receivedAtMs: number[] = Array.from({ length: given.clients }, () => 0);
let bodyBytes = 0;

for (let client = 0; client < given.clients; client += 1) poll(client);

const rounds: Round[] = [];
await everyone(() => revisions.every((revision) => revision !== ""));
// Round 0 warms this process up and does not count.
for (let round = 0; round <= given.rounds; round += 1) {
  await sleep(SETTLE_MS);
  const measured = await kill();
  if (round > 0) rounds.push(measured);
  await sleep(SETTLE_MS);
  const { revision } = await post(given.restorePath, { reason: "bench" });
  await everyone(() => revisions.every((known) => known === quoted(revision)));
}
send({ rounds, bodyBytes });

async function kill(): Promise<Round> {
  const sentAtMs = performance.now();
  const { revision } = await post(given.killPath, { reason: "bench" });
  const answeredMs = performance.now() - sentAtMs;
  await everyone(() => revisions.every((known) => known === quoted(revision)));
  const delaysMs = receivedAtMs.map((atMs) => atMs - sentAtMs);
  return {
    answeredMs,
    p50Ms: quantile(delaysMs, 0.5),
    p99Ms: quantile(delaysMs, 0.99),
    lastMs: quantile(delaysMs, 1),
  };
}

/** Polls for ever, at once after each answer, as a client does that parks: that poll is its receipt. */
function poll(client: number): void {
  const known = revisions[client] ?? "";
  const outgoing = request(`${given.url}${SNAPSHOT_PATH}`, {
    agent,
    headers: {
      Authorization: `Bearer ${given.token}`,
      "Accept-Encoding": "gzip",
      "Andon-Instance": `instance-${client}`,
      "Andon-App": "bench",
      "Andon-SDK": "andon-client/0",
      Prefer: `wait=${WAIT_SECONDS}`,
      ...(known === "" ? {} : { "If-None-Match": known }),
    },
  });
  outgoing.once("response", (response) => take(client, response));
  outgoing.once("error", fail);
  outgoing.end();
}

function take(client: number, response: IncomingMessage): void {
  let bytes = 0;
  response.on("data", (chunk: Buffer) => (bytes += chunk.byteLength));
  response.once("end", () => {
    const etag = response.headers.etag;
    if (response.statusCode === 200 && etag !== undefined && bytes > 0) {
      receivedAtMs[client] = performance.now();
      revisions[client] = etag;
      bodyBytes = bytes;
    } else if (response.statusCode !== 304) {
      return fail(new Error(`client ${client} was answered ${response.statusCode ?? 0}`));
    }
    poll(client);
  });
}

async function post(path: string, body: object): Promise<z.infer<typeof changedSchema>> {
  const response = await fetch(`${given.url}${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${given.adminToken}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`POST ${path} answered ${response.status}: ${await response.text()}`);
  return changedSchema.parse(await response.json());
}

async function everyone(isDone: () => boolean): Promise<void> {
  const startedMs = performance.now();
  while (!isDone()) {
    if (performance.now() - startedMs > ROUND_TIMEOUT_MS) throw new Error("not every client had the new state in time");
    await sleep(5);
  }
}

function quoted(revision: string): string {
  return `"${revision}"`;
}

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
