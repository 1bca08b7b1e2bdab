/**
 * The wire types of the client API: what a server sends and what a client may rely on.
 * Clients ignore unknown fields; that is how the protocol evolves.
 */
import type { Revision } from "./revision.ts";
import type { SubjectBudget } from "./verdict-protocol.ts";

export type SwitchState = "on" | "off";
/** Why a switch is off: a person or token, a trigger of another system, or a budget (a trip). */
export type OffCause = "manual" | "trigger" | "budget";
export type OffMode = "error" | "message";

export const CONDITION_OPERATORS = [
  "in",
  "notIn",
  "equals",
  "notEquals",
  "contains",
  "startsWith",
  "endsWith",
  "lessThan",
  "lessOrEqual",
  "greaterThan",
  "greaterOrEqual",
  "semverEqual",
  "semverLessThan",
  "semverGreaterThan",
  "before",
  "after",
] as const;
export type ConditionOperator = (typeof CONDITION_OPERATORS)[number];

export type Scalar = string | number | boolean;

/** One comparison of a context attribute. `in` and `notIn` take an array, all others one scalar. */
export interface Condition {
  attribute: string;
  operator: ConditionOperator;
  value: Scalar | readonly Scalar[];
}

/**
 * A targeting rule: when all conditions hold, it decides and later rules are not read. `off` refuses the context
 * (reason `RULE`); `on` admits it past the rollout, though never past a ramp.
 */
export interface Rule {
  name?: string;
  when: readonly Condition[];
  then: "on" | "off";
}

/** One step of a chain: a model and the patch that its request body needs. */
export interface ChainStep {
  model: string;
  /** Body fields to set for this model (top level, replaced whole). */
  set?: Readonly<Record<string, unknown>>;
  /** Body fields to remove for this model (top level). */
  unset?: readonly string[];
  /** Upper bound for the body's `max_tokens`. */
  maxTokens?: number;
}

export interface SnapshotChain {
  steps: readonly ChainStep[];
}

/** Limits of calls: at a time, begun in any minute, and tokens in a day (UTC). What is absent is not limited. */
export interface CallLimits {
  concurrent?: number;
  requestsPerMinute?: number;
  tokensPerDay?: number;
}

/** For the flag as a whole, for each of its users and for each session. */
export const LIMIT_SCOPES = ["flag", "user", "session"] as const;
export type LimitScope = (typeof LIMIT_SCOPES)[number];
export const LIMIT_NAMES = ["concurrent", "requestsPerMinute", "tokensPerDay"] as const satisfies (keyof CallLimits)[];
export type FlagLimits = Partial<Record<LimitScope, CallLimits>>;

export interface SnapshotFlag {
  state: SwitchState;
  /** Only when `state` is `off`. */
  cause?: OffCause;
  /** The first step of the chain that may be used now: the highest of the manual level and all trips. */
  level: number;
  /** Name of a chain in the same snapshot, or null: the request's model stands. */
  chain: string | null;
  /** Percentage of contexts that get the feature, 0 to 100, fractions allowed. */
  rollout: number;
  /** A smaller percentage while a restore ramps up; null when no ramp is in force. */
  ramp: number | null;
  /** Makes the rollout buckets of two flags independent. Never changes. */
  salt: string;
  rules: readonly Rule[];
  offMode: OffMode;
  /** Text fit for end users, shown while the flag is off; null means the client's default text. */
  offMessage: string | null;
  abortInFlight: boolean;
  clampMaxTokens: boolean;
  /** True: a model outside the chain is never sent, even while nothing is blocked and the level is 0. */
  chainOnly: boolean;
  /** Counted by each instance for itself; absent without any, as from servers before there were limits. */
  limits?: FlagLimits;
  /** Largest request body in bytes; absent: no limit. */
  maxInputBytes?: number;
  /** Largest `max_tokens` of a request: one that asks for more is lowered to it with `clampMaxTokens`, else refused. */
  maxOutputTokens?: number;
}

/** What is read of a price row wherever prices are not: the rest is looked at by who prices. */
export interface PricedModel {
  model: string;
  aliases?: readonly string[];
  long?: { abovePromptTokens: number };
}

/** A model that every chain with another usable step passes over. */
export interface SnapshotBreaker {
  model: string;
  /** From 0 to 1: that share of the calls that would use the model does all the same, to see whether it works again. */
  probeShare: number;
}

