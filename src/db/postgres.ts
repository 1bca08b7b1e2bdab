/**
 * PostgreSQL: a pool for each kind of work, and a connection of its own for each of LISTEN, the lead and the migrations.
 * What one session finds out (it may not write, it does not answer) holds for those of all pools.
 */
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import type { Logger } from "pino";
import { StartError } from "../start-error.ts";
import { isDatabaseAway, isReadOnly } from "../database-away.ts";
import { Connection, openClient } from "./connection.ts";
import { type Database, unsupportedVersion } from "./database.ts";
import { type Listener, type Listening, NOTIFY_CHANNEL } from "./listen.ts";
import { parseDatabaseUrl, type Target } from "./database-url.ts";
import { migrationsFolder } from "./migrate.ts";
import { DATABASE_DEADLINE_MS, isRefusal, Pool } from "./pool.ts";
import { Pulse } from "./pulse.ts";
import { startFault } from "./start-fault.ts";
import * as schema from "./schema/state.ts";
import type { Db } from "./types.ts";

/** Connections by kind of work; with the lead and LISTEN a server has 17 (`docs/configuration.md`). */
const CHANGES_MAX = 3;
const JOBS_MAX = 2;
const SYNC_MAX = 3;
const USAGE_MAX = 2;
const LEASES_MAX = 2;
const PAGES_MAX = 3;
/** A page is worth this much waiting, then it says that it cannot be had. */
const PAGE_WAIT_MS = 2000;
const PAGES_WAITING_MAX = 200;
const WAITING_MAX = 1000;
const START_ATTEMPTS = 30;
const START_RETRY_MS = 1000;
const CLOSE_GRACE_MS = 2000;
/** Advisory locks share one space per database: any constants, as long as they stay. */
const ADVISORY_CLASS = 0x616e_646f;
const MIGRATE_LOCK = 1;
const LEAD_LOCK = 2;

/** Connects and checks the version. Throws when the server cannot be reached or is not supported. */
export async function openPostgres(url: string, log: Logger): Promise<Database> {
  const target = parseDatabaseUrl(url);
  if (target.ignored.length > 0) {
    log.warn({ parameters: target.ignored }, "parameters of DATABASE_URL that mean nothing to Andon are passed over");
  }
  const pulse = new Pulse();
  const pools: Pool[] = [];
  const renew = () => pools.forEach((pool) => pool.renew());
  const patient = { waitMs: DATABASE_DEADLINE_MS, waitingMax: WAITING_MAX };
  const impatient = { waitMs: PAGE_WAIT_MS, waitingMax: PAGES_WAITING_MAX, pulse };
  const pool = (name: string, maxConnections: number, patience: typeof patient | typeof impatient) => {
    const made = new Pool({ target, log, name, maxConnections, onSuspect: renew, ...patience });
    pools.push(made);
    return made;
  };
  const changes = pool("andon", CHANGES_MAX, patient);
  const jobs = pool("andon jobs", JOBS_MAX, patient);
  const sync = pool("andon sync", SYNC_MAX, patient);
  const usage = pool("andon usage", USAGE_MAX, patient);
  const leases = pool("andon leases", LEASES_MAX, patient);
  const pages = pool("andon pages", PAGES_MAX, impatient);
  const leader = pool("andon lead", 1, patient);
  const close = async () => {
    await Promise.all(pools.map((each) => each.close(each === leader ? 0 : CLOSE_GRACE_MS)));
  };
  try {
    const unsupported = unsupportedVersion(await firstAnswer(changes, { url, target, log }));
    if (unsupported !== null) throw new StartError(unsupported);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    kind: "postgres",
    lanes: {
      changes: laneOf(changes),
      jobs: laneOf(jobs),
      sync: laneOf(sync),
      usage: laneOf(usage),
      leases: laneOf(leases),
      pages: laneOf(pages),
    },
    check: (question) => pulse.watch(question, isRefusal),
    renew,
    migrate: () => migrateUnderLock(url, target, log),
    listen: (listening) => listenOn(target, log, listening),
    lead: async () => {
      const rows = await leader.query(LEAD_SQL);
      return rows[0]?.["leads"] === true;
    },
    close,
  };
}

const laneOf = ({ client }: Pool): Db => drizzle({ client, schema });

