#!/usr/bin/env bash
# @pydantic/genai-prices 0.1.8: a Claude model that its table does not have is priced as the one whose name it begins with.
# Expected: null, as for other unknown models, so that somebody notices. Seen: claude-sonnet-5-5 and even a name that
# nobody has are priced as claude-sonnet-5, with no sign of it but `model.id` of the result; claude-haiku-5-5 gives null.
# A million cached tokens of claude-sonnet-5-5 come to 0.20 USD, the cached rate of claude-sonnet-5.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @pydantic/genai-prices@0.1.8
cat > run.mjs <<'JS'
import { calcPrice } from "@pydantic/genai-prices";
const price = (model) => {
  const found = calcPrice({ input_tokens: 1_000_000, cache_read_tokens: 1_000_000 }, model, { providerId: "anthropic" });
  return found === null ? "null" : `${found.total_price} as ${found.model.id}`;
};
const expected = {
  "claude-sonnet-5": "0.2 as claude-sonnet-5",
  "claude-sonnet-5-5": "0.2 as claude-sonnet-5",
  "claude-sonnet-5-of-nobody": "0.2 as claude-sonnet-5",
  "claude-haiku-5-5": "null",
};
let same = true;
for (const [model, wanted] of Object.entries(expected)) {
  const seen = price(model);
  console.log(model.padEnd(28), seen);
  same &&= seen === wanted;
}
process.exit(same ? 0 : 1);
JS
node run.mjs
echo "as described"
