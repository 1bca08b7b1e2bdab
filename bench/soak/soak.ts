/**
 * The soak: the server is killed with SIGKILL again and again under usage traffic that trips budgets all the time, and in
 * the end the books must balance. Invariant: bounded in time and in what it keeps; it closes all that it opened.
 */
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Andon } from "../../sdk-client/src/index.ts";
import { type AlertReceiver, startAlertReceiver } from "../../src/demo/story/alert-receiver.ts";
import { noonZone } from "../../src/demo/story/noon-zone.ts";
import { channelSchema, OperatorApi, tokenSchema } from "../../src/demo/story/operator-api.ts";
import type { ServerProcess } from "../../src/demo/story/server-process.ts";
import { waitUntil } from "../../src/demo/story/wait.ts";
import { ENVIRONMENT_PATH } from "../support/andon-server.ts";
import { SILENT } from "../support/silent-logger.ts";
import { faultsOfAlerts, faultsOfBooks, LADDER } from "./books.ts";
import { Reporter } from "./reporter.ts";
import { MODEL, Traffic } from "./traffic.ts";

/** Each life of the server has flags of its own, whose budgets are crossed in it. */
const FLAGS_PER_LIFE = 3;
const LIMIT_USD = 2;
/** Output that crosses a whole budget at once: 20 USD per million. */
const CROSSING_TOKENS = 110_000;
const REPORTERS = 4;
const CLIENTS = 2;
const RECORDS_PER_BATCH = 40;
const CLIENT_FLUSH_MS = 100;
/** A client gets a record this often. */
const CLIENT_RECORD_MS = 5;
/** Until each reporter has been acknowledged after a start. */
const LIFE_SIGN_TIMEOUT_MS = 30_000;
/** At most so long after a request was begun comes the kill: it meets a transaction at any of its points. */
const MAX_AFTER_REQUEST_MS = 12;
/** The client's backoff is capped at 30 s. */
const DRAIN_TIMEOUT_MS = 60_000;

export interface SoakOptions {
  /** Not yet started; stopped in the end. */
  server: ServerProcess;
  kills: number;
  /** About how long the server lives each time, from the first acknowledgements to the kill. */
  lifeMs: number;
  say: (text: string) => void;
  signal?: AbortSignal;
}

export interface SoakVerdict {
  /** Empty when everything held. */
  faults: string[];
  records: number;
  kills: number;
  /** Trips that had to happen, and did when there are no faults. */
  trips: number;
  alerts: number;
  /** Alerts that arrived once more under the same id. */
  repeatedAlerts: number;
  /** Batches whose acknowledgement was lost with the server, and which were counted once all the same. */
  repeatedBatches: number;
  /** Records that clients summed while the server was away for long; they are in the sums all the same. */
  summedRecords: number;
}

/** Runs it. Rejects when it could not be run to its end; what did not hold is in the verdict. */
export async function soak(options: SoakOptions): Promise<SoakVerdict> {
  const { server } = options;
  const alerts = await startAlertReceiver();
  try {
    await server.start();
    return await run(options, alerts);
  } finally {
    await server.stop();
    await alerts.close();
  }
}

async function run(options: SoakOptions, alerts: AlertReceiver): Promise<SoakVerdict> {
  const { server, kills, say } = options;
  const api = new OperatorApi(server.url, server.adminToken);
  const lives = Array.from({ length: kills + 1 }, (_, life) =>
    Array.from({ length: FLAGS_PER_LIFE }, (__, index) => `feature-${life}-${index}`),
  );
  const token = await setUp(api, alerts, lives.flat());
  const traffic = new Traffic();
  traffic.turnTo(lives[0] ?? []);
  const senders = new Senders({ url: server.url, token }, traffic);
  try {
    for (let kill = 1; kill <= kills; kill += 1) {
      options.signal?.throwIfAborted();
      await senders.lifeSign();
      await sleep(randomInt(options.lifeMs));
      await senders.nextRequest();
      await sleep(randomInt(MAX_AFTER_REQUEST_MS));
      await server.killWithoutWarning();
      const tookMs = await server.start();
      say(
        `  kill ${kill} of ${kills}: back after ${Math.round(tookMs)} ms; ${senders.acknowledged} batches acknowledged`,
      );
      traffic.turnTo(lives[kill] ?? []);
    }
    await senders.lifeSign();
    await senders.finish(lives.flat());
  } finally {
    await senders.close();
  }
  say("  all is acknowledged; the books are looked through");
  const told = await faultsOfAlerts(alerts, lives.flat());
  const faults = [...senders.faults, ...(await faultsOfBooks(api, traffic.expected)), ...told.faults];
  return {
    faults,
    records: [...traffic.expected.values()].reduce((sum, { records }) => sum + records, 0),
    kills,
    trips: lives.flat().length * LADDER.filter(({ action }) => action !== "alert").length,
    alerts: lives.flat().length * LADDER.length,
    repeatedAlerts: told.repeats,
    repeatedBatches: senders.repeated,
    summedRecords: senders.summed,
  };
}

