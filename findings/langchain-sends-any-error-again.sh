#!/usr/bin/env bash
# @langchain/anthropic 1.5.11 with @langchain/core 1.4.0: `ChatAnthropic` switches the retries of Anthropic's SDK off and
# makes its own, which go by `status` alone: any error without a listed one is sent again up to six times, with pauses from
# 1 s, doubled each time. Expected: an error that middleware of the application throws ends the call, as the SDK promises
# for it, and `x-should-retry: false` of an answer holds. Seen: both are tried again (here with two retries allowed);
# an own property of the error, the symbol "langchain.errors.retryable", or `status: 403` ends it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @langchain/anthropic@1.5.11 @langchain/core@1.4.0 @anthropic-ai/sdk@0.122.0
cat > run.mjs <<'JS'
import Anthropic from "@anthropic-ai/sdk";
import { ChatAnthropic } from "@langchain/anthropic";
async function attempts(middleware, most) {
  let sent = 0;
  const counted = (request, next) => {
    sent += 1;
    return middleware(request, next);
  };
  const createClient = (options) => new Anthropic({ ...options, middleware: [counted] });
  const chat = new ChatAnthropic({ model: "claude-opus-5-5", apiKey: "local", createClient, maxRetries: most });
  await chat.invoke("May I?").catch(() => undefined);
  return sent;
}
const refuse = (fields) => async () => {
  throw Object.assign(new Anthropic.AnthropicError("not now"), fields);
};
const body = JSON.stringify({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
const headers = { "content-type": "application/json", "x-should-retry": "false" };
const own = await attempts(refuse({}), 2);
const header = await attempts(async () => new Response(body, { status: 529, headers }), 2);
const byStatus = await attempts(refuse({ status: 403 }), 2);
const bySymbol = await attempts(refuse({ [Symbol.for("langchain.errors.retryable")]: false }), 2);
console.log(`with maxRetries 2 (6 by default): middleware's own error: ${own} tries; 529 with x-should-retry: false: ${header}; status 403: ${byStatus}; the symbol: ${bySymbol}`);
process.exit(own === 3 && header === 3 && byStatus === 1 && bySymbol === 1 ? 0 : 1);
JS
node run.mjs
echo "as described"
