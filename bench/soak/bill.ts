/**
 * The bill: calls of every kind and end through every door of the guard, under budgets that track, trip and reserve, against an
 * endpoint that keeps a bill of its own, while flags are killed, downgraded, models are blocked, hours turn, and the Andon
 * server is restarted and killed. Invariants looked at: no request's records are below its bill, exact ones are equal to it, the
 * ledger holds what the records come to, in every table, and the application is left with nothing: no error unhandled, no timer,
 * socket or heap, so that it ends by itself.
 */
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../../src/demo/story/free-port.ts";
import { OperatorApi, tokenSchema } from "../../src/demo/story/operator-api.ts";
import type { ServerProcess } from "../../src/demo/story/server-process.ts";
import { waitUntil } from "../../src/demo/story/wait.ts";
import { ENVIRONMENT_PATH } from "../support/andon-server.ts";
import { startWorker } from "../support/worker.ts";
import { Account, type Compared } from "./bill-account.ts";
import { BillEndpoint, randomOf, type Random } from "./bill-endpoint.ts";
import { faultsOfLedger, makeBudgets, type Query } from "./bill-ledger.ts";
import { billMessageSchema, type BillTask } from "./bill-protocol.ts";

/** The server whose clock can be ahead. */
export const SERVER_SCRIPT = "bench/soak/later-server.js";
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** With each start the server's clock is as much further ahead. */
const LATER_MS = 25 * MINUTE_MS;
/** What is not rolled up by then never is. */
const LATEST_MS = 72 * HOUR_MS;
/** By flag. Hours turn at other minutes in each zone. */
const BUDGETS = {
  tracked: { limitUsd: 1, timezone: "UTC", enforcement: "track", ladder: [{ atPercent: 100, action: "alert" }] },
  tripped: {
    limitUsd: 20,
    timezone: "Asia/Kathmandu",
    enforcement: "trip",
    onUnavailable: "allow",
    onReset: "restore",
    ladder: [
      { atPercent: 80, action: "downgrade", level: 1 },
      { atPercent: 100, action: "kill" },
    ],
  },
  reserved: {
    limitUsd: 200,
    timezone: "Pacific/Chatham",
    enforcement: "reserve",
    onUnavailable: "deny",
    reserveWaitMs: 500,
    minTokens: 8,
    ladder: [],
  },
} as const;
const FLAGS = Object.keys(BUDGETS);
/** Calls at once: those that hang hold up no others then. */
const CONCURRENT = { few: 24, many: 96, manyFrom: 20_000 };
const CHAIN = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"] as const;
const CHANGE_EVERY_MS = 400;
const MAX_AWAY_MS = 2_000;
/** From the client's close to the end of its process. */
const EXIT_MS = 5_000;
/** A heap that grows by as much per call holds something of each; a call's own records and body are larger. */
const MAX_HEAP_GROWTH_BYTES = 500;
/** What modules, caches and compiled code of the libraries may still come to after the warm-up. */
const HEAP_SLACK_BYTES = 3 * 1024 * 1024;
const MAX_FAULTS = 20;
const OUTPUT_SHOWN_CHARS = 2_000;

export interface BillOptions {
  /** Of {@link SERVER_SCRIPT}. It is up, and is again when the run has ended. */
  server: ServerProcess;
  /** Looks into its database; null where nobody else can. */
  query: Query | null;
  calls: number;
  seed: number;
  /** The server is stopped, or killed without warning, as often. */
  restartEveryMs: number;
  /** The whole run. */
  timeoutMs: number;
  /** Told how far it is. */
  say?: (text: string) => void;
  signal?: AbortSignal;
}

/** Parts of a run that are told of. */
const PARTS = 10;

