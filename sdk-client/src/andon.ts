/**
 * The client: polls and evaluates, reports what was used and evaluated, and is what a guard asks. Reporting never throws
 * and never waits.
 */
import { type WhyFallback, whyFallback } from "./degrade.ts";
import type { CompiledFlag } from "./evaluate/compile.ts";
import type { OnUnknown } from "./evaluate/evaluate.ts";
import { type ModelNames, namesOf } from "./evaluate/model-names.ts";
import { type AndonInternals, FlagClient } from "./flag-client.ts";
import type { GuardHost, Judge, ReportPart, UsageDraft } from "./guard-host.ts";
import type { AndonOptions } from "./options.ts";
import { CheckCounts } from "./reporting/evaluations.ts";
import { parseReport, type UsageReport } from "./reporting/record.ts";
import type { UsageStats } from "./reporting/reporter.ts";
import { Reports } from "./reporting/reports.ts";
import { SnapshotCache } from "./sync/cache.ts";
import type { ServerLink } from "./sync/request.ts";
import {
  type ChainStep,
  type Decision,
  DEFAULT_OFF_MESSAGE,
  type EvaluationContext,
  type SnapshotBudget,
  type SnapshotFlag,
} from "./wire/protocol.ts";
import type { BudgetNews, SubjectBudget } from "./wire/verdict-protocol.ts";
import type { UsageRecord } from "./wire/usage-protocol.ts";

const NOTHING_REPORTED: UsageStats = Object.freeze({
  waiting: 0,
  acknowledgedRecords: 0,
  summedAttempts: 0,
  droppedRecords: 0,
});
const NO_SNAPSHOT = namesOf({ blocked: [] });
const NO_STEPS: readonly ChainStep[] = Object.freeze([]);
const NO_BUDGETS: readonly SnapshotBudget[] = Object.freeze([]);
const NO_SUBJECT_BUDGETS: readonly SubjectBudget[] = Object.freeze([]);

export class Andon extends FlagClient implements GuardHost {
  readonly #checks = new CheckCounts();
  readonly #reports: Reports | null;
  #judge: Judge | null = null;
  readonly #answered: ((answer: Readonly<Record<string, unknown>>) => void)[] = [];
  readonly #closers: (() => Promise<void>)[] = [];

