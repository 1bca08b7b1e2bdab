/**
 * A fleet with one `reserve` budget on a virtual clock: the real purse, book and messages of the client against the real rules
 * of the server, without a network. Deterministic for a seed.
 */
import type { UsageDraft } from "../../sdk-client/src/guard-host.ts";
import type { ModelChoice } from "../../sdk-client/src/evaluate/chain-plan.ts";
import { namesOf } from "../../sdk-client/src/evaluate/model-names.ts";
import { type LeaseHost, Leases } from "../../sdk-client/src/guard/leases/leases.ts";
import { Purse } from "../../sdk-client/src/guard/leases/purse.ts";
import { pricedModels } from "../../sdk-client/src/guard/priced-models.ts";
import { Writers } from "../../sdk-client/src/guard/writers.ts";
import { priceUsage } from "../../sdk-client/src/pricing/price.ts";
import type { Runtime } from "../../sdk-client/src/runtime.ts";
import type { ServerLink } from "../../sdk-client/src/sync/request.ts";
import type { LeaseRequest } from "../../sdk-client/src/wire/lease-protocol.ts";
import type { SnapshotBudget } from "../../sdk-client/src/wire/protocol.ts";
import { NO_USAGE, type TokenUsage } from "../../sdk-client/src/wire/usage-protocol.ts";
import { NANO_PER_USD } from "../../src/domain/budget.ts";
import { restNanoUsd } from "../../src/domain/lease.ts";
import { LeaseServer } from "./lease-server.ts";
import { SILENT } from "./silent-logger.ts";

export interface Fleet {
  seed: number;
  limitUsd: number;
  /** What one call is: `chat` with 1,024 tokens at most, `agent` with much input and 2 % of its 64,000, `worst`: chat that uses all. */
  work: "chat" | "agent" | "worst";
  processes: number;
  callers: number;
  /** Virtual time at most, in seconds. */
  seconds: number;
  reserveWaitMs?: number;
  mayClamp?: boolean;
  /** Steps after the first: the chain has three at full, half and a fortieth of the price. */
  steps?: 1 | 3;
  /** From then on half of the processes make no calls. */
  quietAfterSeconds?: number;
  /** A process dies that often, with all it has running. */
  deathEverySeconds?: number;
}

export interface Outcome {
  /** What the API has billed, and what of it went beyond the limit. */
  billedUsd: number;
  overshootUsd: number;
  share: number;
  admitted: number;
  stepped: number;
  clamped: number;
  refused: Record<string, number>;
  offeredBefore90: number;
  heldBefore90: number;
  /** Some caller was told `spent` or `tooLarge` first at this share. */
  firstNoAt: number | null;
  /** The most that was left, beyond the worst case of the call at its cheapest step, when one was told so: 0 for never more. */
  leftBeyondWorstUsd: number;
  seconds: number;
  requestsPerSecond: number;
  reservedUsd: number;
  indeterminateUsd: number;
}

const MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"];
const BUDGET_ID = "budget";
/** Agents' bodies are told shorter than they are: their prompt is counted by the API, and only time is saved. */
const BYTES_PER_TOKEN: Readonly<Record<Fleet["work"], number>> = { chat: 4.2, worst: 4.2, agent: 1.1 };
/** Beyond the tokens of a prompt, what the API counts of it is at most so much more. */
const COUNTED = { factor: 1.05, more: 200 };
const REPORT_EVERY_MS = 1_000;
/** When no call has run for so long, none will. */
const QUIET_MS = 5_000;

export async function simulate(fleet: Fleet): Promise<Outcome> {
  const simulation = new Simulation(fleet);
  return simulation.run();
}

class Clock {
  #nowMs = 0;
  #n = 0;
  readonly #heap: { atMs: number; n: number; run: () => void }[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  at(delayMs: number, run: () => void): void {
    const heap = this.#heap;
    this.#n += 1;
    const entry = { atMs: this.#nowMs + delayMs, n: this.#n, run };
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || isBefore(parent, entry)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  /** Goes on to the next event; false when there is none. */
  step(): boolean {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined) return false;
    if (heap.length > 0) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        const left = heap[child];
        const right = heap[child + 1];
        if (left === undefined) break;
        if (right !== undefined && isBefore(right, left)) child += 1;
        const least = heap[child];
        if (least === undefined || isBefore(last, least)) break;
        heap[at] = least;
        at = child;
      }
      heap[at] = last;
    }
    this.#nowMs = first.atMs;
    first.run();
    return true;
  }
}

