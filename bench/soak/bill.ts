/**
 * The bill: calls of every kind and end through every door of the guard, against an endpoint that keeps a bill of its own, while
 * the flag is killed, downgraded, its models are blocked, and the Andon server is restarted and killed. Invariants looked at: no
 * call's records are below its bill, those of a call that are all exact are equal to it, the ledger holds what the records come
 * to, and the application is left with nothing: no error unhandled, no timer, socket or heap, so that it ends by itself.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { freePort } from "../../src/demo/story/free-port.ts";
import { OperatorApi, tokenSchema } from "../../src/demo/story/operator-api.ts";
import type { ServerProcess } from "../../src/demo/story/server-process.ts";
import { waitUntil } from "../../src/demo/story/wait.ts";
import { ENVIRONMENT_PATH } from "../support/andon-server.ts";
import { startWorker } from "../support/worker.ts";
import { BillEndpoint, randomOf, type Random } from "./bill-endpoint.ts";
import { type BillMessage, billMessageSchema, type BillTask, type Closed } from "./bill-protocol.ts";

const FLAG = "billed";
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
  /** It is up, and is again when the run has ended. */
  server: ServerProcess;
  calls: number;
  seed: number;
  /** The server is stopped, or killed without warning, as often. */
  restartEveryMs: number;
  /** The whole run. */
  timeoutMs: number;
  signal?: AbortSignal;
}

export interface BillVerdict {
  /** Empty when everything held. */
  faults: string[];
  seed: number;
  /** How calls ended, by door; each end with its number. */
  ends: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** How requests were answered, each kind with its number. */
  played: ReadonlyMap<string, number>;
  /** Calls that were made, and those of them that cost something. */
  calls: number;
  billedCalls: number;
  exactCalls: number;
  billNanoUsd: number;
  ledgerNanoUsd: number;
  /** Restarts of the server, by how it ended. */
  stops: number;
  kills: number;
  longestCallMs: number;
  heapGrowthBytes: number;
  exitMs: number | null;
}

/** What was recorded of one call, all its attempts together. */
interface Recorded {
  costNanoUsd: number;
  isExact: boolean;
  records: string[];
}

const usageSchema = z.object({
  items: z.array(z.object({ exactNanoUsd: z.number(), estimatedNanoUsd: z.number() })),
});

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
    const given: BillTask = { url: server.url, token, endpointUrl, deadUrl, flag: FLAG, calls, seed };
    const unrest = new Unrest(api, options, randomOf(seed + 2));
    const exitMs = await runCallers(given, account, unrest, options);
    const usage = await api.call("GET", `${ENVIRONMENT_PATH}/usage?groupBy=flag`, null, usageSchema);
    return {
      seed,
      calls,
      ends: account.ends,
      played: endpoint.played,
      ...account.judge(endpoint, usage.items, exitMs),
      stops: unrest.stops,
      kills: unrest.kills,
      exitMs,
    };
  } finally {
    endpoint.close();
  }
}

async function setUp(api: OperatorApi): Promise<string> {
  await api.change("PUT", `${ENVIRONMENT_PATH}/chains/billed`, { steps: CHAIN.map((model) => ({ model })) });
  const flag = { key: FLAG, name: FLAG, owner: "soak", chain: "billed", abortInFlight: true };
  await api.change("POST", `${ENVIRONMENT_PATH}/flags`, flag);
  const body = { kind: "sdk", name: "bill", environments: ["production"] };
  return (await api.call("POST", "/v1/tokens", body, tokenSchema)).secret;
}

/** Runs the application to its end, while there is unrest; how long it took to end once closed, null when it did not. */
async function runCallers(
  given: BillTask,
  account: Account,
  unrest: Unrest,
  { timeoutMs, signal }: BillOptions,
): Promise<number | null> {
  const worker = startWorker("bench/soak/bill-callers.js", given);
  const limit = AbortSignal.timeout(timeoutMs);
  const isOver = (): boolean => worker.process.exitCode !== null || worker.process.signalCode !== null;
  try {
    worker.process.on("message", (message) => account.take(billMessageSchema.parse(message)));
    while (!account.areCallsDone && !isOver()) {
      signal?.throwIfAborted();
      if (limit.aborted) throw new Error(`not all calls were over after ${timeoutMs} ms`);
      await unrest.turn();
    }
    await waitUntil(() => account.closed !== null || isOver() || limit.aborted, timeoutMs);
    if (account.closed === null) throw new Error(`it did not come to its close`);
    return await waitUntil(isOver, EXIT_MS);
  } catch (error) {
    throw new Error(`The application of the bill: ${worker.output.slice(-OUTPUT_SHOWN_CHARS)}`, { cause: error });
  } finally {
    await worker.stop("SIGKILL");
  }
}

