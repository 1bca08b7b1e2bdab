#!/usr/bin/env bash
# drizzle-orm 0.45.4 with PGlite 0.5.16, Node 20: a correlated subquery in an sql`` field of a select from one table.
# Expected: ${revisions.n} is "revisions"."n", as it is in `where` and as soon as there is a join. Seen: "n" alone, which
# within the subquery is the column of the inner table: it is compared with itself, and every row gets the same figure.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund drizzle-orm@0.45.4 @electric-sql/pglite@0.5.16

cat > run.mjs <<'JS'
import { PGlite } from "@electric-sql/pglite";
import { sql } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/pglite";
const revisions = pgTable("revisions", { n: integer("n") });
const db = drizzle({ client: new PGlite() });
await db.execute("create table revisions (n int)");
await db.execute("create table receipts (n int)");
await db.execute("insert into revisions values (1), (2), (3)");
await db.execute("insert into receipts values (1), (2), (3)");
const query = db
  .select({ n: revisions.n, later: sql`(select count(*) from receipts where receipts.n >= ${revisions.n})`.mapWith(Number) })
  .from(revisions)
  .orderBy(revisions.n);
console.log(query.toSQL().sql);
const later = (await query).map((row) => row.later).join(" ");
console.log(`expected: 3 2 1\nseen:     ${later}`);
process.exit(later === "3 3 3" ? 0 : 1);
JS
node run.mjs
