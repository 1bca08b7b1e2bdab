/**
 * The wire types of usage: what one attempt at one model call used. Never content. Tokens are counts, times Unix
 * milliseconds, money is not on the wire at all: the server prices.
 */

import type { Verdict } from "./verdict-protocol.ts";
import type { LeaseUse } from "./lease-protocol.ts";
import type { Revision } from "./revision.ts";

export const USAGE_PATH = "/sdk/v1/usage";

/** Bounds of one batch, held by the server and kept by the client. */
export const MAX_RECORDS_PER_BATCH = 1_000;
export const MAX_USAGE_BODY_BYTES = 1_024 * 1_024;

/** Different flags in `checks` of one batch. */
export const MAX_CHECKED_FLAGS = 1_000;

/** Largest count of one call, also when it is read from a field: above it the part is clamped and inexact. */
export const MAX_TOKENS_PER_CALL = 10_000_000;
/** Largest count of one record, which may be the sum of many calls. */
export const MAX_TOKENS_PER_CLASS = 1_000_000_000;
/** Largest number of web searches in one record. */
export const MAX_WEB_SEARCHES = 1_000_000;

/** Most tokens of one class in a record that sums up so many calls. */
export function maxTokens(calls: number): number {
  return Math.min(MAX_TOKENS_PER_CLASS, MAX_TOKENS_PER_CALL * calls);
}

export const OUTCOMES = ["ok", "error", "aborted", "refused"] as const;
export type UsageOutcome = (typeof OUTCOMES)[number];

/** What tokens are priced by. */
export const TOKEN_CLASSES = ["input", "output", "cacheWrite5m", "cacheWrite1h", "cacheRead"] as const;
export type TokenClass = (typeof TOKEN_CLASSES)[number];

/** Tokens of one call by price class, and web searches. `input` is what neither wrote nor read a cache. */
export interface TokenUsage extends Record<TokenClass, number> {
  webSearches: number;
}

/** One number for each class of tokens. */
export function byTokenClass(of: (name: TokenClass) => number): Record<TokenClass, number> {
  return {
    input: of("input"),
    output: of("output"),
    cacheWrite5m: of("cacheWrite5m"),
    cacheWrite1h: of("cacheWrite1h"),
    cacheRead: of("cacheRead"),
  };
}

export const NO_USAGE: TokenUsage = {
  input: 0,
  output: 0,
  cacheWrite5m: 0,
  cacheWrite1h: 0,
  cacheRead: 0,
  webSearches: 0,
};

export interface UsageRecord {
  id: string;
  /** When the attempt ended, Unix time in milliseconds. */
  at: number;
  flag: string;
  /** The model that was sent. */
  model: string;
  /** The model that the caller asked for. */
  requestedModel: string;
  outcome: UsageOutcome;
  /** True for the provider's own final usage; false for an estimate. */
  exact: boolean;
  usage: TokenUsage;
  batch?: boolean;
  fast?: boolean;
  geo?: string;
  stopReason?: string;
  errorType?: string;
  status?: number;
  /** 1 for a call's first attempt. */
  attempt: number;
  latencyMs: number;
  firstTokenMs?: number;
  requestId?: string;
  user?: string;
  session?: string;
  correlationId?: string;
  systemHash?: string;
  /** The revision that the call was decided by; without it the server goes by when the instance applied which. */
  revision?: Revision;
  /** How many attempts this record sums up; 1 unless the client had to sum on overflow. */
  count?: number;
  /** Of a sum: the largest prompt among its attempts, which price thresholds look at. */
  promptTokens?: number;
  /** What else an attempt used, beside the record of its answer: counts as tokens and money, not as an attempt. */
  part?: string;
  /** Counts once by its `id`, whoever sends it and however often: what can be read again, such as a batch's results. */
  once?: boolean;
  /** How long an agent's session ran, in milliseconds; a record of `part` {@link RUNTIME_PART}. */
  runtimeMs?: number;
  /**
   * The message batch that it is a result of, or whose estimate it is (`part` {@link BATCH_PART}). Both count in the minute of
   * its submission.
   */
  messageBatch?: string;
  /**
   * The leases that its calls had money set aside in. What is named here moves from reserved to spent in the transaction
   * that counts the record, which counts in the leases' own windows.
   */
  leases?: readonly LeaseUse[];
}

interface Bounds {
  min: number;
  max: number;
}

/** What a field may hold. A text is one line that a database can store ({@link isStorable}), bounded in characters. */
export type FieldRule = { optional?: true } & (
  | ({ is: "text" } & Bounds)
  | ({ is: "number" | "whole" } & Bounds)
  | { is: "boolean" | "outcome" | "usage" | "leases" }
);

const NAME = { is: "text", min: 1, max: 128 } as const;
const LABEL = { is: "text", min: 0, max: 256, optional: true } as const;
const DETAIL = { is: "boolean", optional: true } as const;
const DAY_MS = 86_400_000;

/**
 * The one list of a record's fields and their bounds: clients keep to it, by cutting rather than by losing a record, and
 * the server refuses what is beyond it. In the order in which faults are told.
 */
