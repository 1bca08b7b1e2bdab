/**
 * What budgets mean for single users and sessions, as the server's log of verdicts tells it. The log is waited for in the
 * background while a guarded flag has such a budget. Invariants: the newest entry about a subject decides, until its end;
 * memory is bounded, whatever the number of users; without a server the last known entries go on deciding.
 */
import { NO_MODELS } from "../evaluate/compile.ts";
import { usableSteps } from "../evaluate/effective-state.ts";
import { namesIn, subjectIn } from "../evaluate/subject.ts";
import type { GuardHost, Judge } from "../guard-host.ts";
import { BACKOFF_CAP_MS, backoffMs } from "../sync/backoff.ts";
import { ask, failed, failedByStatus, type ServerLink } from "../sync/request.ts";
import { Stop } from "../sync/stop.ts";
import type { TransportResponse } from "../sync/transport.ts";
import { isObject, parseObject } from "../wire/json.ts";
import type { BudgetVerdict, Decision, EvaluationContext } from "../wire/protocol.ts";
import { RECORD_FIELDS, storable } from "../wire/usage-protocol.ts";
import {
  MAX_VERDICTS,
  type SubjectBudget,
  type Verdict,
  VERDICT_ACTIONS,
  type VerdictAction,
  VERDICTS_PATH,
} from "../wire/verdict-protocol.ts";

const WAIT_SECONDS = 25;
const ANSWER_TIMEOUT_MS = 5_000;
/** How long the first call of a process waits for the log, once. */
const FIRST_TIMEOUT_MS = 1_000;
/** The pause after an answer without news that was not parked. */
const UNPARKED_PAUSE_MS = 2_000;
const PARKED_AT_LEAST_MS = 1_000;
/** A clock that is off by less may be the way the answer took. */
const CLOCK_TOLERANCE_MS = 5_000;

interface Entry {
  n: number;
  action: VerdictAction;
  level: number | null;
  until: string;
  untilMs: number;
}

/** What verdicts need of a client. */
export type VerdictHost = Pick<
  GuardHost,
  | "subjectBudgets"
  | "link"
  | "flag"
  | "chain"
  | "models"
  | "onApplied"
  | "onClose"
  | "onAnswer"
  | "judgeBy"
  | "tell"
  | "logger"
>;

export class Verdicts {
  readonly #host: VerdictHost;
  readonly #max: number;
  /** The flags of guards, and those that were asked about. Bounded by what budgets name, see {@link watch}. */
  readonly #watched = new Set<string>();
  #budgets: readonly SubjectBudget[] = [];
  #byFlag = new Map<string, readonly SubjectBudget[]>();
  /** By budget and subject, the oldest entry first. */
  readonly #entries = new Map<string, Entry>();
  #n: number | null = null;
  #lineage = "";
  /** How far the server's clock is ahead of this one's. */
  #clockAheadMs = 0;
  #askedMs: number | null = null;
  #stop: Stop | null = null;
  #first: Promise<void> | null = null;
  #hasWaited = false;

