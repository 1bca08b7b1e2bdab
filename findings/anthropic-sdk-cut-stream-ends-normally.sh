#!/usr/bin/env bash
# @anthropic-ai/sdk 1.14.0: a stream of `messages.create({ stream: true })` that ends before `message_stop`, because the
# connection was closed in an orderly way or because the caller's signal was aborted, ends the `for await` loop like a
# whole answer. Expected: an error in both cases, as `messages.stream(...).finalMessage()` gives for the same bytes. Seen:
# the loop ends, half an answer in hand; only the absence of a `message_stop` event tells.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @anthropic-ai/sdk@1.14.0
cat > run.mjs <<'JS'
import http from "node:http";
import Anthropic from "@anthropic-ai/sdk";
const usage = { input_tokens: 10, output_tokens: 1 };
const message = { id: "msg_1", type: "message", role: "assistant", model: "claude-opus-5-5", content: [], stop_reason: null, stop_sequence: null, usage };
const server = http.createServer((req, res) => {
  res.writeHead(200, { "content-type": "text/event-stream" });
  const send = (type, data) => res.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  send("message_start", { message });
  send("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
  send("content_block_delta", { index: 0, delta: { type: "text_delta", text: "Do not " } });
  if (req.headers["x-closes"] === "yes") res.end();
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const claude = new Anthropic({ apiKey: "local", baseURL: `http://127.0.0.1:${server.address().port}`, maxRetries: 0 });
const ask = { model: "claude-opus-5-5", max_tokens: 100, messages: [{ role: "user", content: "May I?" }] };
async function loop(closes) {
  const caller = new AbortController();
  const options = { signal: caller.signal, headers: { "x-closes": closes ? "yes" : "no" } };
  let text = "";
  try {
    for await (const event of await claude.messages.create({ ...ask, stream: true }, options)) {
      if (event.type !== "content_block_delta") continue;
      text += event.delta.text;
      if (!closes) caller.abort();
    }
    return `"${text}", normally`;
  } catch (error) {
    return `"${text}", ${error.constructor.name}`;
  }
}
const closed = await loop(true);
const aborted = await loop(false);
const helper = await claude.messages.stream(ask, { headers: { "x-closes": "yes" } }).finalMessage().then(() => "a message", () => "an error");
console.log(`create, closed by the provider: ${closed}\ncreate, aborted by the caller: ${aborted}\nstream().finalMessage(), closed: ${helper}`);
server.closeAllConnections();
server.close();
process.exit(closed.endsWith("normally") && aborted.endsWith("normally") && helper === "an error" ? 0 : 1);
JS
node run.mjs
echo "as described"
