/**
 * The crowd: ten boards stay open while the whole fleet is replaced every ten seconds, half of the times without a
 * goodbye, and usage flows. Memory, tables and the time of a kill must stay as they were.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { OperatorApi, tokenSchema } from "../../src/demo/story/operator-api.ts";
import type { Child } from "../../src/demo/fleet/child.ts";
import type { ServerProcess } from "../../src/demo/story/server-process.ts";
import { waitUntil, wallMs } from "../../src/demo/story/wait.ts";
import { ENVIRONMENT_PATH } from "../support/andon-server.ts";
import { rssMiB } from "../support/memory.ts";
import { OpenBoard, signIn } from "../support/open-board.ts";
import type { Cluster } from "../support/postgres.ts";
import { median } from "../support/statistics.ts";
import { startWorker } from "../support/worker.ts";
import { type Applied, appliedSchema, type FleetTask } from "./fleet-protocol.ts";
import { MODEL } from "./traffic.ts";

const BOARDS = 10;
const CLIENTS = 100;
const FLAGS = 20;
const GENERATION_MS = 10_000;
const KILLS_PER_GENERATION = 4;
const FLEET_TIMEOUT_MS = 20_000;
const APPLIED_LOOK_EVERY_MS = 2;
/** The first generations fill caches and tables; they do not count. */
const WARM_UP_SHARE = 0.25;
/** What may come on top of the beginning: noise of a garbage collector, of a checkpoint. */
const RSS_SLACK_MIB = 40;
const KILL_SLACK_MS = 30;
/** Tables that keep history on purpose: they grow with time, not with the crowd. */
const HISTORY: ReadonlySet<string> = new Set(["audit", "usage_minutes", "usage_hours", "usage_days", "usage_batches"]);

export interface CrowdSample {
  killMs: number;
  rssMiB: number;
  /** Rows by table, history apart. */
  rows: ReadonlyMap<string, number>;
}

export interface CrowdVerdict {
  faults: string[];
  samples: CrowdSample[];
}

export interface CrowdOptions {
  /** Started already, on a database of `cluster`. */
  server: ServerProcess;
  cluster: Cluster;
  database: string;
  minutes: number;
  say: (text: string) => void;
  signal?: AbortSignal;
}

/** Runs it. Rejects when it could not be run to its end; what did not stay flat is in the verdict. */
export async function crowd(options: CrowdOptions): Promise<CrowdVerdict> {
  const { server, say } = options;
  const api = new OperatorApi(server.url, server.adminToken);
  const fleetTask = await setUp(api, server.url);
  const cookie = await signIn(server.url, server.adminToken);
  const boards = Array.from({ length: BOARDS }, () => new OpenBoard(server.url, cookie));
  const samples: CrowdSample[] = [];
  let fleet: Fleet | null = null;
  try {
    const generations = Math.ceil((options.minutes * 60_000) / GENERATION_MS);
    for (let generation = 1; generation <= generations; generation += 1) {
      options.signal?.throwIfAborted();
      const endsMs = wallMs() + GENERATION_MS;
      const before = fleet;
      fleet = new Fleet({ ...fleetTask, generation });
      await fleet.applied();
      await before?.stop(generation % 2 === 0 ? "SIGKILL" : "SIGTERM");
      const killsMs: number[] = [];
      for (let kill = 0; kill < KILLS_PER_GENERATION; kill += 1) killsMs.push(await killOnce(api, fleet));
      const sample = { killMs: median(killsMs), rssMiB: await rssMiB(pidOf(server)), rows: await rowsOf(options) };
      samples.push(sample);
      say(`  fleet ${generation} of ${generations}: ${wordsOf(sample)}`);
      await sleep(Math.max(0, endsMs - wallMs()));
    }
  } finally {
    await Promise.all([fleet?.stop("SIGKILL"), ...boards.map((board) => board.close())]);
  }
  return { faults: [...faultsOf(samples), ...faultsOfBoards(boards)], samples };
}

/** From sending a kill until the last client of the fleet decides by it, in milliseconds. */
async function killOnce(api: OperatorApi, fleet: Fleet): Promise<number> {
  const flag = `${ENVIRONMENT_PATH}/flags/feature-0`;
  const sentAtMs = wallMs();
  const killedAtMs = await fleet.applied(await api.change("POST", `${flag}/kill`, { reason: "soak" }));
  await fleet.applied(await api.change("POST", `${flag}/restore`, { reason: "soak" }));
  return killedAtMs - sentAtMs;
}