  constructor(host: VerdictHost, max = MAX_VERDICTS) {
    this.#host = host;
    this.#max = max;
    this.#readBudgets();
    // Never unsubscribed: there is one of each per host, and they live as long as the host.
    host.onApplied(() => this.#readBudgets());
    host.onClose(() => this.#end());
    host.onAnswer((answer) => this.#take(answer["verdicts"], true));
    host.judgeBy(this.judge);
  }

  /** Entries that are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** Has verdicts about calls of the flag known before they are decided. */
  watch(flag: string): void {
    if (this.#watched.has(flag) || this.#budgetsOf(flag).length === 0) return;
    this.#watched.add(flag);
    this.#start();
  }

  /** Whether the log should be heard before a call of the flag is decided: nothing is known of it yet. */
  isAwaited(flag: string): boolean {
    if (this.#budgets.length === 0 || this.#budgetsOf(flag).length === 0) return false;
    this.watch(flag);
    const { link } = this.#host;
    if (link === null) return false;
    if (link.runtime.isRequestBound === true) return this.#isOld(link);
    return this.#n === null && !this.#hasWaited;
  }

  /** Resolves when the log is known, or after a second. Never rejects. */
  async first(): Promise<void> {
    const { link } = this.#host;
    if (link === null) return;
    if (link.runtime.isRequestBound === true) {
      await this.#ask(link, 0, new Stop());
      return;
    }
    this.#start();
    const timeUp = new Promise<void>((resolve) => link.runtime.startTimer(resolve, FIRST_TIMEOUT_MS, true));
    await Promise.race([this.#first, timeUp]);
    this.#hasWaited = true;
  }

  /** The decision with what the user's or session's own budgets make of it. Never throws. */
  readonly judge: Judge = (decision, context) => {
    if (this.#budgets.length === 0) return decision;
    // Whatever else says no comes before it by the order of authority, but for a lack of models.
    if (!decision.enabled && decision.reason !== "NO_MODEL") return decision;
    const budgets = this.#budgetsOf(decision.flag);
    if (budgets.length === 0) return decision;
    const found = this.#strongest(budgets, idIn(context, "targetingKey"), idIn(context, "session"));
    if (found === null) return decision;
    const { budget, entry, about } = found;
    const verdict: BudgetVerdict = {
      id: budget.id,
      name: budget.name,
      about,
      action: actionOf(entry),
      until: entry.until,
    };
    switch (verdict.action) {
      case "stop": {
        const message = this.#host.flag(decision.flag)?.offMessage || REACHED[about];
        return { ...decision, enabled: false, reason: "BUDGET", models: NO_MODELS, message, budget: verdict };
      }
      case "downgrade":
        return this.#lowered(decision, found, verdict);
      case "warn":
        return { ...decision, budget: verdict };
    }
  };

  #lowered(decision: Decision, { budget, entry }: Found, verdict: BudgetVerdict): Decision {
    if (!decision.enabled) return decision;
    const { models } = this.#host;
    const steps = this.#host.chain(decision.flag);
    const { model } = budget;
    const past =
      model === undefined ? 0 : 1 + steps.findIndex((step) => models.nameOf(step.model) === models.nameOf(model));
    const wanted = Math.min(Math.max(entry.level ?? decision.level + 1, past), steps.length - 1);
    const usable = wanted > decision.level ? usableSteps(steps, wanted, models) : [];
    // Nothing lower may be used: a downgrade stops nobody.
    if (usable.length === 0) return { ...decision, budget: verdict };
    return { ...decision, level: wanted, models: usable.map((step) => step.model), budget: verdict };
  }

  #strongest(budgets: readonly SubjectBudget[], user: string | null, session: string | null): Found | null {
    let found: Found | null = null;
    for (const budget of budgets) {
      const subject = subjectIn(budget, user, session);
      if (subject === null) continue;
      const entry = this.#entries.get(keyOf(budget.id, subject));
      if (entry === undefined || entry.action === "lift" || entry.untilMs <= this.#serverNowMs()) continue;
      if (found !== null && strength(entry) <= strength(found.entry)) continue;
      found = { budget, entry, about: budget.session === undefined ? "user" : "session" };
    }
    return found;
  }

  #budgetsOf(flag: string): readonly SubjectBudget[] {
    if (this.#budgets.length === 0) return NO_BUDGETS;
    let budgets = this.#byFlag.get(flag);
    if (budgets === undefined) {
      budgets = this.#budgets.filter(({ flags }) => flags === undefined || flags.includes(flag));
      // Names that the application makes up must not fill the memory.
      if (this.#byFlag.size < MAX_FLAGS) this.#byFlag.set(flag, budgets);
    }
    return budgets;
  }

  #readBudgets(): void {
    const { subjectBudgets } = this.#host;
    if (subjectBudgets === this.#budgets) return;
    this.#budgets = subjectBudgets;
    this.#byFlag = new Map();
    for (const flag of this.#watched) if (this.#budgetsOf(flag).length === 0) this.#watched.delete(flag);
    if (this.#watched.size > 0) this.#start();
    else if (this.#stop !== null) void this.#end();
  }

  #start(): void {
    const { link } = this.#host;
    if (this.#stop !== null || link === null || link.runtime.isRequestBound === true) return;
    const stop = new Stop();
    this.#stop = stop;
    this.#first = new Promise((resolve) => {
      void this.#run(link, stop, resolve);
    });
  }

  #end(): Promise<void> {
    this.#stop?.stop();
    this.#stop = null;
    return Promise.resolve();
  }

  async #run(link: ServerLink, stop: Stop, onFirst: () => void): Promise<void> {
    let failures = 0;
    let waitSeconds = 0;
    while (!stop.isStopped) {
      const startedMs = link.runtime.monotonicMs();
      const outcome = await this.#ask(link, waitSeconds, stop);
      if (stop.isStopped) break;
      if (outcome.kind === "failed") {
        failures += 1;
        waitSeconds = 0;
        if (failures === 1) this.#host.logger.warn(outcome, "Verdicts of Andon could not be read; those known stay");
        const { retryAfterMs } = outcome;
        const delayMs = backoffMs({ failures, pollIntervalMs: UNPARKED_PAUSE_MS, retryAfterMs }, link.runtime.random());
        await stop.pause(link.runtime, Math.min(delayMs, BACKOFF_CAP_MS));
        continue;
      }
      failures = 0;
      onFirst();
      const isParked = link.runtime.monotonicMs() - startedMs >= PARKED_AT_LEAST_MS;
      if (waitSeconds > 0 && !outcome.hasNews && !isParked) await stop.pause(link.runtime, UNPARKED_PAUSE_MS);
      waitSeconds = WAIT_SECONDS;
    }
    onFirst();
  }

  #ask(link: ServerLink, waitSeconds: number, stop: Stop) {
    const after = this.#n === null ? "" : `?after=${this.#n}&lineage=${encodeURIComponent(this.#lineage)}`;
    const headers: Record<string, string> = waitSeconds > 0 ? { Prefer: `wait=${waitSeconds}` } : {};
    const timeoutMs = waitSeconds * 1_000 + ANSWER_TIMEOUT_MS;
    this.#askedMs = link.runtime.monotonicMs();
    return ask(link, { method: "GET", path: VERDICTS_PATH + after, headers, timeoutMs, stop }, (response) =>
      this.#read(link, response),
    );
  }

  #read(link: ServerLink, response: TransportResponse) {
    if (response.status !== 200) {
      return failedByStatus(response, "the server does not tell verdicts", link.runtime.nowMs());
    }
    const answer = parseObject(response.body);
    const { n, lineage, full } = answer ?? {};
    if (typeof n !== "number" || typeof lineage !== "string") {
      return failed("body", "the answer is not that of an Andon server");
    }
    this.#readClock(link, response.header("date"));
    if (full === true) this.#entries.clear();
    const hasNews = this.#take(answer?.["verdicts"], full !== true);
    this.#n = n;
    this.#lineage = lineage;
    return { kind: "read", hasNews } as const;
  }

  #readClock(link: ServerLink, date: string | undefined): void {
    const aheadMs = Date.parse(date ?? "") - link.runtime.nowMs();
    if (!Number.isNaN(aheadMs)) this.#clockAheadMs = Math.abs(aheadMs) > CLOCK_TOLERANCE_MS ? aheadMs : 0;
  }

  #serverNowMs(): number {
    return (this.#host.link?.runtime.nowMs() ?? 0) + this.#clockAheadMs;
  }

  #isOld(link: ServerLink): boolean {
    return this.#askedMs === null || link.runtime.monotonicMs() - this.#askedMs > UNPARKED_PAUSE_MS;
  }

  /** Takes entries in. What is not understood is left out: it must stop nobody. */
  #take(verdicts: unknown, tells: boolean): boolean {
    if (!Array.isArray(verdicts)) return false;
    for (const verdict of verdicts as unknown[]) if (isVerdict(verdict)) this.#takeOne(verdict, tells);
    return verdicts.length > 0;
  }

  #takeOne({ n, budgetId, subject, action, level, until }: Verdict, tells: boolean): void {
    const key = keyOf(budgetId, subject);
    const known = this.#entries.get(key);
    if (known !== undefined && known.n >= n) return;
    this.#entries.delete(key);
    this.#entries.set(key, { n, action, level: level ?? null, until, untilMs: Date.parse(until) });
    if (this.#entries.size > this.#max) this.#forgetOldest();
    if (!tells || known?.action === action) return;
    const budget = this.#budgets.find(({ id }) => id === budgetId);
    if (budget === undefined) return;
    this.#host.tell({ action, budget: { id: budgetId, name: budget.name }, ...namesIn(budget, subject), until });
  }

  /** A tenth at once: a Map that lost its first entry is searched from its beginning each time. */
  #forgetOldest(): void {
    const kept = this.#max * 0.9;
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= kept) return;
      this.#entries.delete(key);
    }
  }
}

