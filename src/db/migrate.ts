/** Applies the migrations at boot, in one transaction; where the folder is, from source and from the build. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sql } from "drizzle-orm";
import { returnedRows } from "./returned-rows.ts";
import type { Db } from "./types.ts";

/** Beside `src` when run from source, beside `dist` when built. */
const CANDIDATES = ["../../migrations/", "../../../migrations/"] as const;

/** The folder of the migrations. Throws when the installation is incomplete. */
export function migrationsFolder(): string {
  for (const candidate of CANDIDATES) {
    const folder = new URL(candidate, import.meta.url);
    if (existsSync(new URL("meta/_journal.json", folder))) return fileURLToPath(folder);
  }
  throw new Error("The folder `migrations` is missing: this installation of Andon is incomplete.");
}

/** True when a newer release has migrated this database: this one may not understand all that it finds. */
export async function isSchemaNewer(db: Db): Promise<boolean> {
  const result = await db.execute(sql`select max(created_at)::float8 as at from drizzle.__drizzle_migrations`);
  return Number(returnedRows(result)[0]?.["at"]) > newestMigrationMs();
}

/** When the newest migration of this release was made, Unix milliseconds: drizzle-kit tells them apart by it. */
function newestMigrationMs(): number {
  const journal: { entries: { when: number }[] } = JSON.parse(
    readFileSync(join(migrationsFolder(), "meta", "_journal.json"), "utf8"),
  );
  return Math.max(...journal.entries.map(({ when }) => when));
}
