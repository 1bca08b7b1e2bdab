#!/usr/bin/env bash
# @hono/node-server 2.1.8 (hono 4.13.19), Node 20: what a process that serves with it sees of the global `Response`. Expected:
# the web's own, whose constructor copies the headers it is given. Seen: from the first `serve()` on, `new Response(body,
# { headers })` anywhere in the process keeps the very object: what is set on the response is set on the caller's headers too,
# and with the headers of an answer of `fetch` (proxies, middleware of SDK clients) `.headers.set` throws "TypeError:
# immutable". Importing the package changes nothing yet; with `overrideGlobalObjects: false` it stays the web's own.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @hono/node-server@2.1.8 hono@4.13.19
cat > run.mjs <<'JS'
import http from "node:http";
const upstream = http.createServer((_request, response) => response.setHeader("x-from", "upstream").end("hi"));
await new Promise((done) => upstream.listen(0, "127.0.0.1", done));
const url = `http://127.0.0.1:${upstream.address().port}/`;

/** Passes an answer on with one header more, as a proxy does; and asks whether own headers are copied. */
async function look() {
  const own = new Headers({ a: "1" });
  new Response("x", { headers: own }).headers.set("a", "2");
  const answer = await fetch(url);
  const passedOn = new Response(await answer.text(), { headers: answer.headers });
  let set = "set";
  try {
    passedOn.headers.set("x-more", "1");
  } catch (error) {
    set = String(error);
  }
  return `${own.get("a") === "1" ? "copied" : "shared"}, ${set}`;
}

const seen = { before: await look() };
const { serve } = await import("@hono/node-server");
seen.imported = await look();
const serving = (options) => new Promise((done) => {
  const server = serve({ fetch: () => new Response("x"), port: 0, hostname: "127.0.0.1", ...options }, () => done(server));
});
const apart = await serving({ overrideGlobalObjects: false });
seen["served with overrideGlobalObjects: false"] = await look();
const usual = await serving({});
seen.served = await look();
for (const server of [apart, usual, upstream]) server.close();
console.log(process.version, JSON.stringify(seen, null, 2));
const asBefore = ["before", "imported", "served with overrideGlobalObjects: false"].every((when) => seen[when] === "copied, set");
process.exit(asBefore && seen.served === "shared, TypeError: immutable" ? 0 : 1);
JS
node run.mjs
echo "as described"