interface Found {
  budget: SubjectBudget;
  entry: Entry;
  about: "user" | "session";
}

const NO_BUDGETS: readonly SubjectBudget[] = Object.freeze([]);
/** Flags whose budgets are remembered; of others they are looked up each time. */
const MAX_FLAGS = 5_000;

const REACHED: Readonly<Record<"user" | "session", string>> = {
  user: "You have reached your limit for now. Please try again later.",
  session: "This conversation has reached its limit for now.",
};

const ACTIONS: ReadonlySet<unknown> = new Set(VERDICT_ACTIONS);

function isVerdict(value: unknown): value is Verdict {
  if (!isObject(value)) return false;
  const { n, budgetId, subject, action, level, until } = value;
  const isPlaced = typeof n === "number" && typeof budgetId === "string" && typeof subject === "string";
  const isLevel = level === undefined || (typeof level === "number" && Number.isInteger(level) && level >= 0);
  return isPlaced && isLevel && ACTIONS.has(action) && typeof until === "string" && !Number.isNaN(Date.parse(until));
}

function actionOf({ action }: Entry): BudgetVerdict["action"] {
  return action === "stop" || action === "downgrade" ? action : "warn";
}

/** What tells which of a user's verdicts decides. */
function strength({ action, level }: Entry): number {
  if (action === "stop") return Number.POSITIVE_INFINITY;
  return action === "downgrade" ? 1 + (level ?? 0) : 0;
}

function keyOf(budgetId: string, subject: string): string {
  return `${budgetId} ${subject}`;
}

/** As records name it; null when it names nobody, or the caller's context throws. */
function idIn(context: EvaluationContext | undefined, name: "targetingKey" | "session"): string | null {
  let value: unknown;
  try {
    value = context?.[name];
  } catch {
    // A getter or proxy of the caller threw: a key that cannot be read counts as absent.
    return null;
  }
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return typeof value === "string" && value !== "" ? storable(value, RECORD_FIELDS.user.max) : null;
}

const byHost = new WeakMap<object, Verdicts>();

/** What all guards of one host know of users and sessions, made on first use. */
export function verdictsOf(host: VerdictHost): Verdicts {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new Verdicts(host);
  byHost.set(host, made);
  return made;
}