/** What goes on while calls are made: kills, downgrades, blocks, and ends of the server, one after the other. */
class Unrest {
  stops = 0;
  kills = 0;
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
    const flag = `${ENVIRONMENT_PATH}/flags/${FLAG}`;
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
    await server.start();
    this.#restartedMs = performance.now();
  }
}

/** What the application told. */
class Account {
  readonly ends = new Map<string, Map<string, number>>();
  areCallsDone = false;
  closed: Closed | null = null;
  readonly #recorded = new Map<string, Recorded>();
  readonly #faults: string[] = [];
  #longestMs = 0;
  #calls = 0;

  take(message: BillMessage): void {
    switch (message.kind) {
      case "recorded": {
        const { costNanoUsd, exact, record } = message;
        const known = this.#recorded.get(message.call) ?? { costNanoUsd: 0, isExact: true, records: [] };
        known.costNanoUsd += costNanoUsd;
        known.isExact &&= exact;
        known.records.push(record);
        this.#recorded.set(message.call, known);
        this.#sums[exact ? "exact" : "estimated"] += costNanoUsd;
        return;
      }
      case "ended": {
        const { call, door, end, tookMs, fault } = message;
        const ends = this.ends.get(door) ?? new Map<string, number>();
        ends.set(end, (ends.get(end) ?? 0) + 1);
        this.ends.set(door, ends);
        this.#longestMs = Math.max(this.#longestMs, tookMs);
        this.#calls += 1;
        if (fault !== null) this.#faults.push(`${call} by ${door}: ${fault}`);
        return;
      }
      case "callsDone":
        this.areCallsDone = true;
        return;
      case "closed":
        this.closed = message;
        return;
    }
  }

  readonly #sums = { exact: 0, estimated: 0 };

  judge(
    { bills, answers }: BillEndpoint,
    rows: readonly { exactNanoUsd: number; estimatedNanoUsd: number }[],
    exitMs: number | null,
  ): Pick<
    BillVerdict,
    "faults" | "billedCalls" | "exactCalls" | "billNanoUsd" | "ledgerNanoUsd" | "longestCallMs" | "heapGrowthBytes"
  > {
    const { closed } = this;
    if (closed === null) throw new Error("the application was not closed");
    const heapGrowthBytes = closed.endHeapBytes - closed.warmHeapBytes;
    const answered = (fault: string): string => {
      const call = /^c\d+/.exec(fault)?.[0] ?? "";
      return `${fault} (answered: ${answers.get(call)?.join(", ") ?? "nothing"})`;
    };
    const faults = [...[...this.#faults, ...this.#faultsOfBill(bills)].map(answered), ...closed.unhandled];
    const exactNanoUsd = rows.reduce((sum, row) => sum + row.exactNanoUsd, 0);
    const ledgerNanoUsd = rows.reduce((sum, row) => sum + row.estimatedNanoUsd, exactNanoUsd);
    const { exact, estimated } = this.#sums;
    if (exactNanoUsd !== exact || ledgerNanoUsd !== exact + estimated) {
      faults.push(
        `the ledger has ${exactNanoUsd} exact of ${ledgerNanoUsd}, the records ${exact} of ${exact + estimated}`,
      );
    }
    if (closed.running > 0) faults.push(`${closed.running} calls of the guard still run after the last has ended`);
    if (closed.dropped + closed.waiting > 0) {
      faults.push(`${closed.dropped} records were lost, ${closed.waiting} were still waiting at the close`);
    }
    if (closed.resources.length > 0) faults.push(`left after the close: ${closed.resources.join(", ")}`);
    if (heapGrowthBytes > HEAP_SLACK_BYTES + this.#calls * MAX_HEAP_GROWTH_BYTES) {
      faults.push(`the heap grew by ${heapGrowthBytes} bytes in ${this.#calls} calls`);
    }
    if (exitMs === null) faults.push(`the process did not end within ${EXIT_MS} ms of its client's close`);
    const exactCalls = [...bills.keys()].filter((call) => this.#recorded.get(call)?.isExact === true).length;
    return {
      faults: faults.slice(0, MAX_FAULTS),
      billedCalls: bills.size,
      exactCalls,
      billNanoUsd: [...bills.values()].reduce((sum, billed) => sum + billed, 0),
      ledgerNanoUsd,
      longestCallMs: this.#longestMs,
      heapGrowthBytes,
    };
  }

  #faultsOfBill(bills: ReadonlyMap<string, number>): string[] {
    const faults: string[] = [];
    for (const call of new Set([...bills.keys(), ...this.#recorded.keys()])) {
      const billed = bills.get(call) ?? 0;
      const { costNanoUsd, isExact, records } = this.#recorded.get(call) ?? {
        costNanoUsd: 0,
        isExact: true,
        records: [],
      };
      if (costNanoUsd < billed || (isExact && costNanoUsd !== billed)) {
        faults.push(`${call}: recorded ${costNanoUsd}, billed ${billed} nano-USD: ${records.join(" ")}`);
      }
    }
    return faults;
  }
}
