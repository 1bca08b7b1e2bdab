/**
 * The board: what its first page weighs, what an open one is sent and costs the server, and whether three hundred open
 * ones slow a kill. The real server on PostgreSQL; boards and clients are processes of their own.
 */
import { once } from "node:events";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { z } from "zod";
import { makeBatch } from "../../sdk-client/src/reporting/batch.ts";
import { USAGE_PATH } from "../../sdk-client/src/wire/usage-protocol.ts";
import type { Child } from "../../src/demo/fleet/child.ts";
import { last, measureKills } from "../kill/bench.ts";
import type { ClientsTask, Round } from "../kill/protocol.ts";
import { type AndonServer, ENVIRONMENT_PATH, KILLED_FLAG } from "../support/andon-server.ts";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { median } from "../support/statistics.ts";
import { nextMessage, startWorker } from "../support/worker.ts";
import { type CrowdTask, type CrowdTold, crowdToldSchema } from "./protocol.ts";
import { BOARD_FLAGS, BOARD_PATH, type BoardWorld, cpuMs, QUICK_FLAGS, startBoardWorld, startOn } from "./world.ts";

const KB = 1_000;
const CROWD_GRACE_MS = 30_000;
const ACCEPTED = "gzip, deflate, br";

/** `board.first`: all that the first visit of the board puts on the wire. */
export async function benchBoardFirst(effort: Effort): Promise<Figure> {
  const flags = by(effort, BOARD_FLAGS, QUICK_FLAGS);
  const world = await startBoardWorld(flags);
  try {
    // Every flag has figures and a line, as on a working day.
    await callsOfAnHour(world.andon, flags);
    const page = await bytesOf(world, BOARD_PATH);
    const assets = [...page.text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, path = ""]) => path);
    const parts: [string, number][] = [["page", page.bytes]];
    for (const path of new Set(assets)) {
      parts.push([path.replace(/^\/assets\/|\.[0-9a-f]{12}/g, ""), (await bytesOf(world, path)).bytes]);
    }
    const sum = parts.reduce((total, [, bytes]) => total + bytes, 0);
    for (const [name, bytes] of parts) effort.say(`  ${name} ${(bytes / KB).toFixed(1)} KB`);
    return {
      name: "board.first",
      unit: "KB",
      ours: sum / KB,
      note: `${flags} flags with calls; heads of the answers included; ${parts.map(([name, bytes]) => `${name} ${(bytes / KB).toFixed(1)}`).join(", ")}`,
    };
  } finally {
    await world.close();
  }
}

/** `board.live`: what an open board is sent while every flag has a call a second. */
export async function benchBoardLive(effort: Effort): Promise<Figure> {
  const flags = by(effort, BOARD_FLAGS, QUICK_FLAGS);
  const world = await startBoardWorld(flags);
  try {
    const boards = 10;
    const seconds = by(effort, 60, 1);
    const told = await crowd(world, { boards, callingFlags: flags, tellAtSeconds: [seconds] });
    return {
      name: "board.live",
      unit: "KB/s",
      ours: told.bytes / KB / told.seconds / boards,
      note: `${flags} flags, ${(told.records / told.seconds).toFixed(0)} calls/s; ${(told.answers / boards / told.seconds).toFixed(2)} answers with news a second; heads included; ${seconds} s`,
    };
  } finally {
    await world.close();
  }
}

/** `board.viewer`: what an open board costs the server, over what the same calls cost without boards. */
export async function benchBoardViewer(effort: Effort): Promise<Figure> {
  const flags = by(effort, BOARD_FLAGS, QUICK_FLAGS);
  const world = await startBoardWorld(flags);
  try {
    const boards = by(effort, 300, 10);
    const seconds = by(effort, 15, 1);
    const warmSeconds = by(effort, 2, 0.5);
    const span = { warmSeconds, seconds };
    const alone = await cpuPerSecond(world, { boards: 1, callingFlags: flags }, span);
    const crowded = await cpuPerSecond(world, { boards: boards + 1, callingFlags: flags }, span);
    effort.say(`  ${alone.toFixed(0)} ms/s with one board, ${crowded.toFixed(0)} ms/s with ${boards} more`);
    return {
      name: "board.viewer",
      unit: "ms/s",
      ours: Math.max(0, crowded - alone) / boards,
      note: `server CPU ${alone.toFixed(0)} ms/s with one board open, ${crowded.toFixed(0)} ms/s with ${boards} more; ${flags} flags, a call of each a second; ${seconds} s each`,
    };
  } finally {
    await world.close();
  }
}

