/** PostgreSQL: one pool for the work, and a connection of its own for each of LISTEN, the lead and the migrations. */
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import type { Logger } from "pino";
import { StartError } from "../start-error.ts";
import { isDatabaseAway } from "./away.ts";
import { openClient } from "./connection.ts";
import { type Database, unsupportedVersion } from "./database.ts";
import { type Listener, type Listening, NOTIFY_CHANNEL } from "./listen.ts";
import { migrationsFolder } from "./migrate.ts";
import { Pool } from "./pool.ts";
import * as schema from "./schema.ts";

const POOL_MAX_CONNECTIONS = 10;
const START_ATTEMPTS = 30;
const START_RETRY_MS = 1000;
const CLOSE_GRACE_MS = 2000;
/** Advisory locks share one space per database: any constants, as long as they stay. */
const ADVISORY_CLASS = 0x616e_646f;
const MIGRATE_LOCK = 1;
const LEAD_LOCK = 2;

/** Connects and checks the version. Throws when the server cannot be reached or is not supported. */
export async function openPostgres(url: string, log: Logger): Promise<Database> {
  const pool = new Pool({ url, log, name: "andon", maxConnections: POOL_MAX_CONNECTIONS, deadlines: true });
  const leader = new Pool({ url, log, name: "andon lead", maxConnections: 1, deadlines: true });
  const close = async () => {
    await Promise.all([pool.close(CLOSE_GRACE_MS), leader.close(0)]);
  };
  try {
    const unsupported = unsupportedVersion(await firstAnswer(pool, log));
    if (unsupported !== null) throw new StartError(unsupported);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    kind: "postgres",
    db: drizzle({ client: pool.client, schema }),
    migrate: () => migrateUnderLock(url, log),
    listen: (listening) => listenOn(url, log, listening),
    lead: async () => {
      const rows = await leader.query(LEAD_SQL);
      return rows[0]?.["leads"] === true;
    },
    close,
  };
}

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
  const client = openClient({ url, log, name: "andon migrate", deadlines: false });
  try {
    await client`select pg_advisory_lock(${ADVISORY_CLASS}, ${MIGRATE_LOCK})`;
    await migrate(drizzle({ client }), { migrationsFolder: migrationsFolder() });
  } finally {
    // Ending the session frees the lock.
    await client.end({ timeout: CLOSE_GRACE_MS / 1000 });
  }
}

/** postgres.js listens again by itself after a lost connection. */
async function listenOn(url: string, log: Logger, { onNotify, onListening }: Listening): Promise<Listener> {
  const client = openClient({ url, log, name: "andon listen", deadlines: false });
  await client.listen(NOTIFY_CHANNEL, onNotify, onListening);
  return { close: () => client.end({ timeout: 0 }) };
}
