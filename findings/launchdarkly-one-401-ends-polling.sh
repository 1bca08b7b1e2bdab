#!/usr/bin/env bash
# @launchdarkly/node-server-sdk 9.13.7, Node 20: one answer 401 to a poll ends polling for the life of the process.
# Expected: as after a 500, the next poll comes an interval later. Seen: no request any more, although the server answers
# 200 again at once; `variation` goes on with the values of before. Whoever changes a flag after a stray 401 (a proxy, an
# authorisation service that restarts) changes nothing in that process.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @launchdarkly/node-server-sdk@9.13.7
cat > run.cjs <<'JS'
const http = require("node:http");
const { init } = require("@launchdarkly/node-server-sdk");
const POLLS_AWAITED = 4;
async function polls(badStatus) {
  let asked = 0;
  const server = http.createServer((req, res) => {
    if (!req.url.includes("latest-all")) return res.writeHead(202).end();
    asked += 1;
    if (asked === 2) return res.writeHead(badStatus).end();
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ flags: {}, segments: {} }));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${server.address().port}`;
  const quiet = { debug() {}, info() {}, warn() {}, error() {} };
  const client = init("sdk-test", { baseUri: url, eventsUri: url, stream: false, sendEvents: false, pollInterval: 1, diagnosticOptOut: true, logger: quiet });
  await client.waitForInitialization({ timeout: 10 });
  // The SDK never polls more often than it wants; the wait is as long as it needs for four polls after a 500.
  const untilMs = Date.now() + 150_000;
  const longestMs = badStatus === 401 ? polls.tookMs + 5_000 : untilMs;
  const startedMs = Date.now();
  while (asked < POLLS_AWAITED && Date.now() < untilMs && Date.now() - startedMs < longestMs) await new Promise((done) => setTimeout(done, 200));
  polls.tookMs = Date.now() - startedMs;
  client.close();
  server.close();
  server.closeAllConnections();
  return asked;
}
(async () => {
  const after500 = await polls(500);
  const after401 = await polls(401);
  console.log(`requests with one 500 as the second answer: ${after500}`);
  console.log(`requests with one 401 as the second answer: ${after401}`);
  process.exit(after500 >= POLLS_AWAITED && after401 === 2 ? 0 : 1);
})();
JS
node run.cjs
echo "as described"
