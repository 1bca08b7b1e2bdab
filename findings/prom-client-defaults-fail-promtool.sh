#!/usr/bin/env bash
# prom-client 15.1.3, promtool 2.42 (Debian's package prometheus), Node 20: the metrics of `collectDefaultMetrics()`.
# Expected: names that Prometheus' own linter takes. Seen: three gauges end in `_total`, the ending of counters, and
# `promtool check metrics` fails for them; without these three it passes. `collectDefaultMetrics` has no option to leave
# one out; `removeSingleMetric(name)` of the registry does.
set -euo pipefail
command -v promtool >/dev/null || apt-get install -y -q "prometheus=2.42.*" >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund prom-client@15.1.3
cat > run.mjs <<'JS'
import client from "prom-client";
client.collectDefaultMetrics();
for (const name of process.argv.slice(2)) client.register.removeSingleMetric(name);
process.stdout.write(await client.register.metrics());
JS
echo "prom-client 15.1.3, $(promtool --version 2>&1 | head -1), Node $(node --version)"
gauges="nodejs_active_handles_total nodejs_active_requests_total nodejs_active_resources_total"
node run.mjs > all
# shellcheck disable=SC2086
node run.mjs $gauges > rest
status=0
promtool check metrics < all > said 2>&1 || status=$?
cat said
echo "all: exit $status"
[ "$status" -ne 0 ] || { echo "CHANGED: promtool takes them all"; exit 1; }
[ "$(cut -d' ' -f1 said | sort -u | tr '\n' ' ')" = "$gauges " ] || { echo "CHANGED: it names others"; exit 1; }
promtool check metrics < rest || { echo "CHANGED: the rest fails too"; exit 1; }
echo "without the three: exit 0; as described"
