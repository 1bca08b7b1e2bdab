/** PostgreSQL: one pool for the work, and a connection of its own for each of LISTEN, the lead and the migrations. */
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import type { Logger } from "pino";
import { BoundedClient, openClient } from "./bounded-client.ts";
import { type Database, unsupportedVersion } from "./database.ts";
import { type Listener, type Listening, NOTIFY_CHANNEL } from "./listen.ts";
import { migrationsFolder } from "./migrate.ts";
import * as schema from "./schema.ts";

const POOL_MAX_CONNECTIONS = 10;
const CLOSE_GRACE_MS = 2000;
/** Advisory locks share one space per database: any constants, as long as they stay. */
const ADVISORY_CLASS = 0x616e_646f;
const MIGRATE_LOCK = 1;
const LEAD_LOCK = 2;

/** Connects and checks the version. Throws when the server cannot be reached or is not supported. */
export async function openPostgres(url: string, log: Logger): Promise<Database> {
  const pool = new BoundedClient({ url, log, name: "andon", maxConnections: POOL_MAX_CONNECTIONS, deadlines: true });
  const leader = new BoundedClient({ url, log, name: "andon lead", maxConnections: 1, deadlines: true });
  const close = async () => {
    await Promise.all([pool.close(CLOSE_GRACE_MS), leader.close(0)]);
  };
  try {
    const rows = await pool.client.unsafe<{ version: string }[]>(
      "select current_setting('server_version_num') as version",
    );
    const unsupported = unsupportedVersion(Number(rows[0]?.version));
    if (unsupported !== null) throw new Error(unsupported);
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
      const rows = await leader.client.unsafe<{ leads: boolean }[]>(LEAD_SQL);
      return rows[0]?.leads === true;
    },
    close,
  };
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
  const client = openClient({ url, log, name: "andon migrate", maxConnections: 1, deadlines: false });
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
  const client = openClient({ url, log, name: "andon listen", maxConnections: 1, deadlines: false });
  await client.listen(NOTIFY_CHANNEL, onNotify, onListening);
  return { close: () => client.end({ timeout: 0 }) };
}
