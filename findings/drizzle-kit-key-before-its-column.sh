#!/usr/bin/env bash
# drizzle-kit 0.31.11 with drizzle-orm 0.45.4 and PGlite 0.5.16, Node 20: what `generate` writes when a new column joins a
# composite primary key. Expected: a migration that runs. Seen: ADD CONSTRAINT … PRIMARY KEY comes before the ADD COLUMN of
# the column that is in it; PostgreSQL refuses it: column "boot" of relation "instances" does not exist.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund drizzle-kit@0.31.11 drizzle-orm@0.45.4 @electric-sql/pglite@0.5.16

schema() {
  cat > schema.ts <<TS
import { pgTable, primaryKey, text } from "drizzle-orm/pg-core";
export const instances = pgTable(
  "instances",
  { environment: text("environment").notNull(), name: text("name").notNull(), $1 },
  (t) => [primaryKey({ columns: [t.environment, t.name$2] })],
);
TS
}
echo 'export default { dialect: "postgresql", schema: "./schema.ts", out: "./migrations" };' > drizzle.config.ts
schema '' ''
npx drizzle-kit generate --name one >/dev/null
schema 'boot: text("boot").notNull().default("")' ', t.boot'
npx drizzle-kit generate --name two >/dev/null
cat migrations/0001_two.sql; echo

cat > run.mjs <<'JS'
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { migrate } from "drizzle-orm/pglite/migrator";
const client = new PGlite();
try {
  await migrate(drizzle({ client }), { migrationsFolder: "./migrations" });
} catch (error) {
  const { message } = error.cause ?? error;
  console.log("seen:", message);
  process.exit(/column "boot".*does not exist/.test(message) ? 0 : 1);
}
console.log("changed: the migration runs");
process.exit(1);
JS
node run.mjs