function isBefore(a: { atMs: number; n: number }, b: { atMs: number; n: number }): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.n < b.n);
}

interface Call {
  promptTokens: number;
  maxTokens: number;
  usage: TokenUsage;
  firstTokenMs: number;
  durationMs: number;
}

class Simulation {
  readonly #fleet: Fleet;
  readonly #clock = new Clock();
  readonly #server: LeaseServer;
  readonly #budget: SnapshotBudget;
  readonly #models = namesOf({ blocked: [] });
  readonly #choices: ModelChoice[];
  #random: () => number;
  #billed = 0;
  #over = 0;
  #running = 0;
  #booted = 0;
  readonly #out = { admitted: 0, stepped: 0, clamped: 0, offeredBefore90: 0, heldBefore90: 0 };
  readonly #refused: Record<string, number> = {};
  #firstNoAt: number | null = null;
  #leftBeyondWorst = 0;
  #lastAdmitMs = 0;
  #lastEndMs = 0;
  readonly #bodies = new Map<number, string>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.#random = randomOf(fleet.seed);
    this.#server = new LeaseServer(BUDGET_ID, fleet.limitUsd * NANO_PER_USD, () => this.#clock.nowMs);
    this.#budget = {
      id: BUDGET_ID,
      name: "simulated",
      enforcement: "reserve",
      onUnavailable: "deny",
      reserveWaitMs: fleet.reserveWaitMs ?? 2_000,
      minTokens: fleet.work === "agent" ? 4_096 : 256,
    };
    this.#choices = MODELS.slice(0, fleet.steps ?? 1).map((model, index) => ({
      model,
      step: { model },
      replaced: index > 0,
    }));
  }

  async run(): Promise<Outcome> {
    const { processes, callers, seconds, deathEverySeconds } = this.#fleet;
    const all = Array.from({ length: processes }, (_, index) => this.#process(index));
    for (const process of all) for (let i = 0; i < callers; i += 1) this.#in(0, 300, () => this.#call(process));
    const expire = (): void => {
      this.#server.expire();
      this.#clock.at(500, expire);
    };
    expire();
    if (deathEverySeconds !== undefined) this.#kill(all, deathEverySeconds * 1_000);
    while (this.#clock.nowMs < seconds * 1_000 && this.#clock.step()) {
      await new Promise((resolve) => setImmediate(resolve));
      // Nothing has been let in for so long: the budget is used up.
      if (this.#running === 0 && this.#clock.nowMs - this.#lastEndMs > QUIET_MS) break;
    }
    const { pot, requests } = this.#server;
    const limit = pot.limitNanoUsd;
    return {
      ...this.#out,
      refused: this.#refused,
      billedUsd: this.#billed / NANO_PER_USD,
      overshootUsd: this.#over / NANO_PER_USD,
      share: this.#billed / limit,
      firstNoAt: this.#firstNoAt,
      leftBeyondWorstUsd: this.#leftBeyondWorst / NANO_PER_USD,
      seconds: this.#lastAdmitMs / 1_000,
      requestsPerSecond: requests / (this.#clock.nowMs / 1_000),
      reservedUsd: pot.reservedNanoUsd / NANO_PER_USD,
      indeterminateUsd: pot.indeterminateNanoUsd / NANO_PER_USD,
    };
  }

  #in(fromMs: number, toMs: number, run: () => void): void {
    this.#clock.at(fromMs + (toMs - fromMs) * this.#random(), run);
  }

  #kill(all: Process[], everyMs: number): void {
    this.#clock.at(everyMs, () => {
      const at = Math.floor(this.#random() * all.length);
      const dead = all[at];
      if (dead !== undefined) {
        dead.isAlive = false;
        for (const hangUp of dead.connections) hangUp();
        this.#clock.at(2_000, () => {
          const reborn = this.#process(at);
          all[at] = reborn;
          for (let i = 0; i < this.#fleet.callers; i += 1) this.#in(0, 300, () => this.#call(reborn));
        });
      }
      this.#kill(all, everyMs);
    });
  }

  #process(index: number): Process {
    this.#booted += 1;
    const process: Process = {
      index,
      name: `process-${this.#booted}`,
      isAlive: true,
      connections: new Set(),
      leases: null,
      host: null,
      settled: [],
    };
    const runtime = this.#runtime(process);
    const host: LeaseHost = {
      budgets: [this.#budget],
      models: this.#models,
      link: this.#link(process, runtime),
      logger: SILENT,
      onApplied: () => () => undefined,
      onClose: () => undefined,
    };
    process.host = host;
    process.leases = new Leases(host);
    const report = (): void => {
      if (!process.isAlive) return;
      for (const { leaseId, nanoUsd } of process.settled.splice(0)) {
        this.#in(2, 8, () => this.#server.settle(leaseId, nanoUsd));
      }
      this.#clock.at(REPORT_EVERY_MS, report);
    };
    this.#in(0, REPORT_EVERY_MS, report);
    return process;
  }

  #runtime(process: Process): Runtime {
    return {
      nowMs: () => 1.8e12 + this.#clock.nowMs,
      monotonicMs: () => this.#clock.nowMs,
      random: () => this.#random(),
      startTimer: (callback, delayMs) => {
        let isOn = true;
        this.#clock.at(delayMs, () => {
          if (isOn && process.isAlive) callback();
        });
        return () => {
          isOn = false;
        };
      },
    };
  }

  #link(process: Process, runtime: Runtime): ServerLink {
    const send: ServerLink["transport"]["send"] = (request) =>
      new Promise((resolve, reject) => {
        const parks = request.headers["Prefer"] !== undefined;
        const message = readRequest(request.body ?? "");
        let hangUp = nothing;
        let isOver = false;
        const gone = (): void => {
          isOver = true;
          hangUp();
        };
        process.connections.add(gone);
        request.signal.addEventListener("abort", () => {
          // The server notices a little later.
          this.#in(1, 3.5, gone);
          reject(new Error("aborted"));
        });
        this.#in(1, 3.5, () => {
          if (isOver) return;
          hangUp = this.#server.ask(process.name, message, parks, (answer) => {
            process.connections.delete(gone);
            this.#in(2, 5.5, () => {
              if (process.isAlive) resolve({ status: 200, header: () => undefined, body: JSON.stringify(answer) });
            });
          });
          if (parks) this.#clock.at(2_000, () => this.#server.timeUp(message.requestId));
        });
      });
    return {
      url: "",
      token: "",
      instance: process.name,
      app: null,
      local: null,
      transport: { send, close: () => undefined },
      runtime,
    };
  }

  #call(process: Process): void {
    const { quietAfterSeconds, processes } = this.#fleet;
    const isQuiet = quietAfterSeconds !== undefined && this.#clock.nowMs > quietAfterSeconds * 1_000;
    if (!process.isAlive || (isQuiet && process.index >= processes / 2)) return;
    void this.#attempt(process);
  }

  async #attempt(process: Process): Promise<void> {
    const { leases, host } = process;
    if (leases === null || host === null) return;
    const call = this.#makeCall();
    const before90 = this.#billed < 0.9 * this.#fleet.limitUsd * NANO_PER_USD;
    if (before90) this.#out.offeredBefore90 += 1;
    const text = this.#text(call);
    const body = { model: MODELS[0], max_tokens: call.maxTokens, messages: [{ role: "user", content: text }] };
    const purse = new Purse({
      host,
      leases,
      options: { flag: "flag" },
      request: { url: "http://claude/v1/messages", method: "POST", headers: new Headers(), body: text },
      body,
      fitting: { models: this.#models, writers: new Writers(), naming: null, refusing: null },
      spender: { flag: "flag", user: null, session: null },
      mayClamp: this.#fleet.mayClamp === true,
      mayWait: true,
      count: () =>
        new Promise((resolve) => {
          this.#in(20, 60, () => resolve(countOf(call)));
        }),
    });
    const afforded = await purse.afford(this.#choices, (work) => work(new AbortController().signal));
    if (!process.isAlive) return;
    const again = (): void => this.#in(0, 200, () => this.#call(process));
    if (afforded.kind === "refused") {
      const { because } = afforded.refusal;
      this.#refused[because] = (this.#refused[because] ?? 0) + 1;
      if (because === "held") this.#out.heldBefore90 += before90 ? 1 : 0;
      else this.#noteNo(call);
      again();
      return;
    }
    const { choice, deposit } = afforded;
    const cap = choice.step?.maxTokens ?? call.maxTokens;
    const usage = { ...call.usage, output: Math.min(call.usage.output, cap) };
    this.#out.admitted += 1;
    if (choice.replaced) this.#out.stepped += 1;
    if (cap < call.maxTokens) this.#out.clamped += 1;
    this.#lastAdmitMs = this.#clock.nowMs;
    this.#running += 1;
    this.#clock.at(Math.min(call.firstTokenMs, call.durationMs), () => {
      if (process.isAlive) deposit.promptTold(told(usage));
    });
    this.#clock.at(call.durationMs, () => {
      this.#running -= 1;
      this.#lastEndMs = this.#clock.nowMs;
      // The API bills a call whose caller died all the same.
      this.#bill(choice.model, usage);
      if (!process.isAlive) return;
      const draft = draftOf(choice.model, usage);
      deposit.settle([draft], false);
      process.settled.push(...(draft.leases ?? []));
      again();
    });
  }

  /** Somebody was told that it is used up, for this call: what is left then, that running calls hold among it. */
  #noteNo(call: Call): void {
    const { pot } = this.#server;
    this.#firstNoAt ??= this.#billed / pot.limitNanoUsd;
    const most = { ...NO_USAGE, input: countOf(call), output: call.maxTokens };
    const worst = Math.min(...this.#choices.map(({ model }) => this.#costOf(model, most)));
    this.#leftBeyondWorst = Math.max(this.#leftBeyondWorst, restNanoUsd(pot) - worst);
  }

  #costOf(model: string, usage: TokenUsage): number {
    const prices = pricedModels({ models: this.#models, logger: SILENT }).prices();
    return priceUsage(prices, { model, usage, atMs: Date.now() }).costNanoUsd;
  }

  #bill(model: string, usage: TokenUsage): void {
    this.#billed += this.#costOf(model, usage);
    this.#over = Math.max(this.#over, this.#billed - this.#fleet.limitUsd * NANO_PER_USD);
  }

  /** The encoded body, of which only the length matters. */
  #text({ promptTokens }: Call): string {
    const bytes = Math.ceil((promptTokens * BYTES_PER_TOKEN[this.#fleet.work]) / 1_000) * 1_000;
    const known = this.#bodies.get(bytes) ?? "x".repeat(bytes);
    this.#bodies.set(bytes, known);
    return known;
  }

  #makeCall(): Call {
    const random = this.#random;
    const gauss = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    if (this.#fleet.work === "agent") {
      const output = Math.min(64_000, Math.max(20, Math.round(700 * Math.exp(gauss() - 0.5))));
      const usage = { ...NO_USAGE, input: 500, cacheWrite5m: 1_500, cacheRead: 148_000, output };
      const [firstTokenMs, durationMs] = [800 + 1_700 * random(), 5_000 + 55_000 * random()];
      return { promptTokens: 150_000, maxTokens: 64_000, usage, firstTokenMs, durationMs };
    }
    // As the public traces of chats are: prompts of 1,000 to 8,000 tokens, answers of some hundred.
    const input = Math.min(8_000, Math.round(1_000 + 1_400 * Math.exp(0.8 * gauss())));
    const isWorst = this.#fleet.work === "worst";
    const output = isWorst ? 1_024 : Math.min(1_024, Math.max(1, Math.round(180 * Math.exp(0.8 * gauss()))));
    const firstTokenMs = 400 + 800 * random();
    const usage = { ...NO_USAGE, input, output };
    return { promptTokens: input, maxTokens: 1_024, usage, firstTokenMs, durationMs: firstTokenMs + output * 14 };
  }
}

