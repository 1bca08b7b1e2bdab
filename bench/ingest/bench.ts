/**
 * `ingest.postgres`, `ingest.pglite`: usage records per second over HTTP, acknowledged after commit, with the clients on
 * the same cores. The real server beside a bare one that only writes records down, each in its own process.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { noonZone } from "../../src/demo/story/noon-zone.ts";
import { type AndonServer, ENVIRONMENT_PATH, FLAGS, startAndonServer } from "../support/andon-server.ts";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { rssMiB } from "../support/memory.ts";
import { type Cluster, startCluster } from "../support/postgres.ts";
import { median } from "../support/statistics.ts";
import { nextMessage, startWorker } from "../support/worker.ts";

const START_TIMEOUT_MS = 30_000;
const LOAD_GRACE_MS = 60_000;
const SECRET_BYTES = 32;
/** Never reached: budgets are summed all the time and trip seldom. */
const LIMIT_USD = 900_000;
/** Each connection sends one batch, or a few. */
const QUICK_SECONDS = 0.1;

const urlSchema = z.object({ url: z.string() });
const loadSchema = z.object({ records: z.number(), faults: z.number(), seconds: z.number() });
const usageSchema = z.object({ items: z.array(z.object({ attempts: z.number() })) });

type Kind = "postgres" | "pglite";

export async function benchIngest(kind: Kind, effort: Effort): Promise<Figure> {
  const folder = await mkdtemp(join(tmpdir(), "andon-bench-"));
  // As in production: a commit is on the disk before it is acknowledged.
  const cluster = kind === "postgres" ? await startCluster({ isDurable: true }) : null;
  try {
    const seconds = by(effort, 5, QUICK_SECONDS);
    const rounds = by(effort, 3, 1);
    const ours = await measureAndon(cluster, effort, { seconds: effort.seconds ?? seconds, rounds });
    const plain = { seconds, rounds, folder };
    const batch = await measurePlain("batch", cluster, effort, plain);
    const single = await measurePlain("single", cluster, effort, plain);
    return {
      name: `ingest.${kind}`,
      unit: "records/s",
      ours: median(ours.perSecond),
      floor: median(batch),
      peers: { "an insert per record": median(single) },
      note: `the server's memory ${ours.memory}; batches of 500 over 16 connections, two budgets; median of ${ours.perSecond.length} rounds`,
    };
  } finally {
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function measureAndon(
  cluster: Cluster | null,
  effort: Effort,
  { seconds, rounds }: { seconds: number; rounds: number },
): Promise<{ perSecond: number[]; memory: string }> {
  const env: Record<string, string> =
    cluster === null
      ? {}
      : {
          DATABASE_URL: await cluster.createDatabase(),
          ANDON_SECRET: randomBytes(SECRET_BYTES).toString("base64url"),
        };
  const andon = await startAndonServer(env);
  try {
    await addBudgets(andon);
    const target = { url: andon.url, token: andon.sdkToken, flags: FLAGS };
    // A first round warms up and does not count.
    let records = (await load({ ...target, seconds: by(effort, 3, QUICK_SECONDS) })).records;
    const memory = [await rssMiB(andon.pid)];
    const perSecond: number[] = [];
    const halves = effort.seconds === null ? rounds : 2;
    for (let round = 1; round <= halves; round += 1) {
      const done = await load({ ...target, seconds: effort.seconds === null ? seconds : seconds / 2 });
      records += done.records;
      perSecond.push(done.records / done.seconds);
      memory.push(await rssMiB(andon.pid));
      effort.say(`  andon ${Math.round(done.records / done.seconds)}/s, ${memory.at(-1)} MiB`);
    }
    await claimAllCounted(andon, records);
    return {
      perSecond,
      memory: `${memory.join(" → ")} MiB over ${Math.round(halves * (seconds / (effort.seconds === null ? 1 : 2)))} s`,
    };
  } finally {
    await andon.close();
  }
}

/** Budgets over everything and over one flag, as a team has them. */
async function addBudgets({ api }: AndonServer): Promise<void> {
  const timezone = noonZone(Date.now());
  for (const [name, scope] of [
    ["Everything", {}],
    ["Feature 1", { flag: "feature-1" }],
  ] as const) {
    await api.change("POST", `${ENVIRONMENT_PATH}/budgets`, { name, scope, limitUsd: LIMIT_USD, timezone });
  }
}

/** A figure of records that were acknowledged and not counted would be a lie. */
async function claimAllCounted({ api }: AndonServer, records: number): Promise<void> {
  const { items } = await api.call("GET", `${ENVIRONMENT_PATH}/usage?groupBy=flag`, null, usageSchema);
  const counted = items.reduce((sum, { attempts }) => sum + attempts, 0);
  if (counted !== records) throw new Error(`${records} records were acknowledged and ${counted} are in the ledger`);
}

async function measurePlain(
  mode: "batch" | "single",
  cluster: Cluster | null,
  effort: Effort,
  { seconds, rounds, folder }: { seconds: number; rounds: number; folder: string },
): Promise<number[]> {
  const database = cluster === null ? { folder: join(folder, mode) } : { url: await cluster.createDatabase() };
  const worker = startWorker("bench/ingest/server.js", { database, mode });
  try {
    const { url } = await nextMessage(worker, urlSchema, START_TIMEOUT_MS);
    const target = { url, token: "none", flags: FLAGS };
    await load({ ...target, seconds: by(effort, 1, QUICK_SECONDS) });
    const perSecond: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const done = await load({ ...target, seconds });
      perSecond.push(done.records / done.seconds);
      effort.say(`  ${mode} ${Math.round(done.records / done.seconds)}/s`);
    }
    return perSecond;
  } finally {
    await worker.stop("SIGKILL");
  }
}

/** Loads a server from another process; throws when a single batch was not acknowledged. */
async function load(given: { url: string; token: string; flags: number; seconds: number }) {
  const worker = startWorker("bench/ingest/load.js", given);
  try {
    const done = await nextMessage(worker, loadSchema, given.seconds * 1000 + LOAD_GRACE_MS);
    if (done.faults > 0) throw new Error(`${done.faults} batches were not acknowledged by ${given.url}`);
    return done;
  } finally {
    await worker.stop("SIGKILL");
  }
}
