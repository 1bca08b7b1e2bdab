/**
 * PGlite: PostgreSQL in this process. The folder is locked against a second process before anything is opened, and a
 * database appears under its name only when it is whole: it is made beside it and renamed.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { migrate } from "drizzle-orm/pglite/migrator";
import type { Logger } from "pino";
import type { Database } from "./database.ts";
import { lockFolder } from "./folder-lock.ts";
import { NOTIFY_CHANNEL } from "./listen.ts";
import { migrationsFolder } from "./migrate.ts";
import * as schema from "./schema/state.ts";

const UNFINISHED = "db.new-";

/** Opens the database in `<dataDir>/db`; null: in memory. Throws when another process holds the folder. */
export async function openEmbedded(dataDir: string | null, log: Logger): Promise<Database> {
  if (dataDir === null) return wrap(await PGlite.create(), "memory", async () => {});
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const unlock = await lockFolder(dataDir, log);
  try {
    const folder = join(dataDir, "db");
    await removeUnfinished(dataDir);
    if (!existsSync(folder)) await initialise(dataDir, folder);
    return wrap(await PGlite.create(folder), "embedded", unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** False: opening it makes it, which takes a while. */
export function isEmbeddedMade(dataDir: string): boolean {
  return existsSync(join(dataDir, "db"));
}

/** A start that was killed while it made the database leaves a folder that no other start would use. */
async function removeUnfinished(dataDir: string): Promise<void> {
  const names = await readdir(dataDir);
  const unfinished = names.filter((name) => name.startsWith(UNFINISHED));
  await Promise.all(unfinished.map((name) => rm(join(dataDir, name), { recursive: true, force: true })));
}

async function initialise(dataDir: string, folder: string): Promise<void> {
  const unfinished = await mkdtemp(join(dataDir, UNFINISHED));
  const database = await PGlite.create(unfinished);
  await database.close();
  await rename(unfinished, folder);
}

function wrap(client: PGlite, kind: "embedded" | "memory", unlock: () => Promise<void>): Database {
  const db = drizzle({ client, schema });
  return {
    kind,
    lanes: { changes: db, jobs: db, sync: db, usage: db, leases: db, pages: db },
    check: (question) => question,
    renew: () => {},
    migrate: () => migrate(db, { migrationsFolder: migrationsFolder() }),
    listen: async ({ onNotify, onListening }) => {
      const unlisten = await client.listen(NOTIFY_CHANNEL, onNotify);
      onListening();
      return { close: () => unlisten() };
    },
    lead: async () => true,
    close: async () => {
      try {
        await client.close();
      } finally {
        await unlock();
      }
    },
  };
}
