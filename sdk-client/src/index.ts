/**
 * The public face of `andon-client`. The guard for the Anthropic SDK is in `andon-client/anthropic`, so that this part
 * works without that SDK installed.
 */
export { Andon } from "./andon.ts";
export type { WhyFallback } from "./degrade.ts";
export type { OnUnknown } from "./evaluate/evaluate.ts";
export type { AndonEvent, AndonEvents, AndonListener } from "./events.ts";
export { FeatureDisabledError, isFeatureDisabled } from "./feature-disabled-error.ts";
export { FlagClient, type Readiness } from "./flag-client.ts";
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
} from "./wire/protocol.ts";
export type { UsageReport } from "./reporting/record.ts";
export type { FetchLike } from "./sync/transport-fetch.ts";
export { readUsage, type UsagePart } from "./pricing/usage.ts";
export type { TokenUsage } from "./wire/usage-protocol.ts";
export type { UsageOutcome } from "./wire/usage-protocol.ts";
export type { UsageStats } from "./reporting/reporter.ts";
