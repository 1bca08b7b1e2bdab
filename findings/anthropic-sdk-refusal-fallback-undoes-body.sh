#!/usr/bin/env bash
# @anthropic-ai/sdk 1.14.0, Node 20: `betaRefusalFallbackMiddleware` after other middleware that edits the request. Expected: it
# passes on the request that it is given, as middleware does, with its additions. Seen: in every call of `client.beta.messages`,
# refused or not, the body is encoded anew from `ctx.options.body`: what the middleware before it changed in the body (the model,
# `max_tokens`) is undone without a word; headers stay. Middleware that stands after it has the last word. Calls of
# `client.messages` are passed on as they are.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @anthropic-ai/sdk@1.14.0
cat > run.mjs <<'JS'
import Anthropic from "@anthropic-ai/sdk";
import { betaRefusalFallbackMiddleware } from "@anthropic-ai/sdk/lib/middleware";

/** Sends a smaller model in the place of the one asked for, and says so in a header. */
const downgrade = (request, next) => {
  request.headers.set("x-downgraded", "yes");
  return next({ ...request, body: JSON.stringify({ ...JSON.parse(request.body), model: "claude-haiku-5-5", max_tokens: 7 }) });
};
const fallbacks = betaRefusalFallbackMiddleware([{ model: "claude-sonnet-5-5" }]);

async function sent(middleware, call) {
  let seen = "";
  const fetch = async (_url, init) => {
    const { model, max_tokens } = JSON.parse(init.body);
    seen = `${model}, ${max_tokens}, ${new Headers(init.headers).get("x-downgraded")}`;
    const usage = { input_tokens: 1, output_tokens: 1 };
    const message = { id: "msg_1", type: "message", role: "assistant", model, content: [], stop_reason: "end_turn", usage };
    return new Response(JSON.stringify(message), { headers: { "content-type": "application/json" } });
  };
  const client = new Anthropic({ apiKey: "k", fetch, middleware });
  await call(client)({ model: "claude-opus-5-5", max_tokens: 64, messages: [{ role: "user", content: "Hello" }] });
  return seen;
}

const beta = (client) => (body) => client.beta.messages.create(body);
const plain = (client) => (body) => client.messages.create(body);
const seen = {
  "edited, then fallbacks": await sent([downgrade, fallbacks], beta),
  "fallbacks, then edited": await sent([fallbacks, downgrade], beta),
  "edited, then fallbacks, not beta": await sent([downgrade, fallbacks], plain),
};
console.log(process.version, JSON.stringify(seen, null, 2));
const [undone, after, notBeta] = Object.values(seen);
const kept = "claude-haiku-5-5, 7, yes";
process.exit(undone === "claude-opus-5-5, 64, yes" && after === kept && notBeta === kept ? 0 : 1);
JS
node run.mjs
echo "as described"
