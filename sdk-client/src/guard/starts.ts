/**
 * What the running calls of one process can still cost under budgets that trip, told with each report of usage, and which
 * calls may begin. Invariant: what the server has not heard of is at most the start credit that it granted, unless it does
 * not answer and the budget's `onUnavailable` is `allow`. Only calls under such a budget are counted.
 */
import type { GuardHost, ReportPart } from "../guard-host.ts";
import { reportPartsOf } from "./report-parts.ts";
import { isObject } from "../wire/json.ts";
import type { SnapshotBudget } from "../wire/protocol.ts";
import { parseRevision, type Revision } from "../wire/revision.ts";

/** How long a call waits for a report that tells of it, and then for its answer. */
const ANSWER_WAIT_MS = 300;
/** The answer told of a newer state, which decides first: how long a call waits for it. */
const STATE_WAIT_MS = 2_000;
/** A credit ends this long after its report was made. The server counts it for longer. */
const CREDIT_MS = 60_000;
/** What runs is told again after so long, or the server says that this process does not report. */
const TELL_AGAIN_MS = 5_000;
/** A flag that ran nothing for so many reports is told of no more. */
const QUIET_REPORTS = 5;

/** What may begin under one budget between two answers. */
interface Pool {
  budget: SnapshotBudget;
  creditNanoUsd: number;
  /** Begun on credit, and of that what the report under way tells. */
  usedNanoUsd: number;
  toldNanoUsd: number;
}

interface FlagSum {
  nanoUsd: number;
  quietReports: number;
}

/** `waiting` for a report, `told` in the one under way, `counted` by the server and waiting for its newer state. */
type Standing = "begun" | "waiting" | "told" | "counted" | "denied" | "ended";

/** One call, from before it is sent until it has ended. */
export class Start {
  readonly flag: string;
  readonly pools: readonly Pool[];
  /** The most that it can still cost. */
  nanoUsd: number;
  standing: Standing = "waiting";
  /** Somebody ends it when its call ends. */
  isTaken = false;
  /** Called once when it waits no more. */
  onTurn: (() => void) | null = null;
  readonly #starts: Starts;

  constructor(starts: Starts, flag: string, pools: readonly Pool[], nanoUsd: number) {
    this.#starts = starts;
    this.flag = flag;
    this.pools = pools;
    this.nanoUsd = nanoUsd;
  }

  get waits(): boolean {
    return this.standing === "waiting" || this.standing === "told" || this.standing === "counted";
  }

  /** The API has told the prompt: it can cost no more than this. */
  lower(nanoUsd: number): void {
    if (nanoUsd < this.nanoUsd) this.#starts.change(this, nanoUsd);
  }

  /** Its call has ended, or is not sent. More than once is once. */
  end(): void {
    this.#starts.end(this);
  }
}

export class Starts implements ReportPart {
  readonly #host: GuardHost;
  #budgets: readonly SnapshotBudget[] = [];
  readonly #pools = new Map<string, Pool>();
  readonly #running = new Map<string, FlagSum>();
  readonly #waiting = new Set<Start>();
  #madeAtMs = 0;
  #creditUntilMs = 0;
  /** The server has counted something by a state that is not applied here yet. */
  #newer: Revision | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** A report was not answered in time, and none has been since. */
  #isAway = false;
  /** Worst cases of calls that began without the server's knowledge, by flag; and those that the report under way tells. */
  #unanswered = new Map<string, number>();
  #unansweredTold = new Map<string, number>();

