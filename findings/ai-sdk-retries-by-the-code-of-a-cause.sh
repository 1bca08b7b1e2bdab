#!/usr/bin/env bash
# ai 6.0.326 with @ai-sdk/anthropic 3.0.140: what a custom `fetch` throws is retried when any error in its chain of causes
# has a network's `code`, whatever the outer error is, and an answer of 529 is retried also where `x-should-retry: false`
# says that it is of no use. Expected: an application's own error ends the call, and that header holds, as it does in
# Anthropic's SDK. Seen: an error with an ECONNRESET behind it is sent again twice, 6 s in all, and comes back inside two
# others (an `AI_RetryError`, which has no `cause` but a `lastError`); without that cause it ends the call at once.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund ai@6.0.326 @ai-sdk/anthropic@3.0.140 zod@4.6.7
cat > run.mjs <<'JS'
import { createAnthropic } from "@ai-sdk/anthropic";
import { generateText } from "ai";
class Refused extends Error {}
async function attempts(answer) {
  let sent = 0;
  const fetch = async () => {
    sent += 1;
    return answer();
  };
  const model = createAnthropic({ apiKey: "local", fetch })("claude-opus-5-5");
  const error = await generateText({ model, prompt: "May I?" }).catch((thrown) => thrown);
  return { sent, error };
}
const reset = () => Object.assign(new Error("reset"), { code: "ECONNRESET" });
const plain = await attempts(() => Promise.reject(new Refused("not now")));
const caused = await attempts(() => Promise.reject(new Refused("not now", { cause: reset() })));
const body = JSON.stringify({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
const headers = { "content-type": "application/json", "x-should-retry": "false", "retry-after-ms": "5" };
const header = await attempts(async () => new Response(body, { status: 529, headers }));
const { name, cause, lastError } = caused.error;
console.log(`an error of its own: sent ${plain.sent} time, ${plain.error.constructor.name}`);
console.log(`the same over an ECONNRESET: sent ${caused.sent} times, ${name}, cause ${cause}, lastError ${lastError?.name} of ${lastError?.cause?.constructor.name}`);
console.log(`529 with x-should-retry: false: sent ${header.sent} times`);
const isSo = plain.sent === 1 && caused.sent === 3 && name === "AI_RetryError" && cause === undefined && lastError?.cause instanceof Refused && header.sent === 3;
process.exit(isSo ? 0 : 1);
JS
node run.mjs
echo "as described"
