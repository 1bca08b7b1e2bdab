/**
 * The crowd: ten boards stay open while the whole fleet is replaced every ten seconds, half of the times without a
 * goodbye, and usage flows. Memory and the time of a kill must stay as they were, and every table within its bound.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { parseRevision } from "../../sdk-client/src/wire/revision.ts";
import type { DatabaseConfig } from "../../src/config.ts";
import { connect } from "../../src/db/connect.ts";
import { returnedRows } from "../../src/db/returned-rows.ts";
import type { Db } from "../../src/db/types.ts";
import type { Child } from "../../src/demo/fleet/child.ts";
import { OperatorApi, tokenSchema } from "../../src/demo/story/operator-api.ts";
import type { ServerProcess } from "../../src/demo/story/server-process.ts";
import { waitUntil, wallMs } from "../../src/demo/story/wait.ts";
import { REVISIONS_KEPT } from "../../src/services/instances/receipts.ts";
import { ENVIRONMENT_PATH, KILLED_FLAG } from "../support/andon-server.ts";
import { rssMiB } from "../support/memory.ts";
import { OpenBoard, signIn } from "../support/open-board.ts";
import { median } from "../support/statistics.ts";
import { startWorker } from "../support/worker.ts";
import { HISTORY } from "./crowd-bounds.ts";
import { fillPast } from "./crowd-past.ts";
import { BOARDS, CLIENTS, FLAG_KEYS, GENERATION_MS, KILLS_PER_GENERATION } from "./crowd-shape.ts";
import { type CrowdSample, faultsOf, type Rows, wordsOfTables } from "./crowd-verdict.ts";
import { type Applied, appliedSchema, type FleetTask } from "./fleet-protocol.ts";
import { MODEL } from "./traffic.ts";

const KILLED_FLAG_PATH = `${ENVIRONMENT_PATH}/flags/${KILLED_FLAG}`;
const FLEET_TIMEOUT_MS = 20_000;
const APPLIED_LOOK_EVERY_MS = 2;

export interface CrowdVerdict {
  faults: string[];
  samples: CrowdSample[];
  /** The most that each table held, in words. */
  tables: string[];
}

export interface CrowdOptions {
  /** Not yet started, on `database`; stopped in the end. */
  server: ServerProcess;
  database: DatabaseConfig;
  minutes: number;
  say: (text: string) => void;
  signal?: AbortSignal;
}

/** Runs it. Rejects when it could not be run to its end; what did not hold is in the verdict. */
export async function crowd(options: CrowdOptions): Promise<CrowdVerdict> {
  const { server, database, say } = options;
  const api = new OperatorApi(server.url, server.adminToken);
  const counted: Rows[] = [];
  const samples: CrowdSample[] = [];
  try {
    await server.start();
    const fleetTask = await setUp(api, server.url);
    const newest = await makeRevisions(api);
    await server.stop();
    say("  filling the tables as a crowd of some hours does");
    await within(database, (db) => fillPast(db, newest));
    counted.push(await within(database, rowsOf));
    await server.start();
    const faultsOfBoards = await withBoards(server, () => replaceFleets(options, { api, fleetTask, samples, counted }));
    await server.stop();
    counted.push(await within(database, rowsOf));
    return { faults: [...faultsOf(samples, counted), ...faultsOfBoards], samples, tables: wordsOfTables(counted) };
  } finally {
    await server.stop();
  }
}

interface Run {
  api: OperatorApi;
  fleetTask: Omit<FleetTask, "generation">;
  samples: CrowdSample[];
  counted: Rows[];
}

async function replaceFleets(options: CrowdOptions, { api, fleetTask, samples, counted }: Run): Promise<void> {
  const { server, database, say } = options;
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
      const sample = { killMs: median(killsMs), rssMiB: await rssMiB(pidOf(server)) };
      samples.push(sample);
      // The embedded one belongs to the server: its tables are counted when that has stopped.
      const rows = database.kind === "postgres" ? await within(database, rowsOf) : null;
      if (rows !== null) counted.push(rows);
      say(`  fleet ${generation} of ${generations}: ${wordsOf(sample, rows)}`);
      await sleep(Math.max(0, endsMs - wallMs()));
    }
  } finally {
    await fleet?.stop("SIGKILL");
  }
}

