/**
 * Hundreds of parked clients in one process, each with its own connection, and the kill that they wait for. The same code
 * measures Andon and the floor. Invariant: a round counts only when every client had the new revision, whole.
 */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { SNAPSHOT_PATH } from "../../sdk-client/src/wire/protocol.ts";
import { quantile } from "../support/statistics.ts";
import { send, task } from "../support/worker.ts";
import { clientsTaskSchema, type Round } from "./protocol.ts";

const WAIT_SECONDS = 55;
const ROUND_TIMEOUT_MS = 15_000;

const given = clientsTaskSchema.parse(task(clientsTaskSchema));
const changedSchema = z.object({ revision: z.string() });

/** Who has which revision since when, `performance.now()`. */
const revisions: string[] = Array.from({ length: given.clients }, () => "");
const receivedAtMs: number[] = Array.from({ length: given.clients }, () => 0);
let bodyBytes = 0;

for (let client = 0; client < given.clients; client += 1) connectClient(client);

const rounds: Round[] = [];
await everyone(() => revisions.every((revision) => revision !== ""));
// Round 0 warms this process up and does not count.
for (let round = 0; round <= given.rounds; round += 1) {
  await sleep(given.settleMs);
  const measured = await kill();
  if (round > 0) rounds.push(measured);
  await sleep(given.settleMs);
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

/**
 * One client: polls for ever, at once after each answer, as a client does that parks: that poll is its receipt. A plain
 * socket, as a thousand `node:http` clients in one process cost more than the server that they measure.
 */
function connectClient(client: number): void {
  const { hostname, port } = new URL(given.url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const head =
    `GET ${SNAPSHOT_PATH} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${given.token}\r\n` +
    `Accept-Encoding: gzip\r\nAndon-Instance: instance-${client}\r\nAndon-App: bench\r\n` +
    `Andon-SDK: andon-client/0\r\nPrefer: wait=${WAIT_SECONDS}\r\n`;
  const poll = (): void => {
    const known = revisions[client] ?? "";
    socket.write(`${head}${known === "" ? "" : `If-None-Match: ${known}\r\n`}\r\n`);
  };
  let received: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    received = received.byteLength === 0 ? chunk : Buffer.concat([received, chunk]);
    const answer = readAnswer(received);
    if (answer === null) return;
    received = received.subarray(answer.bytes);
    take(client, answer);
    poll();
  });
  socket.once("error", fail);
  socket.once("close", () => fail(new Error(`the connection of client ${client} was closed`)));
  poll();
}

interface Answer {
  status: number;
  etag: string | undefined;
  bodyBytes: number;
  /** Head and body. */
  bytes: number;
}

/** The answer at the beginning of what was received; null while it is not whole. Both servers tell a body's length. */
function readAnswer(received: Buffer): Answer | null {
  const headBytes = received.indexOf("\r\n\r\n");
  if (headBytes < 0) return null;
  const head = received.toString("latin1", 0, headBytes);
  const status = Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length));
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  if (length === undefined && status === 200) throw new Error("an answer does not tell its length");
  const ofBody = Number(length ?? 0);
  const bytes = headBytes + "\r\n\r\n".length + ofBody;
  if (received.byteLength < bytes) return null;
  return { status, etag: /^etag: (.*)/im.exec(head)?.[1], bodyBytes: ofBody, bytes };
}

function take(client: number, { status, etag, bodyBytes: bytes }: Answer): void {
  if (status === 200 && etag !== undefined && bytes > 0) {
    receivedAtMs[client] = performance.now();
    revisions[client] = etag;
    bodyBytes = bytes;
  } else if (status !== 304) {
    fail(new Error(`client ${client} was answered ${status}`));
  }
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