export interface BillVerdict {
  /** Empty when everything held. */
  faults: string[];
  seed: number;
  /** How calls ended, by door; each end with its number. */
  ends: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** How requests were answered, each kind with its number. */
  played: ReadonlyMap<string, number>;
  calls: number;
  compared: Compared;
  /** What the ledger's tables hold, in words. */
  ledger: readonly string[];
  /** Restarts of the server, by how it ended. */
  stops: number;
  kills: number;
  /** That have passed by the server's clock. */
  hours: number;
  longestCallMs: number;
  heapGrowthBytes: number;
  exitMs: number | null;
}

/** Runs it on a server that is up. Rejects when it could not be run to its end; what did not hold is in the verdict. */
export async function bill(options: BillOptions): Promise<BillVerdict> {
  const { server, calls, seed } = options;
  const endpoint = new BillEndpoint(randomOf(seed + 1));
  const api = new OperatorApi(server.url, server.adminToken);
  const account = new Account();
  try {
    const token = await setUp(api);
    const endpointUrl = await endpoint.listen();
    const deadUrl = `http://127.0.0.1:${await freePort()}`;
    const concurrent = calls < CONCURRENT.manyFrom ? CONCURRENT.few : CONCURRENT.many;
    const given: BillTask = { url: server.url, token, endpointUrl, deadUrl, flags: FLAGS, calls, concurrent, seed };
    const unrest = new Unrest(api, options, randomOf(seed + 2));
    const fromMs = Date.now() - HOUR_MS;
    const exitMs = await runCallers(given, account, unrest, options);
    await server.stop();
    await server.start({ ANDON_SOAK_AHEAD_MS: String(unrest.aheadMs + LATEST_MS) });
    const span = { fromMs, untilMs: Date.now() + unrest.aheadMs + HOUR_MS };
    const { recorded } = account;
    const ledger = await faultsOfLedger({ api, query: options.query, recorded, span });
    const compared = account.compare(endpoint.bills);
    const own = ownFaults(account, exitMs);
    return {
      seed,
      calls,
      ends: account.ends,
      played: endpoint.played,
      compared,
      ledger: ledger.said,
      faults: [...compared.faults, ...ledger.faults, ...own.faults, ...account.faults].slice(0, MAX_FAULTS),
      longestCallMs: account.longestMs,
      heapGrowthBytes: own.heapGrowthBytes,
      stops: unrest.stops,
      kills: unrest.kills,
      hours: unrest.aheadMs / HOUR_MS,
      exitMs,
    };
  } finally {
    endpoint.close();
  }
}

async function setUp(api: OperatorApi): Promise<string> {
  await api.change("PUT", `${ENVIRONMENT_PATH}/chains/billed`, { steps: CHAIN.map((model) => ({ model })) });
  for (const key of FLAGS) {
    const flag = { key, name: key, owner: "soak", chain: "billed", abortInFlight: true };
    await api.change("POST", `${ENVIRONMENT_PATH}/flags`, flag);
  }
  await makeBudgets(api, BUDGETS);
  const body = { kind: "sdk", name: "bill", environments: ["production"] };
  return (await api.call("POST", "/v1/tokens", body, tokenSchema)).secret;
}

/** Runs the application to its end, while there is unrest; how long it took to end once closed, null when it did not. */
async function runCallers(
  given: BillTask,
  account: Account,
  unrest: Unrest,
  { timeoutMs, calls, say, signal }: BillOptions,
): Promise<number | null> {
  const worker = startWorker("bench/soak/bill-callers.js", given);
  const limit = AbortSignal.timeout(timeoutMs);
  let told = 1;
  const isOver = (): boolean => worker.process.exitCode !== null || worker.process.signalCode !== null;
  try {
    worker.process.on("message", (message) => account.take(billMessageSchema.parse(message)));
    while (!account.areCallsDone && !isOver()) {
      signal?.throwIfAborted();
      if (limit.aborted) throw new Error(`not all calls were over after ${timeoutMs} ms`);
      await unrest.turn();
      if (account.calls * PARTS < told * calls) continue;
      say?.(`  ${account.calls} calls are over`);
      told = Math.floor((account.calls * PARTS) / calls) + 1;
    }
    worker.process.send({ close: true });
    await waitUntil(() => account.closed !== null || isOver() || limit.aborted, timeoutMs);
    if (account.closed === null) {
      const { exitCode, signalCode } = worker.process;
      throw new Error(`it did not come to its close: exit code ${exitCode}, signal ${signalCode}`);
    }
    return await waitUntil(isOver, EXIT_MS);
  } catch (error) {
    throw new Error(`The application of the bill: ${worker.output.slice(-OUTPUT_SHOWN_CHARS)}`, { cause: error });
  } finally {
    await worker.stop("SIGKILL");
  }
}