/** What did not hold of the boards that were open meanwhile. */
async function withBoards(server: ServerProcess, work: () => Promise<void>): Promise<string[]> {
  const cookie = await signIn(server.url, server.adminToken);
  const boards = Array.from({ length: BOARDS }, () => new OpenBoard(server.url, cookie));
  try {
    await work();
  } finally {
    await Promise.all(boards.map((board) => board.close()));
  }
  return boards.flatMap(({ updates, refusals }, n) => [
    ...(updates === 0 ? [`board ${n + 1} was never told anything`] : []),
    ...(refusals > 0 ? [`board ${n + 1} was refused ${refusals} times`] : []),
  ]);
}

/** From sending a kill until the last client of the fleet decides by it, in milliseconds. */
async function killOnce(api: OperatorApi, fleet: Fleet): Promise<number> {
  const sentAtMs = wallMs();
  const killedAtMs = await fleet.applied(await api.change("POST", `${KILLED_FLAG_PATH}/kill`, { reason: "soak" }));
  await fleet.applied(await api.change("POST", `${KILLED_FLAG_PATH}/restore`, { reason: "soak" }));
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
  for (const key of FLAG_KEYS) {
    await api.change("POST", `${ENVIRONMENT_PATH}/flags`, { key, name: key, chain: "best-first" });
    await api.change("POST", `${ENVIRONMENT_PATH}/budgets`, { name: key, scope: { flag: key }, limitUsd: 100_000 });
  }
  const body = { kind: "sdk", name: "crowd", environments: ["production"] };
  return {
    url,
    token: (await api.call("POST", "/v1/tokens", body, tokenSchema)).secret,
    clients: CLIENTS,
    flags: [...FLAG_KEYS],
  };
}

/** As many changes as receipts are kept of; the newest of them. */
async function makeRevisions(api: OperatorApi): Promise<{ lineage: string; n: number }> {
  let newest = "";
  for (let made = 0; made < REVISIONS_KEPT; made += 2) {
    await api.change("POST", `${KILLED_FLAG_PATH}/kill`, { reason: "soak" });
    newest = await api.change("POST", `${KILLED_FLAG_PATH}/restore`, { reason: "soak" });
  }
  const revision = parseRevision(newest);
  if (revision === null) throw new Error(`a change was answered with the revision ${newest}`);
  return revision;
}

async function within<T>(config: DatabaseConfig, work: (db: Db) => Promise<T>): Promise<T> {
  const database = await connect(config, pino({ level: "warn" }));
  try {
    return await work(database.lanes.jobs);
  } finally {
    await database.close();
  }
}

async function rowsOf(db: Db): Promise<Rows> {
  const tables = returnedRows(await db.execute(sql`select tablename from pg_tables where schemaname = 'public'`))
    .map(({ tablename }) => String(tablename))
    .filter((table) => !HISTORY.has(table));
  const counts = tables.map(
    (table) => sql`select ${table}::text as name, count(*)::int as n from ${sql.identifier(table)}`,
  );
  const rows = returnedRows(await db.execute(sql.join(counts, sql` union all `)));
  return new Map(rows.map(({ name, n }) => [String(name), Number(n)]));
}

function wordsOf({ killMs, rssMiB: rss }: CrowdSample, rows: Rows | null): string {
  const words = `a kill in ${killMs.toFixed(0)} ms, ${rss} MiB`;
  if (rows === null) return words;
  const all = [...rows.values()].reduce((sum, n) => sum + n, 0);
  return `${words}, ${rows.get("instances")} instances, ${all} rows in all`;
}

function pidOf(server: ServerProcess): number {
  if (server.pid === null) throw new Error("the server does not run");
  return server.pid;
}