  constructor(host: GuardHost) {
    this.#host = host;
    // Never unsubscribed: there is one for each host, and it lives as long.
    host.onApplied(() => this.#applied());
    reportPartsOf(host).add(this);
    this.#applied();
  }

  /** No budget trips here: nothing is counted. */
  get isIdle(): boolean {
    return this.#budgets.length === 0;
  }

  /** Calls of the flag are to come: it is granted a credit before the first. */
  expect(flag: string): void {
    this.#add(flag, 0);
    if (!this.isIdle) this.#host.reportNow();
  }

  /** Whether budgets trip for calls of the flag at one of these models; `[]`: none. */
  poolsOf(flag: string, models: readonly string[]): readonly Pool[] {
    const { nameOf } = this.#host.models;
    return this.#budgets
      .filter((budget) => {
        if (budget.flag !== undefined && budget.flag !== flag) return false;
        if (budget.flags?.includes(flag) === false) return false;
        const { model } = budget;
        return model === undefined || models.some((each) => nameOf(each) === nameOf(model));
      })
      .map((budget) => this.#pool(budget));
  }

  /** Begins a call that can cost this much, or lets it wait its turn: see {@link Start.waits}. */
  start(flag: string, pools: readonly Pool[], nanoUsd: number): Start {
    const start = new Start(this, flag, pools, nanoUsd);
    this.#add(flag, nanoUsd);
    if (this.#hasCredit(pools, nanoUsd)) begin(start);
    else if (this.#isAway) this.#beginAlone(start);
    else {
      this.#waiting.add(start);
      // No report is made while an earlier one finds no server: nothing else would end the wait.
      if (this.#timer === null) this.#wait(ANSWER_WAIT_MS);
      this.#host.reportNow();
    }
    return start;
  }

  change(start: Start, nanoUsd: number): void {
    if (start.standing === "ended") return;
    this.#add(start.flag, nanoUsd - start.nanoUsd);
    start.nanoUsd = nanoUsd;
  }

  end(start: Start): void {
    if (start.standing === "ended") return;
    const hadBegun = start.standing === "begun";
    start.standing = "ended";
    if (this.#waiting.delete(start) && this.#waiting.size === 0) this.#stopWait();
    this.#add(start.flag, -start.nanoUsd);
    // What it spent counts at once where the next such call has to be told of first.
    if (hadBegun && start.pools.some(({ creditNanoUsd }) => creditNanoUsd < start.nanoUsd)) this.#host.reportNow();
  }

  /** What runs is to be told again. */
  get isDue(): boolean {
    if (this.isIdle || Date.now() - this.#madeAtMs < TELL_AGAIN_MS) return false;
    for (const { nanoUsd } of this.#running.values()) if (nanoUsd > 0) return true;
    return false;
  }

  /** All that runs and all that waits, as a field of a report. */
  take(): string {
    if (this.isIdle) return "";
    this.#madeAtMs = Date.now();
    const sums: Record<string, number> = {};
    for (const [flag, sum] of this.#running) {
      sums[flag] = sum.nanoUsd;
      sum.quietReports = sum.nanoUsd > 0 ? 0 : sum.quietReports + 1;
      if (sum.quietReports > QUIET_REPORTS) this.#running.delete(flag);
    }
    for (const pool of this.#pools.values()) pool.toldNanoUsd = pool.usedNanoUsd;
    let tells = false;
    for (const start of this.#waiting) {
      if (start.standing !== "waiting") continue;
      start.standing = "told";
      tells = true;
    }
    if (tells) this.#wait(ANSWER_WAIT_MS);
    for (const [flag, nanoUsd] of this.#unanswered) addTo(this.#unansweredTold, flag, nanoUsd);
    this.#unanswered = new Map();
    const unanswered = Object.fromEntries(this.#unansweredTold);
    const told = this.#unansweredTold.size === 0 ? "" : `,"unansweredNanoUsd":${JSON.stringify(unanswered)}`;
    return `,"runningNanoUsd":${JSON.stringify(sums)}${told}`;
  }

  /** The server has counted the report with what was taken last. */
  counted(answer: Readonly<Record<string, unknown>>): void {
    this.#isAway = false;
    this.#stopWait();
    this.#unansweredTold = new Map();
    for (const pool of this.#pools.values()) {
      pool.usedNanoUsd -= pool.toldNanoUsd;
      pool.toldNanoUsd = 0;
      pool.creditNanoUsd = 0;
    }
    for (const credit of Array.isArray(answer["credits"]) ? (answer["credits"] as unknown[]) : []) {
      if (!isObject(credit)) continue;
      const { budgetId, nanoUsd } = credit;
      const pool = typeof budgetId === "string" ? this.#pools.get(budgetId) : undefined;
      if (pool !== undefined && typeof nanoUsd === "number" && nanoUsd > 0) pool.creditNanoUsd = nanoUsd;
    }
    this.#creditUntilMs = this.#madeAtMs + CREDIT_MS;
    const { revision } = answer;
    this.#newer = typeof revision === "string" && this.#isNewer(revision) ? revision : null;
    for (const start of this.#waiting) if (start.standing === "told") start.standing = "counted";
    if (this.#newer === null) this.#admit();
    else if (this.#waiting.size > 0) this.#wait(STATE_WAIT_MS);
    for (const start of this.#waiting) {
      if (start.standing !== "waiting") continue;
      if (this.#timer === null) this.#wait(ANSWER_WAIT_MS);
      this.#host.reportNow();
      break;
    }
  }

  /** What was taken last never reached the server. */
  lost(): void {
    for (const pool of this.#pools.values()) pool.toldNanoUsd = 0;
    for (const start of this.#waiting) if (start.standing === "told") start.standing = "waiting";
  }

  #applied(): void {
    const { budgets } = this.#host;
    const wasIdle = this.isIdle;
    this.#budgets = budgets.filter(({ enforcement, user, session }) => {
      // A budget of each user or session is held by verdicts.
      return enforcement === "trip" && user === undefined && session === undefined;
    });
    // The server grants a first credit, before the first call.
    if (wasIdle && !this.isIdle) this.#host.reportNow();
    const ids = new Set(this.#budgets.map(({ id }) => id));
    for (const id of this.#pools.keys()) if (!ids.has(id)) this.#pools.delete(id);
    if (this.#newer !== null && this.#isNewer(this.#newer)) return;
    this.#newer = null;
    this.#admit();
  }

  /** The calls that the server has counted decide now, by the state that it counted them by, and go. */
  #admit(): void {
    for (const start of this.#waiting) {
      if (start.standing !== "counted") continue;
      this.#waiting.delete(start);
      turn(start, "begun");
    }
    if (this.#waiting.size === 0) this.#stopWait();
  }

  #hasCredit(pools: readonly Pool[], nanoUsd: number): boolean {
    if (this.#newer !== null || Date.now() > this.#creditUntilMs) return false;
    return pools.every(({ creditNanoUsd, usedNanoUsd }) => usedNanoUsd + nanoUsd <= creditNanoUsd);
  }

  #wait(ms: number): void {
    this.#stopWait();
    // It holds the process: calls wait for it.
    this.#timer = setTimeout(() => this.#timeUp(), ms);
  }

  #stopWait(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #timeUp(): void {
    this.#timer = null;
    this.#newer = null;
    this.#isAway = true;
    const waited = this.#waiting.size;
    this.#host.logger.warn(
      { waited },
      "Andon does not answer in time: calls begin, or are refused, as their budgets say",
    );
    for (const start of this.#waiting) this.#beginAlone(start);
    this.#waiting.clear();
  }

  /** The server does not answer: what its budget says of that. */
  #beginAlone(start: Start): void {
    if (start.pools.some(({ budget }) => budget.onUnavailable === "deny")) {
      turn(start, "denied");
      return;
    }
    addTo(this.#unanswered, start.flag, start.nanoUsd);
    begin(start);
  }

  #pool(budget: SnapshotBudget): Pool {
    const known = this.#pools.get(budget.id);
    if (known !== undefined) {
      known.budget = budget;
      return known;
    }
    const made = { budget, creditNanoUsd: 0, usedNanoUsd: 0, toldNanoUsd: 0 };
    this.#pools.set(budget.id, made);
    return made;
  }

  #add(flag: string, nanoUsd: number): void {
    const sum = this.#running.get(flag);
    if (sum === undefined) this.#running.set(flag, { nanoUsd: Math.max(0, nanoUsd), quietReports: 0 });
    else sum.nanoUsd += nanoUsd;
  }

  #isNewer(revision: Revision): boolean {
    const told = parseRevision(revision);
    const applied = parseRevision(this.#host.decide("").revision ?? "");
    if (told === null || applied === null) return told !== null;
    return told.lineage !== applied.lineage || told.n > applied.n;
  }
}

function addTo(sums: Map<string, number>, flag: string, nanoUsd: number): void {
  sums.set(flag, (sums.get(flag) ?? 0) + nanoUsd);
}

/** It begins on credit, or without the server's knowledge. */
function begin(start: Start): void {
  for (const pool of start.pools) pool.usedNanoUsd += start.nanoUsd;
  turn(start, "begun");
}

function turn(start: Start, standing: "begun" | "denied"): void {
  start.standing = standing;
  start.onTurn?.();
}

const byHost = new WeakMap<GuardHost, Starts>();

/** What all guards of one host count together, made on first use. */
export function startsOf(host: GuardHost): Starts {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new Starts(host);
  byHost.set(host, made);
  return made;
}