export const RECORD_FIELDS = {
  id: NAME,
  /** The years 1970 to 9999. */
  at: { is: "number", min: 0, max: 253_402_300_799_999 },
  /** Not the shape of keys: money of a misspelt flag or an odd model id is money of the environment. */
  flag: NAME,
  model: NAME,
  requestedModel: NAME,
  outcome: { is: "outcome" },
  exact: { is: "boolean" },
  attempt: { is: "whole", min: 1, max: 1_000 },
  latencyMs: { is: "number", min: 0, max: DAY_MS },
  geo: LABEL,
  stopReason: LABEL,
  errorType: LABEL,
  requestId: LABEL,
  user: LABEL,
  session: LABEL,
  correlationId: LABEL,
  systemHash: LABEL,
  revision: LABEL,
  /** Any text: a part that a newer client names is money all the same. */
  part: LABEL,
  messageBatch: LABEL,
  batch: DETAIL,
  fast: DETAIL,
  once: DETAIL,
  status: { is: "whole", min: 0, max: 999, optional: true },
  firstTokenMs: { is: "number", min: 0, max: DAY_MS, optional: true },
  count: { is: "whole", min: 1, max: 1_000_000, optional: true },
  runtimeMs: { is: "whole", min: 0, max: DAY_MS, optional: true },
  promptTokens: { is: "whole", min: 0, max: MAX_TOKENS_PER_CLASS, optional: true },
  usage: { is: "usage" },
  leases: { is: "leases", optional: true },
} as const satisfies { [Field in keyof UsageRecord]-?: RuleOf<Field> };

/** Only the rule that the type of the field asks for. */
type RuleOf<Field extends keyof UsageRecord> = { is: KindOf<NonNullable<UsageRecord[Field]>> } & FieldRule &
  (undefined extends UsageRecord[Field] ? { optional: true } : { optional?: never });
type KindOf<Value> = Value extends UsageOutcome
  ? "outcome"
  : Value extends string
    ? "text"
    : Value extends number
      ? "number" | "whole"
      : Value extends boolean
        ? "boolean"
        : Value extends readonly LeaseUse[]
          ? "leases"
          : "usage";

type FieldOf<Kind extends FieldRule["is"]> = {
  [Field in keyof UsageRecord]-?: (typeof RECORD_FIELDS)[Field] extends { is: Kind } ? Field : never;
}[keyof UsageRecord];

/** The fields of a kind. */
export function recordFields<Kind extends FieldRule["is"]>(kind: Kind): FieldOf<Kind>[] {
  const rules: Readonly<Record<string, FieldRule>> = RECORD_FIELDS;
  return Object.keys(rules).filter((field): field is FieldOf<Kind> => rules[field]?.is === kind);
}

/** A first look, which most texts pass. */
const PLAIN = /^[ -~\u00a0-\ud7ff]*$/;
const UNSTORABLE = /[\p{Cc}\p{Surrogate}]/gu;

/** True without a control character and half a surrogate pair: what a record's texts are. */
export function isStorable(text: string): boolean {
  return PLAIN.test(text) || text.search(UNSTORABLE) < 0;
}

/** The text as a record can hold it. */
export function storable(text: string, maxChars: number): string {
  return text.slice(0, maxChars).replaceAll(UNSTORABLE, "\ufffd");
}

/** The `part` of a record that says what a message batch may cost, until its results tell. */
export const BATCH_PART = "batch";

/** The `part` of a record of what an agent's session costs beside the tokens of its models: its running time, its searches. */
export const RUNTIME_PART = "runtime";

/** Message batches that one report tells of. */
export const MAX_BATCHES_PER_REPORT = 500;

/**
 * - `running`: the API works on it, as far as its client knows
 * - `canceling`: the API was asked to cancel it
 * - `ended`: the API is done with it
 * - `settled`: and all its results have been read, or it has none: what it was estimated at beyond them was not used
 */
export const BATCH_STATES = ["running", "canceling", "ended", "settled"] as const;
export type BatchState = (typeof BATCH_STATES)[number];

/** What came of asking the API to cancel one: `unknown` where the API does not know it under this account. */
export const CANCEL_OUTCOMES = ["canceled", "ended", "unknown", "failed"] as const;
export type CancelOutcome = (typeof CANCEL_OUTCOMES)[number];

/** News of one message batch. */
export interface BatchNews {
  /** The API's. */
  id: string;
  /** Left out where its client does not know it: who does has told it. */
  flag?: string;
  state: BatchState;
  /** When it was submitted, Unix time in milliseconds, and how many requests it has. */
  at?: number;
  requests?: number;
  cancel?: { outcome: CancelOutcome; detail: string };
}

export interface UsageBatch {
  batchId: string;
  instance: string;
  records: UsageRecord[];
  /** How often each flag was evaluated since the last batch; `sdk` when a guard asked too, see `Checks`. */
  checks?: Record<string, { on: number; off: number; sdk?: string; limited?: number }>;
  /**
   * By flag, in nano-USD: the most that the calls can still cost that run now, or that wait for the answer to this batch
   * to begin. Left out by clients that know of no budget which stops something.
   */
  runningNanoUsd?: Record<string, number>;
  /** Of calls that began without being told of first, because no answer came in time: by flag, since the last batch. */
  unansweredNanoUsd?: Record<string, number>;
  /** What is new of message batches. Also when empty it says that this client can ask the API to cancel some. */
  messageBatches?: BatchNews[];
}

/** What the calls of one client may begin for, by their worst cases, between two answers. */
export interface StartCredit {
  budgetId: string;
  nanoUsd: number;
}

export interface UsageAnswer {
  accepted: number;
  /** True when this batch was counted before: nothing was added. */
  duplicate: boolean;
  rejected: { index: number; path: string; message: string }[];
  /** The newest that is committed: a client that decides by an older one has to poll before it starts on credit again. */
  revision: string;
  credits?: StartCredit[];
  /** What holds now for users and sessions of these records; absent without any. */
  verdicts?: Verdict[];
  /** Message batches that this client is to ask the API to cancel, by its ids. */
  cancelBatches?: string[];
}
