#!/usr/bin/env bash
# drizzle-orm 0.45.4 (migrator), PGlite 0.5.16: two branches each add a migration and both are merged, one after the
# other. Expected: what a database has not had is applied. Seen: a migration is taken for applied when its time in
# `_journal.json` is before that of the newest one applied, whatever its number, name or hash: on a database that has had
# the younger branch already, the older branch's is never applied, without a word. A new database gets both.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund drizzle-orm@0.45.4 @electric-sql/pglite@0.5.16
cat > run.mjs <<'JS'
import { mkdirSync, writeFileSync } from "node:fs";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { migrate } from "drizzle-orm/pglite/migrator";

const entry = (idx, tag, when) => ({ idx, version: "7", when, tag, breakpoints: true });
const start = entry(0, "0000_start", 1000);
const younger = entry(1, "0001_younger", 3000);
const older = entry(2, "0002_older", 2000);
function write(entries) {
  mkdirSync("migrations/meta", { recursive: true });
  writeFileSync("migrations/meta/_journal.json", JSON.stringify({ version: "7", dialect: "postgresql", entries }));
  for (const { tag } of entries) writeFileSync(`migrations/${tag}.sql`, `create table "${tag.slice(5)}" (id integer)`);
}
const tablesOf = async (client) =>
  (await client.query("select tablename from pg_tables where schemaname = 'public' order by 1")).rows.map((row) => row.tablename);

const running = await PGlite.create();
write([start, younger]);
await migrate(drizzle({ client: running }), { migrationsFolder: "migrations" });
write([start, younger, older]);
await migrate(drizzle({ client: running }), { migrationsFolder: "migrations" });
const fresh = await PGlite.create();
await migrate(drizzle({ client: fresh }), { migrationsFolder: "migrations" });
const seen = { running: (await tablesOf(running)).join(), fresh: (await tablesOf(fresh)).join() };
console.log("drizzle-orm 0.45.4, @electric-sql/pglite 0.5.16, node", process.version);
console.log("a database that had the younger one:", seen.running);
console.log("a new database:                     ", seen.fresh);
const same = seen.running === "start,younger" && seen.fresh === "older,start,younger";
console.log(same ? "as described" : "CHANGED");
process.exit(same ? 0 : 1);
JS
node run.mjs