/** One generation of clients, in its own process. */
class Fleet {
  readonly #child: Child;
  #applied: Applied | null = null;

  constructor(given: FleetTask) {
    this.#child = startWorker("bench/soak/fleet.js", given);
    this.#child.process.on("message", (message) => {
      this.#applied = appliedSchema.parse(message);
    });
  }

  /** When the last client applied this revision (any, without one), Unix milliseconds. */
  async applied(revision?: string): Promise<number> {
    const took = await waitUntil(
      () => this.#applied !== null && (revision === undefined || this.#applied.revision === revision),
      FLEET_TIMEOUT_MS,
      APPLIED_LOOK_EVERY_MS,
    );
    if (took === null || this.#applied === null) {
      throw new Error(`the fleet has not applied ${revision ?? "a first state"}. It printed:\n${this.#child.output}`);
    }
    return this.#applied.atMs;
  }

  stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    return this.#child.stop(signal);
  }
}

async function setUp(api: OperatorApi, url: string): Promise<Omit<FleetTask, "generation">> {
  const steps = [{ model: MODEL }, { model: "claude-sonnet-5-5" }];
  await api.change("PUT", `${ENVIRONMENT_PATH}/chains/best-first`, { steps });
  const flags = Array.from({ length: FLAGS }, (_, n) => `feature-${n}`);
  for (const key of flags) {
    await api.change("POST", `${ENVIRONMENT_PATH}/flags`, { key, name: key, chain: "best-first" });
    await api.change("POST", `${ENVIRONMENT_PATH}/budgets`, { name: key, scope: { flag: key }, limitUsd: 100_000 });
  }
  const body = { kind: "sdk", name: "crowd", environments: ["production"] };
  return { url, token: (await api.call("POST", "/v1/tokens", body, tokenSchema)).secret, clients: CLIENTS, flags };
}

async function rowsOf({ cluster, database }: CrowdOptions): Promise<Map<string, number>> {
  const tables = await cluster.execute(
    "select tablename from pg_tables where schemaname = 'public' order by tablename",
    database,
  );
  const rows = new Map<string, number>();
  for (const { tablename } of tables) {
    const name = String(tablename);
    if (HISTORY.has(name)) continue;
    const [counted] = await cluster.execute(`select count(*) as n from "${name}"`, database);
    rows.set(name, Number(counted?.["n"]));
  }
  return rows;
}

/** What did not stay as it was: the last third beside the first, after the warm-up. */
export function faultsOf(samples: readonly CrowdSample[]): string[] {
  const counted = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  const third = Math.max(1, Math.floor(counted.length / 3));
  const early = counted.slice(0, third);
  const late = counted.slice(-third);
  const faults: string[] = [];
  const compare = (what: string, pick: (sample: CrowdSample) => number, allowed: (before: number) => number): void => {
    const before = median(early.map(pick));
    const after = median(late.map(pick));
    if (after > allowed(before)) faults.push(`${what}: ${before.toFixed(0)} at first, ${after.toFixed(0)} in the end`);
  };
  compare(
    "memory in MiB",
    ({ rssMiB: rss }) => rss,
    (before) => before + RSS_SLACK_MIB,
  );
  compare(
    "a kill in ms",
    ({ killMs }) => killMs,
    (before) => 1.5 * before + KILL_SLACK_MS,
  );
  for (const table of late.at(-1)?.rows.keys() ?? []) {
    compare(
      `rows of ${table}`,
      ({ rows }) => rows.get(table) ?? 0,
      (before) => 1.5 * before + CLIENTS,
    );
  }
  return faults;
}

function faultsOfBoards(boards: readonly OpenBoard[]): string[] {
  return boards.flatMap(({ updates, refusals }, n) => [
    ...(updates === 0 ? [`board ${n + 1} was never told anything`] : []),
    ...(refusals > 0 ? [`board ${n + 1} was refused ${refusals} times`] : []),
  ]);
}

function wordsOf({ killMs, rssMiB: rss, rows }: CrowdSample): string {
  const all = [...rows.values()].reduce((sum, n) => sum + n, 0);
  return `a kill in ${killMs.toFixed(0)} ms, ${rss} MiB, ${rows.get("instances")} instances, ${all} rows in all`;
}

function pidOf(server: ServerProcess): number {
  if (server.pid === null) throw new Error("the server does not run");
  return server.pid;
}
