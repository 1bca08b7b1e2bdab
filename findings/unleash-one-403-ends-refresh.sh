#!/usr/bin/env bash
# unleash-client 6.12.1, Node 20: which answers to a refresh end refreshing for ever. Expected: none, as a client that
# polls is there for the time after the fault. Seen: 401 and 403 end it (no request any more, while the server answers 200
# again), 404, 429, 500 and 503 do not. Values stay as they were; `isEnabled` goes on without a word.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund unleash-client@6.12.1
cat > run.cjs <<'JS'
const http = require("node:http");
const { Unleash, InMemStorageProvider } = require("unleash-client");
const REFRESH_MS = 100;
async function requests(badStatus) {
  let asked = 0;
  const server = http.createServer((req, res) => {
    if (!req.url.includes("client/features")) return res.writeHead(202).end();
    asked += 1;
    if (asked === 2) return res.writeHead(badStatus).end();
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ version: 2, features: [] }));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const client = new Unleash({ url: `http://127.0.0.1:${server.address().port}/api`, appName: "a", refreshInterval: REFRESH_MS, disableMetrics: true, storageProvider: new InMemStorageProvider() });
  client.on("error", () => {});
  client.on("warn", () => {});
  client.start?.();
  const startedMs = Date.now();
  while (asked < 6 && Date.now() - startedMs < 5_000) await new Promise((done) => setTimeout(done, 50));
  client.destroy();
  server.close();
  server.closeAllConnections();
  return asked;
}
(async () => {
  const seen = {};
  for (const status of [500, 503, 429, 401, 403, 404]) seen[status] = await requests(status);
  console.log("requests in 5 s at one every 100 ms, the second answered with:", JSON.stringify(seen));
  const ended = Object.keys(seen).filter((status) => seen[status] === 2);
  process.exit(ended.join() === "401,403" ? 0 : 1);
})();
JS
node run.cjs
echo "as described"
