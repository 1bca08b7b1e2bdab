#!/usr/bin/env bash
# workerd, the runtime of Cloudflare Workers (miniflare 4.20260426.0): `new AbortController()` outside of a request stops the
# Worker from starting, as asking for a timer or a random value does. It reaches no network and waits for nothing, so one
# would expect it to be allowed, as `new Headers()` is. A module that makes one for later use cannot be imported.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund miniflare@4.20260426.0

cat >run.mjs <<'EOF'
import { Miniflare } from "miniflare";

const handler = "export default { async fetch() { return new Response('ok'); } };";
const seen = {};
for (const [name, line] of Object.entries({
  headers: "const later = new Headers();",
  controller: "const later = new AbortController();",
  inRequest: "",
})) {
  const body = name === "inRequest" ? handler.replace("return", "new AbortController(); return") : handler;
  const worker = new Miniflare({
    modules: true,
    script: `${line}\n${body}`,
    compatibilityDate: "2025-06-01",
    handleRuntimeStdio: () => {},
  });
  try {
    seen[name] = await (await worker.dispatchFetch("http://localhost/")).text();
  } catch (error) {
    seen[name] = error.code;
  }
  await worker.dispose().catch(() => {});
}
console.log(JSON.stringify(seen));
EOF
seen=$(node run.mjs 2>/dev/null | tail -1)
echo "$seen"
expected='{"headers":"ok","controller":"ERR_RUNTIME_FAILURE","inRequest":"ok"}'
if [ "$seen" = "$expected" ]; then
  echo "As found: new AbortController() is allowed within a request only."
else
  echo "CHANGED: expected $expected"
  exit 1
fi
