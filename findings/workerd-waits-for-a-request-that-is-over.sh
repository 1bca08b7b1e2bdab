#!/usr/bin/env bash
# workerd, the runtime of Cloudflare Workers (miniflare 4.20260426.0, compatibility date 2025-06-01): when a request is over, what
# it had begun is dropped without a word. A promise that the Worker keeps from one request to the next, as one does to ask a
# backend once for all who wait, then neither resolves nor rejects, not even by a timer or a timeout that the first request had
# set, so that each later request waits for ever. One would expect an error, or an abort. (Of two requests that run at the same
# time the second does get the first one's answer.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund miniflare@4.20260426.0

cat >run.mjs <<'EOS'
import { createServer } from "node:http";
import { Miniflare } from "miniflare";

const backend = createServer((request, response) => setTimeout(() => response.end("state"), 300));
await new Promise((resolve) => backend.listen(0, "127.0.0.1", resolve));

// Both begin to ask; "leave" answers at once, "stay" waits for the answer.
const script = `
let asking = null;
const limit = (ms) => new Promise((resolve) => setTimeout(() => resolve("nothing"), ms));
const ask = (url) => fetch(url, { signal: AbortSignal.timeout(1000) }).then((answer) => answer.text(), () => "error");
export default {
  async fetch(request, { BACKEND }) {
    const path = new URL(request.url).pathname;
    if (path === "/forget") asking = null;
    asking ??= ask(BACKEND);
    if (path === "/leave" || path === "/forget") return new Response("left");
    return new Response(await Promise.race([asking, limit(2500)]));
  },
};`;
const worker = new Miniflare({
  modules: true,
  script,
  compatibilityDate: "2025-06-01",
  bindings: { BACKEND: `http://127.0.0.1:${backend.address().port}` },
  handleRuntimeStdio: () => {},
});
const get = async (path) => (await worker.dispatchFetch(`http://localhost${path}`)).text();
const together = await Promise.all([get("/stay"), get("/stay")]);
await get("/forget");
const after = await get("/stay");
console.log(JSON.stringify({ together, after }));
await worker.dispose();
backend.close();
backend.closeAllConnections();
EOS
seen=$(node run.mjs 2>/dev/null | tail -1)
echo "$seen"
expected='{"together":["state","state"],"after":"nothing"}'
if [ "$seen" = "$expected" ]; then
  echo "As found: what a request had begun is dropped with it, and those who wait for it are not told."
else
  echo "CHANGED: expected $expected"
  exit 1
fi