  /** Starts polling. Bad options are logged by name; without a usable `url` and `token` nothing is polled. */
  constructor(options?: AndonOptions, internals?: AndonInternals) {
    super(options, internals, SnapshotCache.openFor);
    const { link } = this.environment;
    const reported = {
      flushIntervalMs: this.options.flushIntervalMs,
      checks: this.#checks,
      promptThresholds: () => this.models.promptThresholds(),
      sawRevision: (revision: string) => this.environment.news(revision),
      answered: (answer: Readonly<Record<string, unknown>>) => {
        for (const listener of this.#answered) listener(answer);
      },
    };
    this.#reports = link === null ? null : new Reports(link, reported, this.logger);
    if (this.#reports !== null) this.environment.accompany(this.#reports);
  }

  override evaluate(flag: string, context?: EvaluationContext, options?: { onUnknown?: OnUnknown }): Decision {
    const decision = super.evaluate(flag, context, options);
    this.#checks.count(flag, decision.enabled);
    return decision;
  }

  override decide(flag: string, context?: EvaluationContext, onUnknown?: OnUnknown): Decision {
    const decision = super.decide(flag, context, onUnknown);
    return this.#judge === null ? decision : this.#judge(decision, context);
  }

  /**
   * Runs `ai` while the flag is on, and `fallback` when it is off or Claude failed: an error of the guard, a failed connection,
   * or a status other than 400, 413 and 422. Every other error of `ai` is thrown on, as those of `fallback` are.
   */
  async run<T>(
    flag: string,
    context: EvaluationContext | undefined,
    ai: (decision: Decision) => T | Promise<T>,
    fallback: (why: WhyFallback) => T | Promise<T>,
  ): Promise<T> {
    const decision = this.evaluate(flag, context);
    const message = decision.message === "" ? DEFAULT_OFF_MESSAGE : decision.message;
    if (!decision.enabled) return fallback({ because: "off", message, error: null });
    let why: WhyFallback;
    try {
      return await ai(decision);
    } catch (error) {
      const because = whyFallback(error);
      if (because === null) throw error;
      const told = because === "off" && error instanceof Error ? error.message : message;
      why = { because, message: told, error };
    }
    this.logger.warn({ flag, because: why.because, err: why.error }, "The path without AI answers");
    return fallback(why);
  }

  /**
   * Reports what a call used that no guard saw: the results of a batch, or a call by other means. Usage is counts and
   * names, never content. Never throws; a record that is not valid is logged and not sent.
   */
  report(record: UsageReport): void {
    const parsed = parseReport(record, this.runtime.nowMs());
    if (parsed.ok) this.#add(parsed.record);
    else this.logger.error({ problem: parsed.problem }, "A record given to report() is not valid; it is not sent");
  }

  /** How much usage waits to be sent, was acknowledged, summed or lost; zeros without a server. */
  usageStats(): UsageStats {
    return this.#reports?.stats ?? NOTHING_REPORTED;
  }

  /**
   * Sends the usage that waits, and ends nothing: for functions whose process is frozen once they have answered. True when
   * the server has taken all; after `timeoutMs` (2,000), or a failure, false: what waits is kept and sent later. Never
   * rejects.
   */
  async flush(options?: { timeoutMs?: number }): Promise<boolean> {
    this.environment.wake();
    return this.#reports?.flush(options?.timeoutMs) ?? true;
  }

  /**
   * Sends the usage that waits, in two seconds at most, stops polling, tells the server and lets go of everything. Never
   * rejects. A client that is used after it wakes up: it polls and reports again, and a guard asks the server first.
   */
  override async close(): Promise<void> {
    await Promise.all(this.#closers.map((close) => close()));
    await super.close();
  }

  /** Takes a guard's note that it holds calls of the flag. */
  guarded(flag: string, sdk: string): void {
    this.#checks.guarded(flag, sdk);
  }

  /** Counts a call that a guard refused though the flag is on. */
  refused(flag: string, isLimited: boolean): void {
    this.#checks.refused(flag, isLimited);
  }

  /** Takes a guard's note of what an attempt used. */
  record(used: UsageDraft): void {
    if (this.#reports === null) this.environment.wake();
    else this.#add({ id: crypto.randomUUID(), at: this.runtime.nowMs(), ...used });
  }

  isTooOld(maxStaleMs: number | undefined): boolean {
    return this.environment.isTooOld(maxStaleMs);
  }

  get watchEveryMs(): number | undefined {
    return this.environment.watchEveryMs;
  }

  get hasState(): boolean {
    return this.environment.compiled !== null;
  }

  /** The flag as the current snapshot has it. */
  flag(key: string): SnapshotFlag | undefined {
    return this.#flag(key)?.source;
  }

  /** The steps of the flag's chain, blocked models included; `[]` without a chain. */
  chain(key: string): readonly ChainStep[] {
    return this.#flag(key)?.steps ?? NO_STEPS;
  }

  isBlocked(model: string): boolean {
    return this.models.isBlocked(model);
  }

  /** What the current snapshot knows of model names. */
  get models(): ModelNames {
    return this.environment.compiled?.models ?? NO_SNAPSHOT;
  }

  /** Calls back after every applied snapshot, synchronously after it decides. Returns the unsubscriber. */
  onApplied(listener: () => void): () => void {
    return this.environment.onApplied(listener);
  }

  /** The budgets that clients enforce. */
  get budgets(): readonly SnapshotBudget[] {
    return this.environment.compiled?.snapshot.budgets ?? NO_BUDGETS;
  }

  /** The budgets about users or sessions. */
  get subjectBudgets(): readonly SubjectBudget[] {
    return this.environment.compiled?.snapshot.subjectBudgets ?? NO_SUBJECT_BUDGETS;
  }

  judgeBy(judge: Judge): void {
    this.#judge = judge;
  }

  onAnswer(listener: (answer: Readonly<Record<string, unknown>>) => void): void {
    this.#answered.push(listener);
  }

  tell(news: BudgetNews): void {
    this.events.emit("budget", news);
  }

  /** The way to the server. It has the token: not a field, which logs would show. @internal */
  get link(): ServerLink | null {
    return this.environment.link;
  }

  onClose(listener: () => Promise<void>): void {
    this.#closers.push(listener);
  }

  /** Has every report of usage carry this. */
  reportWith(part: ReportPart): void {
    this.#reports?.carry(part);
  }

  /** Sends a report of usage at once, also when none waits. */
  reportNow(): void {
    this.#reports?.now();
  }

  #flag(key: string): CompiledFlag | undefined {
    return this.environment.compiled?.flags.get(key);
  }

  #add(record: UsageRecord): void {
    this.#reports?.add(record);
    this.environment.wake();
  }
}
