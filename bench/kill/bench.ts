/**
 * `kill.last_of_1000`: milliseconds from sending a kill until the last of 1,000 parked clients has the new state: the
 * commit, the new snapshot and a thousand answers. Beside a bare `node:http` long poll of the same body with the same
 * clients. Servers and clients are processes of their own.
 */
import { gzipSync } from "node:zlib";
import { z } from "zod";
import { SNAPSHOT_PATH } from "../../sdk-client/src/wire/protocol.ts";
import { type AndonServer, ENVIRONMENT_PATH, KILLED_FLAG, startAndonServer } from "../support/andon-server.ts";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { median } from "../support/statistics.ts";
import { nextMessage, startWorker } from "../support/worker.ts";
import { type ClientsTask, resultSchema, type Round } from "./protocol.ts";

const CLIENTS = 1000;
const START_TIMEOUT_MS = 10_000;
const CLIENTS_TIMEOUT_MS = 120_000;
const SETTLE_MS = 1_500;
/** On a quick run. */
const QUICK_CLIENTS = 50;
const QUICK_SETTLE_MS = 50;

export async function benchKill(effort: Effort): Promise<Figure> {
  const andon = await startAndonServer();
  const floor = startWorker("bench/kill/floor.js", { path: SNAPSHOT_PATH, bodyBase64: await bodyOf(andon) });
  try {
    const { url } = await nextMessage(floor, z.object({ url: z.string() }), START_TIMEOUT_MS);
    const flagPath = `${ENVIRONMENT_PATH}/flags/${KILLED_FLAG}`;
    const task: ClientsTask = {
      url: andon.url,
      token: andon.sdkToken,
      adminToken: andon.adminToken,
      killPath: `${flagPath}/kill`,
      restorePath: `${flagPath}/restore`,
      clients: by(effort, CLIENTS, QUICK_CLIENTS),
      rounds: by(effort, 4, 1),
      settleMs: by(effort, SETTLE_MS, QUICK_SETTLE_MS),
    };
    const ours: Round[] = [];
    const theirs: Round[] = [];
    const turns = by(effort, 3, 1);
    for (let turn = 0; turn < turns; turn += 1) {
      ours.push(...(await measureKills(task, "andon", effort)));
      theirs.push(...(await measureKills({ ...task, url }, "floor", effort)));
    }
    const ms = (pick: (round: Round) => number): string => median(ours.map(pick)).toFixed(0);
    return {
      name: "kill.last_of_1000",
      unit: "ms",
      ours: last(ours),
      floor: last(theirs),
      note: `p50 ${ms((round) => round.p50Ms)}, p99 ${ms((round) => round.p99Ms)}, kill acknowledged after ${ms((round) => round.answeredMs)} ms; ${(last(ours) / last(theirs)).toFixed(2)}x its floor, which commits nothing; median of ${ours.length} rounds each, alternating`,
    };
  } finally {
    await floor.stop("SIGKILL");
    await andon.close();
  }
}

export function last(rounds: readonly Round[]): number {
  return median(rounds.map((round) => round.lastMs));
}

export async function measureKills(task: ClientsTask, name: string, effort: Effort): Promise<Round[]> {
  const worker = startWorker("bench/kill/clients.js", task);
  try {
    const { rounds } = await nextMessage(worker, resultSchema, CLIENTS_TIMEOUT_MS);
    for (const round of rounds) {
      effort.say(
        `  ${name} last ${round.lastMs.toFixed(0)} ms, p99 ${round.p99Ms.toFixed(0)}, acknowledged ${round.answeredMs.toFixed(0)}`,
      );
    }
    return rounds;
  } finally {
    await worker.stop("SIGKILL");
  }
}

/** The snapshot that Andon serves, as it is sent: compressed. */
async function bodyOf(andon: AndonServer): Promise<string> {
  const response = await fetch(`${andon.url}${SNAPSHOT_PATH}`, {
    headers: { Authorization: `Bearer ${andon.sdkToken}`, "Andon-Instance": "bench" },
  });
  if (!response.ok) throw new Error(`the server answered a first poll with ${response.status}`);
  return gzipSync(Buffer.from(await response.arrayBuffer())).toString("base64");
}