/** What goes on while calls are made: kills, downgrades, blocks, ends of the server and of hours, one after the other. */
class Unrest {
  stops = 0;
  kills = 0;
  /** How far the server's clock is ahead. */
  aheadMs = 0;
  readonly #api: OperatorApi;
  readonly #options: BillOptions;
  readonly #random: Random;
  #turn = 0;
  #restartedMs = performance.now();

  constructor(api: OperatorApi, options: BillOptions, random: Random) {
    this.#api = api;
    this.#options = options;
    this.#random = random;
  }

  async turn(): Promise<void> {
    const key = FLAGS[Math.floor(this.#random() * FLAGS.length)];
    const flag = `${ENVIRONMENT_PATH}/flags/${key}`;
    const reason = { reason: "soak" };
    await delay(CHANGE_EVERY_MS);
    if (performance.now() - this.#restartedMs > this.#options.restartEveryMs) return this.#restart();
    this.#turn += 1;
    if (this.#turn % 3 === 0) {
      await this.#api.change("POST", `${flag}/kill`, reason);
      await delay(20);
      await this.#api.change("POST", `${flag}/restore`, reason);
    } else if (this.#turn % 3 === 1) {
      const level = Math.floor(this.#random() * CHAIN.length);
      await this.#api.change("POST", `${flag}/downgrade`, { level, ...reason });
    } else {
      const model = `${ENVIRONMENT_PATH}/models/${CHAIN[0]}`;
      await this.#api.change("PUT", model, { blocked: true, ...reason });
      await delay(CHANGE_EVERY_MS);
      await this.#api.change("PUT", model, { blocked: false, ...reason });
    }
  }

  /** By turns with a goodbye and without; it stays away for a while. */
  async #restart(): Promise<void> {
    const { server } = this.#options;
    if (this.stops > this.kills) {
      await server.killWithoutWarning();
      this.kills += 1;
    } else {
      await server.stop();
      this.stops += 1;
    }
    await delay(this.#random() * MAX_AWAY_MS);
    this.aheadMs += LATER_MS;
    await server.start({ ANDON_SOAK_AHEAD_MS: String(this.aheadMs) });
    this.#restartedMs = performance.now();
  }
}

/** What the application was left with, and how its process ended. */
function ownFaults({ closed, calls }: Account, exitMs: number | null): { faults: string[]; heapGrowthBytes: number } {
  if (closed === null) throw new Error("the application was not closed");
  const faults = [...closed.unhandled];
  const heapGrowthBytes = closed.endHeapBytes - closed.warmHeapBytes;
  for (const call of closed.running) faults.push(`the guard takes ${call} for running after the last has ended`);
  if (closed.dropped + closed.waiting > 0) {
    faults.push(`${closed.dropped} records were lost, ${closed.waiting} were still waiting at the close`);
  }
  if (closed.resources.length > 0) faults.push(`left after the close: ${closed.resources.join(", ")}`);
  if (heapGrowthBytes > HEAP_SLACK_BYTES + calls * MAX_HEAP_GROWTH_BYTES) {
    faults.push(`the heap grew by ${heapGrowthBytes} bytes in ${calls} calls`);
  }
  if (exitMs === null) faults.push(`the process did not end within ${EXIT_MS} ms of its client's close`);
  return { faults, heapGrowthBytes };
}
