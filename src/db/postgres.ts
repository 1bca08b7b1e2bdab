/**
 * PostgreSQL: a pool for each kind of work, and a connection of its own for each of LISTEN, the lead and the migrations.
 * What one session finds out (it may not write, it does not answer) holds for those of all pools.
 */
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import type { Logger } from "pino";
import { StartError } from "../start-error.ts";
import { isDatabaseAway } from "./away.ts";
import { openClient } from "./connection.ts";
import { type Database, unsupportedVersion } from "./database.ts";
import { type Listener, type Listening, NOTIFY_CHANNEL } from "./listen.ts";
import { migrationsFolder } from "./migrate.ts";
import { DATABASE_DEADLINE_MS, isRefusal, Pool } from "./pool.ts";
import { Pulse } from "./pulse.ts";
import * as schema from "./schema.ts";
import type { Db } from "./types.ts";

/** Connections by kind of work; with the lead and LISTEN a server has 13 (`docs/configuration.md`). */
const CHANGES_MAX = 3;
const SYNC_MAX = 3;
const USAGE_MAX = 2;
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
  const pulse = new Pulse();
  const pools: Pool[] = [];
  const renew = () => pools.forEach((pool) => pool.renew());
  const patient = { waitMs: DATABASE_DEADLINE_MS, waitingMax: WAITING_MAX };
  const impatient = { waitMs: PAGE_WAIT_MS, waitingMax: PAGES_WAITING_MAX, pulse };
  const pool = (name: string, maxConnections: number, patience: typeof patient | typeof impatient) => {
    const made = new Pool({ url, log, name, maxConnections, onSuspect: renew, ...patience });
    pools.push(made);
    return made;
  };
  const changes = pool("andon", CHANGES_MAX, patient);
  const sync = pool("andon sync", SYNC_MAX, patient);
  const usage = pool("andon usage", USAGE_MAX, patient);
  const pages = pool("andon pages", PAGES_MAX, impatient);
  const leader = pool("andon lead", 1, patient);
  const close = async () => {
    await Promise.all(pools.map((each) => each.close(each === leader ? 0 : CLOSE_GRACE_MS)));
  };
  try {
    const unsupported = unsupportedVersion(await firstAnswer(changes, log));
    if (unsupported !== null) throw new StartError(unsupported);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    kind: "postgres",
    lanes: { changes: laneOf(changes), sync: laneOf(sync), usage: laneOf(usage), pages: laneOf(pages) },
    check: (question) => pulse.watch(question, isRefusal),
    renew,
    migrate: () => migrateUnderLock(url, log),
    listen: (listening) => listenOn(url, log, listening),
    lead: async () => {
      const rows = await leader.query(LEAD_SQL);
      return rows[0]?.["leads"] === true;
    },
    close,
  };
}

const laneOf = ({ client }: Pool): Db => drizzle({ client, schema });

/** The server's version number. A database that starts together with Andon gets a while to come up. */
async function firstAnswer(pool: Pool, log: Logger): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const rows = await pool.query("select current_setting('server_version_num') as version");
      return Number(rows[0]?.["version"]);
    } catch (error) {
      if (!isDatabaseAway(error)) throw error;
      if (attempt >= START_ATTEMPTS) {
        throw new StartError(
          "The database of DATABASE_URL does not answer. Check that it runs and that its host and port are right.",
          { cause: error },
        );
      }
      if (attempt === 1)
        log.warn({ err: error, attempts: START_ATTEMPTS }, "the database does not answer yet; trying again");
      await new Promise((resolve) => setTimeout(resolve, START_RETRY_MS));
    }
  }
}

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

async function migrateUnderLock(url: string, log: Logger): Promise<void> {
  const client = openClient({ url, log, name: "andon migrate" });
  try {
    await client`select pg_advisory_lock(${ADVISORY_CLASS}, ${MIGRATE_LOCK})`;
    await migrate(drizzle({ client }), { migrationsFolder: migrationsFolder() });
  } finally {
    // Ending the session frees the lock.
    await client.end({ timeout: CLOSE_GRACE_MS / 1000 });
  }
}

/** postgres.js listens again by itself after a lost connection. Rejects when that is not so within the deadline. */
async function listenOn(url: string, log: Logger, { onNotify, onListening }: Listening): Promise<Listener> {
  const client = openClient({ url, log, name: "andon listen" });
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
