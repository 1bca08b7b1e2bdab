/**
 * A real PostgreSQL for tests, the bench and the soak, from an npm package: a cluster in a temporary folder on a free
 * port. Nothing of it outlives `stop`.
 */
import { execFile } from "node:child_process";
import { appendFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import postgres from "postgres";
import { freePort } from "../../src/demo/story/free-port.ts";
import { postgresPrograms } from "./postgres-programs.ts";
import { PostgresServer } from "./postgres-server.ts";

const USER = "postgres";
const PASSWORD = "test-only";
const LOG_LINES_KEPT = 50;
const STANDBY_START_MS = 30_000;

export interface Cluster {
  /** Where its files are. */
  readonly databaseDir: string;
  /** Where a database of this cluster is. */
  url(database: string): string;
  /** A new database, a copy of `template` (by default an empty one). Returns its URL. */
  createDatabase(template?: string): Promise<string>;
  /** Runs one statement as superuser on a connection of its own. */
  execute(statement: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  /** Freezes (SIGSTOP) or thaws every process of the cluster: it stays reachable and answers nothing. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Shuts down, keeping the data; `start` brings it up again on the same port. */
  shutDown(): Promise<void>;
  start(): Promise<void>;
  /** Makes a standby the primary. */
  promote(): Promise<void>;
  /** Ends the cluster and removes its data. */
  stop(): Promise<void>;
}

export interface ClusterOptions {
  /** It waits for the disk at every commit, as in production; else a commit may be lost with the machine, not with a process. */
  isDurable?: boolean;
  /** The primary that it follows as a standby, from a copy of its files: the primary is shut down for a moment. */
  standbyOf?: Cluster;
}

/** Starts a cluster. Rejects with PostgreSQL's own words when it cannot. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const programs = await postgresPrograms();
  const databaseDir = join(tmpdir(), `andon-postgres-${randomUUID()}`);
  const port = await freePort();
  const lines: string[] = [];
  const note = (line: unknown) => {
    lines.push(String(line));
    if (lines.length > LOG_LINES_KEPT) lines.shift();
  };
  const open = () =>
    new PostgresServer({
      programs,
      databaseDir,
      port,
      user: USER,
      password: PASSWORD,
      settings: {
        max_connections: "200",
        fsync: options.isDurable === true ? "on" : "off",
        unix_socket_directories: "",
      },
      onLog: note,
    });
  let server = open();
  const start = async () => {
    try {
      await server.start();
    } catch (error) {
      throw new Error(`PostgreSQL did not start:\n${lines.join("")}`, { cause: error });
    }
  };
  const url = (database: string) => `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}/${database}`;
  const execute: Cluster["execute"] = async (statement, database = "postgres") => {
    const client = postgres(url(database), { max: 1, onnotice: () => undefined });
    try {
      return await client.unsafe(statement);
    } finally {
      await client.end();
    }
  };
  const signal = async (name: NodeJS.Signals) => {
    const postmaster = await postmasterPid(databaseDir);
    // The postmaster first: once it stands still it starts no further child, and the scan finds them all.
    process.kill(postmaster, name);
    for (const pid of await childPids(postmaster)) kill(pid, name);
  };
  const { standbyOf } = options;
  if (standbyOf === undefined) {
    await server.initialise();
    await start();
  } else {
    await copyAsStandby(standbyOf, databaseDir);
    // It says that it is ready once it is promoted: until then it is asked.
    server.start().catch((error: unknown) => note(error));
    await answering(() => execute("select 1"), lines);
  }
  return {
    databaseDir,
    url,
    execute,
    promote: async () => {
      await execute("select pg_promote()");
    },
    createDatabase: async (template) => {
      const name = `test_${randomUUID().replaceAll("-", "")}`;
      await execute(`create database ${name}${template === undefined ? "" : ` template ${template}`}`);
      return url(name);
    },
    freeze: () => signal("SIGSTOP"),
    thaw: () => signal("SIGCONT"),
    shutDown: () => server.stop(),
    start: async () => {
      server = open();
      await start();
    },
    stop: async () => {
      await server.stop();
      await rm(databaseDir, { recursive: true, force: true });
    },
  };
}

async function copyAsStandby(primary: Cluster, databaseDir: string): Promise<void> {
  await primary.shutDown();
  await promisify(execFile)("cp", ["-a", primary.databaseDir, databaseDir]);
  await primary.start();
  const { hostname, port } = new URL(primary.url("postgres"));
  const conninfo = `host=${hostname} port=${port} user=${USER} password=${PASSWORD}`;
  await appendFile(join(databaseDir, "postgresql.auto.conf"), `primary_conninfo = '${conninfo}'\n`);
  await writeFile(join(databaseDir, "standby.signal"), "");
}

async function answering(ask: () => Promise<unknown>, lines: readonly string[]): Promise<void> {
  const deadlineMs = performance.now() + STANDBY_START_MS;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (performance.now() > deadlineMs)
        throw new Error(`The standby did not start:\n${lines.join("")}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function postmasterPid(databaseDir: string): Promise<number> {
  const [pid] = (await readFile(join(databaseDir, "postmaster.pid"), "utf8")).split("\n");
  return Number(pid);
}

async function childPids(parentPid: number): Promise<number[]> {
  const pids: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "utf8").catch((error: unknown) => {
      // A process may end between listing and reading; it is none of ours then.
      if (error instanceof Error) return "";
      throw error;
    });
    const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
    if (parent === String(parentPid)) pids.push(Number(name));
  }
  return pids;
}

function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // Ended since it was listed: nothing is left to stop.
    if (!(error instanceof Error) || !("code" in error) || error.code !== "ESRCH") throw error;
  }
}