/** A channel, a chain, and each flag with a budget of its name; the reporters' token. */
async function setUp(api: OperatorApi, alerts: AlertReceiver, flags: readonly string[]): Promise<string> {
  const channel = { kind: "webhook", name: "soak", url: alerts.url };
  alerts.trust((await api.call("POST", `${ENVIRONMENT_PATH}/channels`, channel, channelSchema)).secret);
  // The sizes of calls are dice here: twice the mean is nothing unusual, and is an alert of its own.
  await api.change("PUT", `${ENVIRONMENT_PATH}/watches/largeCall`, { enabled: false });
  const steps = [{ model: MODEL }, { model: "claude-sonnet-5-5" }];
  await api.change("PUT", `${ENVIRONMENT_PATH}/chains/best-first`, { steps });
  const timezone = noonZone(Date.now());
  for (const flag of flags) {
    const definition = { key: flag, name: flag, owner: "soak", chain: "best-first" };
    await api.change("POST", `${ENVIRONMENT_PATH}/flags`, definition);
    const budget = { name: flag, scope: { flag }, limitUsd: LIMIT_USD, timezone, ladder: LADDER };
    await api.change("POST", `${ENVIRONMENT_PATH}/budgets`, budget);
  }
  const body = { kind: "sdk", name: "soak", environments: ["production"] };
  return (await api.call("POST", "/v1/tokens", body, tokenSchema)).secret;
}

/** All who report: impatient reporters, and clients as applications have them. */
class Senders {
  readonly #traffic: Traffic;
  readonly #reporters: readonly Reporter[];
  readonly #clients: readonly Andon[];
  readonly #timer: NodeJS.Timeout;
  /** What the clients lost or gave up: nothing may be. */
  readonly faults: string[] = [];
  /** Records that every flag still needs are sent with these batches. */
  #extra: string[] = [];

  constructor(server: { url: string; token: string }, traffic: Traffic) {
    this.#traffic = traffic;
    this.#reporters = Array.from(
      { length: REPORTERS },
      (_, n) => new Reporter(`reporter-${n}`, server, () => this.#batch()),
    );
    this.#clients = Array.from(
      { length: CLIENTS },
      (_, n) => new Andon({ ...server, instance: `client-${n}`, flushIntervalMs: CLIENT_FLUSH_MS, logger: SILENT }),
    );
    this.#timer = setInterval(() => {
      for (const client of this.#clients) client.report(this.#traffic.next());
    }, CLIENT_RECORD_MS);
  }

  get acknowledged(): number {
    return this.#reporters.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
  }

  /** Records whose details the clients gave up, not their sums, because the server was away for long. */
  get summed(): number {
    return this.#clients.reduce((sum, client) => sum + client.usageStats().summedAttempts, 0);
  }

  get repeated(): number {
    return this.#reporters.reduce((sum, { repeated }) => sum + repeated, 0);
  }

  /** Each reporter is acknowledged once more. */
  async lifeSign(): Promise<void> {
    const before = this.#reporters.map(({ acknowledged }) => acknowledged);
    const seenMs = await waitUntil(
      () => this.#reporters.every(({ acknowledged }, n) => acknowledged > (before[n] ?? 0)),
      LIFE_SIGN_TIMEOUT_MS,
    );
    if (seenMs === null) throw new Error(`usage was not acknowledged within ${LIFE_SIGN_TIMEOUT_MS} ms of a start`);
  }

  /** Some reporter begins a request. */
  async nextRequest(): Promise<void> {
    const sent = (): number => this.#reporters.reduce((sum, reporter) => sum + reporter.sent, 0);
    const before = sent();
    await waitUntil(() => sent() > before, LIFE_SIGN_TIMEOUT_MS, 1);
  }

  /** Sends what takes each of these flags over its limit. Resolves when everything has been acknowledged. */
  async finish(flags: readonly string[]): Promise<void> {
    this.#extra = [...flags];
    await waitUntil(() => this.#extra.length === 0, LIFE_SIGN_TIMEOUT_MS);
    clearInterval(this.#timer);
    for (const reporter of this.#reporters) reporter.stop();
    const isDone = (): boolean =>
      this.#reporters.every((reporter) => reporter.isDone) &&
      this.#clients.every((client) => client.usageStats().waiting === 0);
    if ((await waitUntil(isDone, DRAIN_TIMEOUT_MS)) === null) {
      this.faults.push(`not all usage was acknowledged within ${DRAIN_TIMEOUT_MS} ms of the last start`);
    }
    for (const client of this.#clients) {
      const { waiting, droppedRecords } = client.usageStats();
      if (waiting + droppedRecords === 0) continue;
      this.faults.push(`${client.instance}: ${waiting} wait, ${droppedRecords} lost`);
    }
  }

  /** Lets go of everything, acknowledged or not. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const reporter of this.#reporters) reporter.abandon();
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  #batch() {
    const extra = this.#extra.splice(0, RECORDS_PER_BATCH).map((flag) => this.#traffic.record(flag, CROSSING_TOKENS));
    return [...extra, ...Array.from({ length: RECORDS_PER_BATCH - extra.length }, () => this.#traffic.next())];
  }
}