/** The server's version number. A database that starts together with Andon gets a while to come up. */
async function firstAnswer(
  pool: Pool,
  { url, target, log }: { url: string; target: Target; log: Logger },
): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // First, as it sets nothing: what is set in a shared session would hold for strangers.
      await requireSessions(target, log);
      const rows = await pool.query("select current_setting('server_version_num') as version");
      return Number(rows[0]?.["version"]);
    } catch (error) {
      const fault = startFault(url, error);
      if (fault !== null) throw fault;
      if (!isDatabaseAway(error)) throw error;
      if (attempt >= START_ATTEMPTS) throw new StartError(noAnswer(url, error), { cause: error });
      if (attempt === 1)
        log.warn({ err: error, attempts: START_ATTEMPTS }, "the database does not answer yet; trying again");
      await new Promise((resolve) => setTimeout(resolve, START_RETRY_MS));
    }
  }
}

function noAnswer(url: string, error: unknown): string {
  if (isReadOnly(error)) {
    return "The database of DATABASE_URL takes no changes: it is a standby, or it is closed for writing. Lead to the primary.";
  }
  const why = error instanceof Error ? error.message : String(error);
  return `The database of DATABASE_URL does not answer (${new URL(url).host}: ${why}). Check that it runs and that its host and port are right.`;
}

/**
 * Throws when a pooler shares sessions between clients (its transaction mode): LISTEN, the lead and timeouts need a
 * session of their own. Two clients ask in turn who serves them: each must be served by one and the same, and not the other's.
 */
async function requireSessions(target: Target, log: Logger): Promise<void> {
  const clients = [1, 2].map(() => new Connection({ target, log, name: "andon start" }));
  const timer = setTimeout(() => clients.forEach((client) => client.destroy()), DATABASE_DEADLINE_MS);
  try {
    const served: Set<number>[] = clients.map(() => new Set());
    for (let round = 0; round < SESSION_PROOF_ROUNDS; round += 1) {
      for (const [index, client] of clients.entries()) {
        const [row] = await client.query("select pg_backend_pid() as pid");
        served[index]?.add(Number(row?.["pid"]));
      }
    }
    const all = new Set(served.flatMap((pids) => [...pids]));
    if (served.some(({ size }) => size !== 1) || all.size !== clients.length) throw new StartError(NO_SESSIONS);
  } finally {
    clearTimeout(timer);
    await Promise.all(clients.map((client) => client.close(0)));
  }
}

const SESSION_PROOF_ROUNDS = 3;
const NO_SESSIONS =
  "DATABASE_URL leads through a pooler in transaction mode, which gives no session of its own: LISTEN and advisory locks do not work there. Use the pooler's session mode or the direct connection (PgBouncer: pool_mode=session; Supabase: port 5432; Neon: the host without -pooler).";

/** Idempotent: a session that already holds the lock does not take it twice, one that reconnected asks again. */
const LEAD_SQL = `
  select case
    when exists (
      select from pg_locks
      where locktype = 'advisory' and classid = ${ADVISORY_CLASS} and objid = ${LEAD_LOCK} and objsubid = 2
        and pid = pg_backend_pid() and granted
        and database = (select oid from pg_database where datname = current_database())
    ) then true
    else pg_try_advisory_lock(${ADVISORY_CLASS}, ${LEAD_LOCK})
  end as leads`;

async function migrateUnderLock(url: string, target: Target, log: Logger): Promise<void> {
  const client = openClient({ target, log, name: "andon migrate" });
  try {
    await client`select pg_advisory_lock(${ADVISORY_CLASS}, ${MIGRATE_LOCK})`;
    await migrate(drizzle({ client }), { migrationsFolder: migrationsFolder() });
  } catch (error) {
    throw startFault(url, rootOf(error)) ?? error;
  } finally {
    // Ending the session frees the lock.
    await client.end({ timeout: CLOSE_GRACE_MS / 1000 });
  }
}

/** Drizzle wraps the database's error in one that quotes the statement. */
function rootOf(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? rootOf(error.cause) : error;
}

/** postgres.js listens again by itself after a lost connection. Rejects when that is not so within the deadline. */
async function listenOn(target: Target, log: Logger, { onNotify, onListening }: Listening): Promise<Listener> {
  const client = openClient({ target, log, name: "andon listen" });
  const close = () => client.end({ timeout: 0 });
  const timer = setTimeout(() => void close(), DATABASE_DEADLINE_MS);
  timer.unref();
  try {
    await client.listen(NOTIFY_CHANNEL, onNotify, onListening);
  } finally {
    clearTimeout(timer);
  }
  return { close };
}
