/**
 * Boards that stay open as the page's script keeps them, each on a connection of its own, and applications that report
 * a call of every flag each second. Its own process. Invariant: an answer other than 200 and 204 ends it.
 */
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { brotliDecompressSync } from "node:zlib";
import { makeBatch } from "../../sdk-client/src/reporting/batch.ts";
import { USAGE_PATH } from "../../sdk-client/src/wire/usage-protocol.ts";
import { send, task } from "../support/worker.ts";
import { crowdTaskSchema, type CrowdTold } from "./protocol.ts";
import { BOARD_PATH } from "./world.ts";

const MODEL = "claude-sonnet-5-5";
const BATCHES_PER_SECOND = 4;
const DISTINCT_BODIES_KEPT = 50;
const HEAD_END = "\r\n\r\n";
const OK = 200;
const NOTHING_NEW = 204;

const given = task(crowdTaskSchema);
const { hostname, port } = new URL(given.url);
let bytes = 0;
let answers = 0;
let records = 0;
let open = 0;
/** By the body that told it. */
const versions = new Map<string, string>();

for (let board = 0; board < given.boards; board += 1) openBoard();
if (given.callingFlags > 0) void keepCalling();
while (open < given.boards) await sleep(10);
const startedMs = performance.now();
[bytes, answers, records] = [0, 0, 0];
for (const seconds of given.tellAtSeconds) {
  await sleep(Math.max(0, startedMs + seconds * 1_000 - performance.now()));
  send({ bytes, answers, records, seconds: (performance.now() - startedMs) / 1_000 } satisfies CrowdTold);
}

function openBoard(): void {
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  let after = "";
  let received: Buffer = Buffer.alloc(0);
  const ask = () =>
    socket.write(
      `GET ${BOARD_PATH}/live?after=${after} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nCookie: ${given.cookie}\r\n` +
        `HX-Request: true\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n`,
    );
  socket.on("data", (chunk) => {
    bytes += chunk.byteLength;
    received = received.byteLength === 0 ? chunk : Buffer.concat([received, chunk]);
    const answer = readAnswer(received);
    if (answer === null) return;
    received = received.subarray(answer.bytes);
    if (answer.status === OK) {
      if (after === "") open += 1;
      else answers += 1;
      after = versionIn(answer.body);
    } else if (answer.status !== NOTHING_NEW) fail(new Error(`a board was answered ${answer.status}`));
    ask();
  });
  socket.once("error", fail);
  socket.once("close", () => fail(new Error("the connection of a board was closed")));
  ask();
}

/** The answer at the beginning of what was received; null while it is not whole. */
function readAnswer(received: Buffer): { status: number; body: Buffer; bytes: number } | null {
  const headBytes = received.indexOf(HEAD_END);
  if (headBytes < 0) return null;
  const head = received.toString("latin1", 0, headBytes);
  const status = Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length));
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  if (length === undefined && status === OK) throw new Error("an answer does not tell its length");
  const start = headBytes + HEAD_END.length;
  const end = start + Number(length ?? 0);
  if (received.byteLength < end) return null;
  const body = received.subarray(start, end);
  return { status, body: /^content-encoding: br/im.test(head) ? body : Buffer.from(body), bytes: end };
}

/** Where the body says to ask next. Boards get the same bytes: each is read once. */
function versionIn(body: Buffer): string {
  const bytesOfBody = body.toString("latin1");
  const known = versions.get(bytesOfBody);
  if (known !== undefined) return known;
  const html = bytesOfBody.startsWith("<") ? bytesOfBody : brotliDecompressSync(body).toString("utf8");
  const version = /\/live\?after=([\w.-]+)/.exec(html)?.[1];
  if (version === undefined) throw new Error("an answer does not tell its version");
  if (versions.size >= DISTINCT_BODIES_KEPT) versions.clear();
  versions.set(bytesOfBody, version);
  return version;
}

async function keepCalling(): Promise<void> {
  const perBatch = Math.ceil(given.callingFlags / BATCHES_PER_SECOND);
  for (let first = 0; ; first = (first + perBatch) % given.callingFlags) {
    const calls = Array.from({ length: perBatch }, (_, index) => call((first + index) % given.callingFlags));
    const { body } = makeBatch("caller", calls, {});
    const headers = { Authorization: `Bearer ${given.sdkToken}`, "Content-Type": "application/json" };
    const response = await fetch(`${given.url}${USAGE_PATH}`, { method: "POST", headers, body });
    await response.arrayBuffer();
    if (response.ok) records += calls.length;
    await sleep(1_000 / BATCHES_PER_SECOND);
  }
}

function call(flag: number): string {
  const output = 200 + Math.floor(Math.random() * 2_000);
  return JSON.stringify({
    id: randomUUID(),
    at: Date.now(),
    flag: `feature-${flag}`,
    model: MODEL,
    requestedModel: MODEL,
    outcome: "ok",
    exact: true,
    usage: { input: 1_200, output, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 8_000, webSearches: 0 },
    attempt: 1,
    latencyMs: 500 + output,
  });
}

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
