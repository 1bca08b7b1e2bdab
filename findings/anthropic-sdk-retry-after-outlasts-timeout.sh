#!/usr/bin/env bash
# @anthropic-ai/sdk 1.14.0: `timeout` bounds one request, not the pause before the next. Expected: a client with
# `timeout: 1000` and one retry gives up after about two seconds. Seen: it sleeps the whole `retry-after` of a 529 first,
# five seconds here, and there is no upper bound of its own on it; only `maxRetries: 0` or the header
# `x-should-retry: false` ends the call at once.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @anthropic-ai/sdk@1.14.0
cat > run.mjs <<'JS'
import http from "node:http";
import Anthropic from "@anthropic-ai/sdk";
const RETRY_AFTER_SECONDS = 5;
const body = JSON.stringify({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
const server = http.createServer((req, res) => {
  const stop = req.headers["x-stop"] === "yes" ? { "x-should-retry": "false" } : {};
  res.writeHead(529, { "content-type": "application/json", "retry-after": String(RETRY_AFTER_SECONDS), ...stop }).end(body);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const claude = new Anthropic({ apiKey: "local", baseURL: `http://127.0.0.1:${server.address().port}`, maxRetries: 1, timeout: 1000 });
const ask = { model: "claude-opus-5-5", max_tokens: 100, messages: [{ role: "user", content: "May I?" }] };
async function secondsOf(headers) {
  const startedMs = performance.now();
  const status = await claude.messages.create(ask, { headers }).then(() => 200, (error) => error.status);
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(`${JSON.stringify(headers)}: ${status} after ${seconds.toFixed(1)} s`);
  return seconds;
}
const slept = await secondsOf({});
const stopped = await secondsOf({ "x-stop": "yes" });
server.closeAllConnections();
server.close();
process.exit(slept > RETRY_AFTER_SECONDS - 0.5 && stopped < 1 ? 0 : 1);
JS
node run.mjs
echo "as described"