function countOf({ promptTokens }: Call): number {
  return Math.ceil(promptTokens * COUNTED.factor) + COUNTED.more;
}

function readRequest(text: string): LeaseRequest {
  return JSON.parse(text);
}

function nothing(): void {
  // There is nothing to hang up yet.
}

interface Process {
  index: number;
  name: string;
  isAlive: boolean;
  connections: Set<() => void>;
  leases: Leases | null;
  host: LeaseHost | null;
  /** Records that are not reported yet. */
  settled: { leaseId: string; nanoUsd: number }[];
}

function told({ input, cacheWrite5m, cacheRead }: TokenUsage): Readonly<Record<string, unknown>> {
  return {
    input_tokens: input,
    cache_creation_input_tokens: cacheWrite5m,
    cache_creation: { ephemeral_5m_input_tokens: cacheWrite5m, ephemeral_1h_input_tokens: 0 },
    cache_read_input_tokens: cacheRead,
    output_tokens: 1,
  };
}

function draftOf(model: string, usage: TokenUsage): UsageDraft {
  return { flag: "flag", model, requestedModel: model, outcome: "ok", exact: true, usage, attempt: 1, latencyMs: 1 };
}

/** A seeded generator (mulberry32). */
function randomOf(seed: number): () => number {
  let state = (seed * 7_919 + 13) >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
