/** What a guard needs of an `Andon` client: decisions, the flag's settings, and news of changes. */
import type { ModelNames } from "./evaluate/model-names.ts";
import type { ServerLink } from "./sync/request.ts";
import type { ChainStep, Decision, EvaluationContext, SnapshotBudget, SnapshotFlag } from "./wire/protocol.ts";
import type { BudgetNews, SubjectBudget } from "./wire/verdict-protocol.ts";
import type { UsageRecord } from "./wire/usage-protocol.ts";

/** A record as the guard makes it; the host adds the time and the id unless it has them. */
export type UsageDraft = Omit<UsageRecord, "id" | "at"> & { id?: string; at?: number };

/** What a guard makes of each decision. Must not throw. */
export type Judge = (decision: Decision, context: EvaluationContext | undefined) => Decision;
/** What a guard adds to reports of usage, and hears of them. One report is under way at a time. */
export interface ReportPart {
  /** There is something to tell though no usage waits. */
  readonly isDue: boolean;
  /** Fields of a report as JSON, each after a comma, or `""`: all usage that waits goes with them. */
  take(): string;
  /** The report with what was taken last was counted, and answered so. */
  counted(answer: Readonly<Record<string, unknown>>): void;
  /** What was taken last never reached the server, and will not. */
  lost(): void;
}

export interface GuardHost {
  /** Never throws. `onUnknown` answers for flags that no snapshot knows. */
  evaluate(flag: string, context?: EvaluationContext, options?: { onUnknown?: "on" | "off" }): Decision;
  /** The same, for a decision that was counted before: it does not count as another check. */
  decide(flag: string, context?: EvaluationContext): Decision;
  /** Takes note that a guard holds calls of the flag, and of which SDK's version; `""` when that is not known. */
  guarded(flag: string, sdk: string): void;
  /** A call that was evaluated "on" is refused: by a limit of the flag, or as no model may be used. Never throws. */
  refused(flag: string, isLimited: boolean): void;
  /** Takes note of what an attempt used. Never throws. */
  record(used: UsageDraft): void;
  /** Sends the usage that waits, within a bound. False when not all was acknowledged. Never rejects. */
  flush(): Promise<boolean>;
  /** The flag as the current snapshot has it; undefined when the flag or the snapshot is unknown. */
  flag(key: string): SnapshotFlag | undefined;
  /** The steps of the flag's chain, blocked models included; `[]` without a chain. */
  chain(key: string): readonly ChainStep[];
  /** What the current snapshot knows of model names: which are one model, and which are blocked or out. */
  readonly models: ModelNames;
  /** The budgets that clients enforce, of the current snapshot. */
  readonly budgets: readonly SnapshotBudget[];
  /** The budgets about users or sessions, of the current snapshot. */
  readonly subjectBudgets: readonly SubjectBudget[];
  /** Has every decision made by this from now on. */
  judgeBy(judge: Judge): void;
  /** Calls back with every answer to a report that was counted. */
  onAnswer(listener: (answer: Readonly<Record<string, unknown>>) => void): void;
  /** Tells the application of a budget of a user or session. */
  tell(news: BudgetNews): void;
  /** The way to the server; null without one. */
  readonly link: ServerLink | null;
  /** Has every report carry this from now on. */
  reportWith(part: ReportPart): void;
  /** Sends a report at once, also when no usage waits; while one is under way, after it. */
  reportNow(): void;
  /** True once any state is known (live, cache or bootstrap). */
  readonly hasState: boolean;
  /** Resolves when a first state is known or the time is up. Never rejects. */
  ready(options?: { timeoutMs?: number }): Promise<"live" | "cache" | "bootstrap" | "none">;
  /**
   * True when the state is older than this (undefined: any age will do), or is that of a client that was closed and is
   * used again: then {@link fresh} is awaited before a decision.
   */
  isTooOld(maxStaleMs: number | undefined): boolean;
  /** Asks the server first when the state is older than `maxStaleMs`, within `timeoutMs`. Never rejects. */
  fresh(options?: { maxStaleMs?: number | undefined; timeoutMs?: number | undefined }): Promise<boolean>;
  /**
   * Where nothing polls in the background and no request may end another's call: how often a running call asks for itself
   * whether it may go on. Undefined elsewhere.
   */
  readonly watchEveryMs?: number | undefined;
  /** Calls back after every applied snapshot, synchronously after it decides. Returns the unsubscriber. */
  onApplied(listener: () => void): () => void;
  /** Calls this, and awaits it, each time the client is closed, before it says goodbye. It must not reject. */
  onClose(listener: () => Promise<void>): void;
  readonly logger: GuardLogger;
}

/** A pino-shaped logger. */
export interface GuardLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** False for levels that go nowhere, for which nothing need be put together. As pino's. */
  isLevelEnabled?(level: string): boolean;
}