const CROWDED_CLIENTS = 200;
const REMEMBERED = 50_000;
const NAMES = 10_000;
const SETTLE_MS = 400;
const CROWD_MAX_SECONDS = 300;

/** `kill.crowded`: to the last of 200 clients, with all that a busy week leaves behind; beside a server with nothing. */
export async function benchKillCrowded(effort: Effort): Promise<Figure> {
  const flags = by(effort, BOARD_FLAGS, QUICK_FLAGS);
  const world = await startBoardWorld(flags);
  const floor = await startOn(await world.cluster.createDatabase(), flags);
  let crowdWorker: Child | null = null;
  try {
    const boards = by(effort, 300, 10);
    const remembered = by(effort, REMEMBERED, 1_000);
    const names = by(effort, NAMES, 1_000);
    await remember(world, remembered);
    await nameFlags(world.andon, names);
    crowdWorker = startCrowd(world, { boards, callingFlags: flags, tellAtSeconds: [1, CROWD_MAX_SECONDS] });
    await nextMessage(crowdWorker, crowdToldSchema, CROWD_GRACE_MS);
    const rounds = by(effort, 10, 1);
    const ours: Round[] = [];
    const theirs: Round[] = [];
    for (let turn = 0; turn < by(effort, 3, 1); turn += 1) {
      ours.push(...(await measureKills(clientsOf(world.andon, rounds), "crowded", effort)));
      // The crowd stands still meanwhile: the floor has the machine for itself.
      crowdWorker.process.kill("SIGSTOP");
      theirs.push(...(await measureKills(clientsOf(floor, rounds), "alone", effort)));
      crowdWorker.process.kill("SIGCONT");
    }
    return {
      name: "kill.crowded",
      unit: "ms",
      ours: last(ours),
      floor: last(theirs),
      note: `${boards} open boards, ${remembered} remembered instances, ${names} flag names, ${flags} calls/s; p99 ${median(ours.map((round) => round.p99Ms)).toFixed(0)} ms, acknowledged after ${median(ours.map((round) => round.answeredMs)).toFixed(0)} ms (alone ${median(theirs.map((round) => round.answeredMs)).toFixed(0)}); medians of ${ours.length} kills each, alternating`,
    };
  } finally {
    await crowdWorker?.stop("SIGKILL");
    await floor.close();
    await world.close();
  }
}

function clientsOf({ url, sdkToken, adminToken }: AndonServer, rounds: number): ClientsTask {
  const flagPath = `${ENVIRONMENT_PATH}/flags/${KILLED_FLAG}`;
  return {
    url,
    token: sdkToken,
    adminToken,
    killPath: `${flagPath}/kill`,
    restorePath: `${flagPath}/restore`,
    clients: CROWDED_CLIENTS,
    rounds,
    settleMs: SETTLE_MS,
  };
}

/** Processes that came and went: five a minute make 50,000 in a week. */
async function remember({ databaseUrl }: BoardWorld, count: number): Promise<void> {
  const client = postgres(databaseUrl, { max: 1, onnotice: () => undefined });
  try {
    await client.unsafe(`insert into instances (environment_id, instance, app, sdk, first_seen, last_seen, stopped_at)
      select id, 'job-' || n, 'job', 'andon-client/0.1.0', now() - interval '7 days',
        now() - interval '5 minutes' - n * interval '10 seconds', now() - interval '5 minutes' - n * interval '10 seconds'
      from environments, generate_series(1, ${count}) n where key = 'production'`);
    await client.unsafe("analyze instances");
  } finally {
    await client.end();
  }
}

const RECORDS_PER_BATCH = 1_000;

/** Applications that put a user's id into the name of a flag. */
async function nameFlags(andon: AndonServer, count: number): Promise<void> {
  for (let first = 0; first < count; first += RECORDS_PER_BATCH) {
    const size = Math.min(RECORDS_PER_BATCH, count - first);
    await report(
      andon,
      Array.from({ length: size }, (_, at) => recordOf(`chat-user-${first + at}`, Date.now())),
    );
  }
}