/** A budget as far as clients enforce it; all that is given of its scope must match a call. */
export interface SnapshotBudget {
  id: string;
  name: string;
  flag?: string;
  /** In place of `flag`: those that have the budget's tag. */
  flags?: readonly string[];
  model?: string;
  /** One user's or session's id, or `each`. */
  user?: string;
  session?: string;
  /** `reserve`: a call needs money set aside from a lease before it is sent. */
  enforcement: "trip" | "reserve";
  /** What a client does that reaches no server and has no money left. */
  onUnavailable: "allow" | "deny";
  /** How long a call waits for money that others hold. */
  reserveWaitMs: number;
  /** A call is not clamped to fewer tokens of output. */
  minTokens: number;
  /** A call that would fit if others held less takes a cheaper model, or fewer tokens, before it waits. */
  whenHeld?: "stepDown";
}

/** The compiled state of one environment at one revision. */
export interface Snapshot {
  version: 1;
  environment: string;
  revision: Revision;
  /** When the change that made this revision was committed, Unix time in milliseconds. */
  committedAtMs: number;
  master: { state: SwitchState };
  flags: Readonly<Record<string, SnapshotFlag>>;
  chains: Readonly<Record<string, SnapshotChain>>;
  /** Ids of models that must not be sent. */
  blockedModels: readonly string[];
  /**
   * Models that a breaker has taken out, in the order in which it did. Not among the blocked ones: a client that does not
   * know of breakers goes on as before, for what it made of a block it would refuse calls that have no other model.
   */
  breakers?: readonly SnapshotBreaker[];
  /** The price rows of the chains' models, and those of operators; absent from servers before there were prices. */
  prices?: readonly PricedModel[];
  /** The model behind each name that does not say it (an inference profile, a deployment). */
  aliases?: Readonly<Record<string, string>>;
  /** Budgets that clients enforce; absent without any. */
  budgets?: readonly SnapshotBudget[];
  /** Budgets about users or sessions: what they mean for one of them is told by verdicts, never here. */
  subjectBudgets?: readonly SubjectBudget[];
}

export type DecisionReason =
  | "LOCAL"
  | "MASTER"
  | "KILLED"
  | "TRIPPED"
  | "RULE"
  | "ROLLOUT"
  | "BUDGET"
  | "NO_MODEL"
  | "UNKNOWN"
  | "ON";

/** What a budget of the call's own user or session does to it. */
export interface BudgetVerdict {
  id: string;
  name: string;
  about: "user" | "session";
  /** `warn` changes nothing: most of the limit is spent, and the application may tell its user. */
  action: "warn" | "downgrade" | "stop";
  /** When the budget's window ends, ISO 8601. */
  until: string;
}

/** The answer for one flag and one context. "No" is an answer, not an error. */
export interface Decision {
  flag: string;
  enabled: boolean;
  reason: DecisionReason;
  /** Usable models, best first; `[]` for a flag without a chain (the request's model stands) and when off. */
  models: readonly string[];
  level: number;
  /** Text fit for end users when off, `""` when on. */
  message: string;
  /** Revision the decision was made by, null when no snapshot is known. */
  revision: Revision | null;
  /** Age of the last contact with the server in milliseconds, null when there was none in this process. */
  staleMs: number | null;
  /** Only while a budget of the user or session says something; known in processes with a guard. */
  budget?: BudgetVerdict;
}

/** Attributes of the caller. `targetingKey` is the user, `session` the conversation; both decide rollout buckets. */
export interface EvaluationContext {
  targetingKey?: string | undefined;
  session?: string | undefined;
  [attribute: string]: unknown;
}

export const DEFAULT_OFF_MESSAGE = "This feature is switched off at the moment. Please try again later.";

export const HEADER_INSTANCE = "Andon-Instance";
/** New for each process: two that share an instance name are counted as two. */
export const HEADER_BOOT = "Andon-Boot";
/** What `ANDON_KILL` holds off in this process: keys of flags separated by commas, or `*`. Not sent when it is nothing. */
export const HEADER_LOCAL = "Andon-Local";
/** Longest value of that header; a client that holds off more says `*`. */
export const LOCAL_MAX_CHARS = 1024;

/** Longest time a poll is parked; not above the idle timeouts of common load balancers (60 s and more). */
export const MAX_WAIT_SECONDS = 60;

/** With a report of usage: the client's clock as it is sent, Unix time in milliseconds. Tells how far off that clock is. */
export const HEADER_SENT = "Andon-Sent";
export const HEADER_APP = "Andon-App";
export const HEADER_SDK = "Andon-SDK";
export const HEADER_STALE = "Andon-Stale";

export const SNAPSHOT_PATH = "/sdk/v1/snapshot";
/** `DELETE` with the instance header: this instance has stopped and is not a straggler. */
export const INSTANCE_PATH = "/sdk/v1/instance";
