/**
 * The public face of `andon-client`. The guard for the Anthropic SDK is in `andon-client/anthropic`, so that this part
 * works without that SDK installed.
 */
export { Andon, type Readiness } from "./andon.ts";
export type { OnUnknown } from "./evaluate.ts";
export type { AndonEvent, AndonEvents, AndonListener } from "./events.ts";
export { FeatureDisabledError, isFeatureDisabled } from "./feature-disabled-error.ts";
export type { GuardHost } from "./guard-host.ts";
export type { AndonLogger } from "./logger.ts";
export type { AndonOptions } from "./options.ts";
export type {
  ChainStep,
  Condition,
  ConditionOperator,
  Decision,
  DecisionReason,
  EvaluationContext,
  Rule,
  Snapshot,
  SnapshotChain,
  SnapshotFlag,
} from "./protocol.ts";
export type { UsageReport } from "./report-record.ts";
export type { FetchLike } from "./transport-fetch.ts";
export { readUsage, type TokenUsage, type UsagePart } from "./usage.ts";
export type { UsageOutcome } from "./usage-protocol.ts";
export type { UsageStats } from "./usage-reporter.ts";