const MINUTES = 60;

export async function callsOfAnHour(andon: AndonServer, flags: number): Promise<void> {
  for (let minute = 0; minute < MINUTES; minute += 5) {
    const at = Date.now() - minute * 60_000;
    await report(
      andon,
      Array.from({ length: flags }, (_, flag) => recordOf(`feature-${flag}`, at)),
    );
  }
}

function recordOf(flag: string, at: number): string {
  const output = 100 + Math.floor(Math.random() * 3_000);
  return JSON.stringify({
    id: crypto.randomUUID(),
    at,
    flag,
    model: "claude-sonnet-5-5",
    requestedModel: "claude-sonnet-5-5",
    outcome: "ok",
    exact: true,
    usage: { input: 1_000, output, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 },
    attempt: 1,
    latencyMs: 400 + output,
  });
}

const REPORT_ATTEMPTS = 10;
const REPORT_PAUSE_MS = 1_000;

/** As a client does: the same batch again until it is acknowledged. */
async function report({ url, sdkToken }: AndonServer, records: string[]): Promise<void> {
  const { body } = makeBatch("bench", records, {});
  const headers = { Authorization: `Bearer ${sdkToken}`, "Content-Type": "application/json" };
  let refusal = "";
  for (let attempt = 0; attempt < REPORT_ATTEMPTS; attempt += 1) {
    const response = await fetch(`${url}${USAGE_PATH}`, { method: "POST", headers, body });
    if (response.ok) return;
    refusal = `${response.status}: ${await response.text()}`;
    await sleep(REPORT_PAUSE_MS);
  }
  throw new Error(`a batch was answered ${refusal}`);
}

function startCrowd(world: BoardWorld, of: Pick<CrowdTask, "boards" | "callingFlags" | "tellAtSeconds">): Child {
  const { url, sdkToken } = world.andon;
  return startWorker("bench/board/crowd.js", { url, sdkToken, cookie: world.cookie, ...of } satisfies CrowdTask);
}

async function crowd(
  world: BoardWorld,
  of: Pick<CrowdTask, "boards" | "callingFlags" | "tellAtSeconds">,
): Promise<CrowdTold> {
  const worker = startCrowd(world, of);
  try {
    return await nextMessage(worker, crowdToldSchema, Math.max(...of.tellAtSeconds) * 1_000 + CROWD_GRACE_MS);
  } finally {
    await worker.stop("SIGKILL");
  }
}

async function cpuPerSecond(
  world: BoardWorld,
  of: Pick<CrowdTask, "boards" | "callingFlags">,
  { warmSeconds, seconds }: { warmSeconds: number; seconds: number },
): Promise<number> {
  const worker = startCrowd(world, { ...of, tellAtSeconds: [warmSeconds, warmSeconds + seconds] });
  try {
    await nextMessage(worker, crowdToldSchema, CROWD_GRACE_MS);
    const before = await cpuMs(world.andon.pid);
    await nextMessage(worker, crowdToldSchema, seconds * 1_000 + CROWD_GRACE_MS);
    return ((await cpuMs(world.andon.pid)) - before) / seconds;
  } finally {
    await worker.stop("SIGKILL");
    await sleep(500);
  }
}

/** One answer as it comes over the wire: its bytes with the head, and its text. */
async function bytesOf({ andon, cookie }: BoardWorld, path: string): Promise<{ bytes: number; text: string }> {
  const headers = { Cookie: cookie, "Accept-Encoding": ACCEPTED, Connection: "close" };
  const request = get(`${andon.url}${path}`, { headers, agent: false });
  const [response] = z.tuple([z.custom<import("node:http").IncomingMessage>()]).parse(await once(request, "response"));
  const { socket } = response;
  response.resume();
  await once(response, "end");
  const plain = await fetch(`${andon.url}${path}`, { headers: { Cookie: cookie } });
  if (!plain.ok) throw new Error(`${path} answered ${plain.status}`);
  return { bytes: socket.bytesRead, text: await plain.text() };
}
