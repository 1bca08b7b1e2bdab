/**
 * `npm run bench -- [NAME…] [--json] [--quick]`: figures on stdout, progress on stderr. Loopback only, stops by itself.
 * A bench that cannot measure fails the command; no timing does.
 */
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { benchBoardFirst, benchBoardLive, benchBoardViewer, benchKillCrowded } from "./board/bench.ts";
import { benchBoardPhone } from "./board/phone.ts";
import { benchEvaluate } from "./evaluate/bench.ts";
import { benchGuardOverhead } from "./guard/bench.ts";
import { benchHeapStreams } from "./guard/heap.ts";
import { benchServerAway } from "./guard/server-away.ts";
import { benchLeaseCycle } from "./guard/lease-cycle.ts";
import { benchIngest } from "./ingest/bench.ts";
import { benchKill } from "./kill/bench.ts";
import { benchPoll } from "./poll/bench.ts";
import { benchOvershoot } from "./overshoot/bench.ts";
import { WORKLOADS } from "./overshoot/protocol.ts";
import type { Effort } from "./support/effort.ts";
import { type Figure, toJsonLine, toTable } from "./support/figure.ts";
import { benchUsage } from "./usage/bench.ts";
import { benchUsageYear } from "./usage/year.ts";

const BENCHES: ReadonlyMap<string, (effort: Effort) => Promise<Figure>> = new Map([
  ["evaluate.static", (effort: Effort) => benchEvaluate("static", effort)],
  ["evaluate.rollout50", (effort) => benchEvaluate("rollout50", effort)],
  ["evaluate.rules5", (effort) => benchEvaluate("rules5", effort)],
  ["guard.overhead", benchGuardOverhead],
  ["guard.overhead_server_away", benchServerAway],
  ["heap.streams", benchHeapStreams],
  ["lease.cycle", benchLeaseCycle],
  ["poll.304", benchPoll],
  ["kill.last_of_1000", benchKill],
  ["kill.crowded", benchKillCrowded],
  ["board.first", benchBoardFirst],
  ["board.live", benchBoardLive],
  ["board.viewer", benchBoardViewer],
  ["board.phone", benchBoardPhone],
  ["ingest.postgres", (effort) => benchIngest("postgres", effort)],
  ["ingest.pglite", (effort) => benchIngest("pglite", effort)],
  ["usage.query30d", benchUsage],
  ["usage.year", benchUsageYear],
  ["overshoot.track", (effort) => benchOvershoot("track", effort)],
  ["overshoot.trip", (effort) => benchOvershoot("trip", effort)],
  ["overshoot.reserve", (effort) => benchOvershoot("reserve", effort)],
]);

const MAX_SECONDS = 3_600;
const HELP = `Usage: npm run bench -- [NAME…] [--json] [--quick] [--seconds N] [--trace FILE] [--workload NAME] [--kills]

Measures Andon beside its floors and peers, in one run. A NAME may be the start of several names.

  NAME     ${[...BENCHES.keys()].join(", ")}; all when none is given
  --json   one JSON object per line: {name, unit, ours, floor?, peers?, note?}
  --quick  a few seconds per bench, to see that it works; the figures mean nothing
  --seconds N  ingest: load the server for so long, 1 to ${MAX_SECONDS}, and show its memory on the way
  --trace FILE     overshoot: replay the calls of a CSV (time, input tokens, output tokens)
  --workload NAME  overshoot: one of ${WORKLOADS.join(", ")}, again for more; all when none is given
  --kills          overshoot: SIGKILL to clients and to a server at random
  --help   this text
`;

const EXIT_USAGE = 2;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean" },
      quick: { type: "boolean" },
      seconds: { type: "string" },
      trace: { type: "string" },
      workload: { type: "string", multiple: true },
      kills: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const unknown = positionals.filter((name) => ![...BENCHES.keys()].some((known) => matches(known, name)));
  if (unknown.length > 0) {
    process.stderr.write(`There is no bench named ${unknown.join(", ")}.\n\n${HELP}`);
    return EXIT_USAGE;
  }
  const seconds = values.seconds === undefined ? null : Number(values.seconds);
  if (seconds !== null && !(Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_SECONDS)) {
    process.stderr.write(`--seconds must be from 1 to ${MAX_SECONDS}.\n\n${HELP}`);
    return EXIT_USAGE;
  }
  const asked = values.workload;
  const workloads = asked === undefined ? null : WORKLOADS.filter((name) => asked.includes(name));
  if (workloads !== null && workloads.length < new Set(asked).size) {
    process.stderr.write(`--workload must be one of ${WORKLOADS.join(", ")}.\n\n${HELP}`);
    return EXIT_USAGE;
  }
  const effort: Effort = {
    isQuick: values.quick === true,
    seconds,
    trace: values.trace ?? null,
    kills: values.kills === true,
    workloads,
    say: (text) => void process.stderr.write(`${text}\n`),
  };
  effort.say(`${cpus()[0]?.model ?? "unknown CPU"}, ${availableParallelism()} cores, Node ${process.version}`);
  const figures: Figure[] = [];
  for (const [name, bench] of BENCHES) {
    if (positionals.length > 0 && !positionals.some((wanted) => matches(name, wanted))) continue;
    effort.say(`${name} …`);
    const figure = await bench(effort);
    figures.push(figure);
    if (values.json === true) process.stdout.write(`${toJsonLine(figure)}\n`);
  }
  if (values.json !== true) process.stdout.write(`${toTable(figures)}\n`);
  return 0;
}

function matches(name: string, wanted: string): boolean {
  return name === wanted || name.startsWith(`${wanted}.`);
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
}
