#!/usr/bin/env bash
# ai 6.0.326 with @ai-sdk/anthropic 3.0.140: when the first request of `streamText` fails, `await result.text` (and every
# other promise of the result) rejects with an `AI_NoOutputGeneratedError` that has no `cause`, for whatever reason it
# failed. Expected: the error itself, or one with it as its cause, as `generateText` gives. Seen: only `onError` and the
# `error` part of `fullStream` have it; `textStream` ends like that of an empty answer. So a caller that awaits `text`
# can tell an overload, a wrong key and a refusal of its own `fetch` from one another in no way.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund ai@6.0.326 @ai-sdk/anthropic@3.0.140 zod@4.6.7
cat > run.mjs <<'JS'
import { createAnthropic } from "@ai-sdk/anthropic";
import { generateText, streamText } from "ai";
class Refused extends Error {}
const anthropic = createAnthropic({ apiKey: "local", fetch: () => Promise.reject(new Refused("not now")) });
const ask = { model: anthropic("claude-opus-5-5"), prompt: "May I?" };
const whole = await generateText(ask).catch((error) => error);
const told = [];
const stream = streamText({ ...ask, onError: ({ error }) => told.push(error) });
let text = "";
for await (const part of stream.textStream) text += part;
const awaited = await stream.text.then(String, (error) => error);
console.log(`generateText: ${whole.constructor.name}`);
console.log(`streamText: onError has ${told[0]?.constructor.name}; textStream ended with "${text}"; text: ${awaited.name}, cause ${awaited.cause}`);
const isSo = whole instanceof Refused && told[0] instanceof Refused && text === "" && awaited.name === "AI_NoOutputGeneratedError" && awaited.cause === undefined;
process.exit(isSo ? 0 : 1);
JS
node run.mjs
echo "as described"
