/**
 * `npm run soak`: what takes too long for every test run. Exits 0 when all of it held, 1 when something did not or could
 * not run to its end. Loopback only, stops by itself.
 */
import { spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { DatabaseConfig } from "../../src/config.ts";
import { ServerProcess } from "../../src/demo/story/server-process.ts";
import { startCluster } from "../support/postgres.ts";
import { median } from "../support/statistics.ts";
import type { Estimated } from "./bill-account.ts";
import { bill, SERVER_SCRIPT } from "./bill.ts";
import { crowd, type CrowdVerdict } from "./crowd.ts";
import type { CrowdSample } from "./crowd-verdict.ts";
import { policy } from "./policy.ts";
import { soak, type SoakVerdict } from "./soak.ts";
import { year } from "./year.ts";
import { killFirstStart, killUnderChanges } from "./switches.ts";

const SOAKS = ["books", "switches", "crowd", "bill", "policy", "year", "demo", "benches"] as const;
type SoakName = (typeof SOAKS)[number];
const DATABASES = ["embedded", "postgres"] as const;
type DatabaseName = (typeof DATABASES)[number];

const DEFAULT_KILLS = 20;
const DAYS_A_YEAR = 365;
const MAX_KILLS = 200;
const MAX_MINUTES = 120;
const DEFAULT_CROWD_MINUTES = 5;
/** On average half of this, without --minutes. */
const DEFAULT_LIFE_MS = 3_000;
/** A change is acknowledged within this on a quiet machine: the kill meets it at any of its points. */
const MAX_AFTER_CHANGE_MS = 12;
const MAX_CHANGES_OF_A_LIFE = 40;
/** A first start on the embedded database takes about so long. */
const FIRST_START_MS = 5_000;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
const SECRET_BYTES = 32;
const BILL_CALLS = 10_000;
const BILL_RESTART_EVERY_MS = 10_000;
const MAX_BILL_CALLS = 1_000_000;
/** Of kinds of estimates, those that are told. */
const KINDS_TOLD = 12;
/** On a quiet machine it takes a quarter of it. */
const BILL_TIMEOUT_MS = { eachCall: 36, least: 20 * 60_000 };
const MAX_SEED = 1_000_000;

const HELP = `Usage: npm run soak [-- NAME] [-- --kills N] [-- --database NAME] [-- --minutes N] [-- --calls N]

  books  kills the Andon server with SIGKILL again and again while applications report usage and budgets trip, then
         looks through the books: every record counted once, every trip, incident and alert once
  switches  kills it while switches are thrown, and in its very first start: what was acknowledged is there, what was
         not is whole or absent, and it always boots again
  crowd  ten boards stay open while the whole fleet is replaced every ten seconds, half of the times without a goodbye,
         and usage flows, on tables as full as after hours of it: memory and the time of a kill must stay as they were,
         and every table within its bound
  bill   ten thousand calls of every kind and end through the SDK, message batches, guardFetch, LangChain and the AI SDK, under
         budgets that track, trip and reserve, against an endpoint that keeps a bill, while flags are killed, downgraded,
         models are blocked, hours turn and the Andon server is restarted: what is exact equals its bill to the nano-USD, in
         every table of the ledger, no estimate is below it, and the process that made the calls ends by itself
  policy  fleets of 200 callers with one budget that reserves, on a virtual clock: how much of it is used, and never more
  year   a year of a million records a day, simulated: tables stay within their bounds past their retention, the page of
         the year answers within three times the month's, an hour of a million users keeps those that cost most
  demo   the whole demo: all that it claims must hold
  benches  every bench at its quickest: each must print a figure

All of them without a NAME. Exits non-zero when something did not hold.

  --kills N        books, switches: how often, 1 to ${MAX_KILLS}; ${DEFAULT_KILLS} by default
  --database NAME  ${DATABASES.join(" or ")}; by default books uses one after the other, crowd
                   and bill PostgreSQL, which is started for the run.
  --minutes N      books: spread the kills over about so long for each database; crowd: run for so long, ${DEFAULT_CROWD_MINUTES}
                   by default; 1 to ${MAX_MINUTES}
  --calls N        bill: how many calls, 1 to ${MAX_BILL_CALLS}; ${BILL_CALLS} by default
  --days N         year: so many days, 1 to ${DAYS_A_YEAR}; all by default
  --help           this text
`;

interface Arguments {
  names: readonly SoakName[];
  crowdMinutes: number;
  billCalls: number;
  kills: number;
  days: number;
  lifeMs: number;
  databases: readonly DatabaseName[];
  crowdDatabases: readonly DatabaseName[];
}

process.exit(await main());

async function main(): Promise<number> {
  const given = readArguments();
  if (typeof given === "number") return given;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort(new Error("interrupted")));
  try {
    let faults = 0;
    if (given.names.includes("books")) {
      for (const database of given.databases) faults += (await soakOn(database, given, stop.signal)).faults.length;
    }
    if (given.names.includes("crowd")) {
      for (const database of given.crowdDatabases) {
        faults += (await crowdOn(database, given.crowdMinutes, stop.signal)).faults.length;
      }
    }
    if (given.names.includes("switches")) {
      for (const database of given.databases) faults += await switchesOn(database, given.kills, stop.signal);
      if (given.databases.includes("embedded")) faults += await firstStarts(given.kills, stop.signal);
    }
    if (given.names.includes("bill")) {
      for (const database of given.crowdDatabases) faults += await billOn(database, given.billCalls, stop.signal);
    }
    if (given.names.includes("policy")) faults += tell(await policy(say, stop.signal), "policy of leases");
    if (given.names.includes("year")) faults += await yearOn(given.days, stop.signal);
    if (given.names.includes("demo")) faults += await command("demo", "src/demo/main.js", [], stop.signal);
    if (given.names.includes("benches")) {
      faults += await command("benches", "bench/main.js", ["--quick", "--json"], stop.signal);
    }
    return faults === 0 ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) return EXIT_INTERRUPTED;
    process.stderr.write(`soak: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
}

async function soakOn(database: DatabaseName, given: Arguments, signal: AbortSignal): Promise<SoakVerdict> {
  say(`${database}: ${given.kills} kills`);
  const folder = await mkdtemp(join(tmpdir(), "andon-soak-"));
  const cluster = database === "postgres" ? await startCluster() : null;
  try {
    const url = (await cluster?.createDatabase()) ?? null;
    const server = await ServerProcess.on(join(folder, "data"), url === null ? {} : onPostgres(url));
    const startedMs = performance.now();
    const verdict = await soak({ server, ...given, say, signal });
    for (const fault of verdict.faults) say(`  ✗ ${fault}`);
    const minutes = ((performance.now() - startedMs) / 60_000).toFixed(1);
    const { records, kills, trips, alerts, repeatedAlerts, repeatedBatches, summedRecords } = verdict;
    say(
      `${verdict.faults.length === 0 ? "✓" : "✗"} ${database}: ${kills} kills in ${minutes} min, ${records} records (${summedRecords} as sums), ` +
        `${repeatedBatches} batches repeated, ${trips} trips, ${alerts} alerts (${repeatedAlerts} delivered twice under one id): ` +
        (verdict.faults.length === 0 ? "nothing lost, nothing twice" : `${verdict.faults.length} faults`),
    );
    return verdict;
  } finally {
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function crowdOn(database: DatabaseName, minutes: number, signal: AbortSignal): Promise<CrowdVerdict> {
  say(`${database}: a crowd for ${minutes} min`);
  const folder = await mkdtemp(join(tmpdir(), "andon-soak-"));
  const cluster = database === "postgres" ? await startCluster() : null;
  try {
    const dataDir = join(folder, "data");
    const url = (await cluster?.createDatabase()) ?? null;
    const server = await ServerProcess.on(dataDir, url === null ? {} : onPostgres(url));
    const config: DatabaseConfig = url === null ? { kind: "embedded", dataDir } : { kind: "postgres", url };
    const verdict = await crowd({ server, database: config, minutes, say, signal });
    const { faults, samples, tables } = verdict;
    for (const table of tables) say(`  ${table}`);
    for (const fault of faults) say(`  ✗ ${fault}`);
    say(
      `${faults.length === 0 ? "✓" : "✗"} ${database}: ${samples.length} fleets one after the other, ${spanOf(samples, ({ killMs }) => killMs)} ms for a kill, ` +
        `${spanOf(samples, ({ rssMiB }) => rssMiB)} MiB: ` +
        (faults.length === 0 ? "memory and kills as at first, tables within their bounds" : `${faults.length} faults`),
    );
    return verdict;
  } finally {
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function switchesOn(database: DatabaseName, kills: number, signal: AbortSignal): Promise<number> {
  say(`${database}: ${kills} kills while switches are thrown`);
  const folder = await mkdtemp(join(tmpdir(), "andon-soak-"));
  const cluster = database === "postgres" ? await startCluster() : null;
  try {
    const url = (await cluster?.createDatabase()) ?? null;
    const server = await ServerProcess.on(join(folder, "data"), url === null ? {} : onPostgres(url));
    const moments = Array.from({ length: kills }, () => ({
      acknowledged: randomInt(1, MAX_CHANGES_OF_A_LIFE),
      thenMs: randomInt(MAX_AFTER_CHANGE_MS),
    }));
    const { faults, acknowledged } = await killUnderChanges({ server, moments, say, signal });
    return tell(faults, `${database}: ${acknowledged} acknowledged changes, ${kills} kills`);
  } finally {
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function billOn(database: DatabaseName, calls: number, signal: AbortSignal): Promise<number> {
  say(`bill on ${database}: ${calls} calls of every kind and end, by every door`);
  const folder = await mkdtemp(join(tmpdir(), "andon-soak-"));
  const cluster = database === "postgres" ? await startCluster() : null;
  const url = (await cluster?.createDatabase()) ?? null;
  const env = url === null ? {} : onPostgres(url);
  const server = await ServerProcess.on(join(folder, "data"), env, SERVER_SCRIPT);
  const startedMs = performance.now();
  try {
    await server.start();
    const seed = randomInt(MAX_SEED);
    const timeoutMs = Math.max(BILL_TIMEOUT_MS.least, calls * BILL_TIMEOUT_MS.eachCall);
    const query =
      cluster === null || url === null
        ? null
        : (statement: string) => cluster.execute(statement, new URL(url).pathname.slice(1));
    const bounds = { restartEveryMs: BILL_RESTART_EVERY_MS, timeoutMs };
    const found = await bill({ server, query, calls, seed, ...bounds, say, signal });
    for (const [door, ends] of found.ends) say(`  ${door}: ${listed(ends)}`);
    say(`  answers of the endpoint: ${listed(found.played)}`);
    say(`  estimated, by answer: ${estimates(found.compared.byAnswer)}`);
    say(`  estimated, by what was asked: ${estimates(found.compared.byAsked)}`);
    for (const line of found.ledger) say(`  ${line}`);
    say(
      `  ${found.stops} stops and ${found.kills} kills of the server, ${found.hours.toFixed(1)} h by its clock, longest call ` +
        `${seconds(found.longestCallMs)} s, heap ${(found.heapGrowthBytes / 1024).toFixed(0)} KiB more, process ended after ` +
        `${seconds(found.exitMs ?? 0)} s, ${((performance.now() - startedMs) / 60_000).toFixed(1)} min in all`,
    );
    const { compared } = found;
    const estimated = compared.requests - compared.exactRequests;
    return tell(
      found.faults,
      `bill: ${calls} calls, ${compared.requests} requests; ${compared.exactRequests} recorded exactly: ${nanoUsd(compared.exactRecordedNanoUsd)}, ` +
        `billed ${nanoUsd(compared.exactBillNanoUsd)}; ${estimated} by estimate: ${nanoUsd(compared.estimatedRecordedNanoUsd)}, billed ` +
        `${nanoUsd(compared.estimatedBillNanoUsd)} (${factorOf(compared.estimatedRecordedNanoUsd, compared.estimatedBillNanoUsd)}); seed ${seed}`,
    );
  } finally {
    await server.stop();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Kinds whose estimates are furthest above their bill, in USD. */
function estimates(kinds: ReadonlyMap<string, Estimated>): string {
  return [...kinds]
    .toSorted(([, one], [, other]) => excess(other) - excess(one))
    .slice(0, KINDS_TOLD)
    .map(([kind, { requests, billNanoUsd, recordedNanoUsd }]) => {
      const [has, billed] = [recordedNanoUsd / 1e9, billNanoUsd / 1e9];
      return `${kind} ${has.toFixed(2)} of ${billed.toFixed(2)} USD (${factorOf(has, billed)}, ${requests})`;
    })
    .join("; ");
}

function excess({ recordedNanoUsd, billNanoUsd }: Estimated): number {
  return recordedNanoUsd - billNanoUsd;
}

function factorOf(recorded: number, billed: number): string {
  return billed === 0 ? "nothing billed" : `${(recorded / billed).toFixed(2)} times`;
}

function nanoUsd(amount: number): string {
  return `${amount.toLocaleString("en")} nano-USD`;
}

async function yearOn(days: number, signal: AbortSignal): Promise<number> {
  say(`year on postgres: ${days} days of a million records each`);
  const cluster = await startCluster();
  try {
    const startedMs = performance.now();
    const faults = await year({ url: await cluster.createDatabase(), days, say, signal });
    return tell(faults, `year: ${days} days in ${((performance.now() - startedMs) / 60_000).toFixed(1)} min`);
  } finally {
    await cluster.stop();
  }
}

function listed(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].toSorted(([, one], [, other]) => other - one);
  return sorted.map(([name, count]) => `${name} ${count}`).join(", ");
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}

async function firstStarts(kills: number, signal: AbortSignal): Promise<number> {
  const faults: string[] = [];
  for (let kill = 1; kill <= kills; kill += 1) {
    signal.throwIfAborted();
    const afterMs = randomInt(FIRST_START_MS);
    say(`  first start ${kill} of ${kills}: killed after ${afterMs} ms`);
    const folder = await mkdtemp(join(tmpdir(), "andon-soak-"));
    try {
      faults.push(...(await killFirstStart(await ServerProcess.on(join(folder, "data")), afterMs)));
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }
  return tell(faults, `embedded: ${kills} first starts killed`);
}

/** Runs one of the project's own commands to its end, which judges itself. */
async function command(name: string, script: string, args: readonly string[], signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const path = fileURLToPath(new URL(`../../${script}`, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], { stdio: "inherit" });
  const [code] = await once(child, "exit");
  signal.throwIfAborted();
  return tell(code === 0 ? [] : [`it ended with ${String(code)}`], name);
}

/** Says how it ended. The number of faults. */
function tell(faults: readonly string[], what: string): number {
  for (const fault of faults) say(`  ✗ ${fault}`);
  say(faults.length === 0 ? `✓ ${what}: all of it held` : `✗ ${what}: ${faults.length} faults`);
  return faults.length;
}

function onPostgres(url: string): Record<string, string> {
  return { DATABASE_URL: url, ANDON_SECRET: randomBytes(SECRET_BYTES).toString("base64url") };
}

/** In the first half, and in the second. */
function spanOf(samples: readonly CrowdSample[], pick: (sample: CrowdSample) => number): string {
  const middle = Math.ceil(samples.length / 2);
  return [samples.slice(0, middle), samples.slice(-middle)]
    .map((half) => median(half.map(pick)).toFixed(0))
    .join(" → ");
}

function readArguments(): Arguments | number {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        kills: { type: "string" },
        database: { type: "string" },
        minutes: { type: "string" },
        days: { type: "string" },
        calls: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) {
      process.stdout.write(HELP);
      return 0;
    }
    const unknown = positionals.filter((name) => !SOAKS.some((known) => known === name));
    if (unknown.length > 0) throw new Error(`there is no soak named ${unknown.join(", ")}`);
    const names = SOAKS.filter((name) => positionals.length === 0 || positionals.includes(name));
    const kills = wholeNumber("--kills", values.kills, MAX_KILLS) ?? DEFAULT_KILLS;
    const billCalls = wholeNumber("--calls", values.calls, MAX_BILL_CALLS) ?? BILL_CALLS;
    const days = wholeNumber("--days", values.days, DAYS_A_YEAR) ?? DAYS_A_YEAR;
    const minutes = wholeNumber("--minutes", values.minutes, MAX_MINUTES);
    const databases = DATABASES.filter((name) => values.database === undefined || values.database === name);
    // The embedded one is in the server's process, which twenty thousand instances would keep busy.
    const crowdDatabases = values.database === undefined ? (["postgres"] as const) : databases;
    if (databases.length === 0) throw new Error(`--database must be ${DATABASES.join(" or ")}`);
    // A life ends at random within its span: on average after half of it.
    const lifeMs = minutes === null ? DEFAULT_LIFE_MS : Math.ceil((minutes * 60_000 * 2) / kills);
    return {
      names,
      days,
      crowdMinutes: minutes ?? DEFAULT_CROWD_MINUTES,
      billCalls,
      kills,
      lifeMs,
      databases,
      crowdDatabases,
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
    return EXIT_USAGE;
  }
}

function wholeNumber(name: string, text: string | undefined, max: number): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!/^\d{1,7}$/.test(text) || value < 1 || value > max) throw new Error(`${name} must be from 1 to ${max}`);
  return value;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
