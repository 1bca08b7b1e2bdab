/**
 * The audit as one union: each action with what it keeps of before and after. A verb that records an action with anything
 * else does not compile, and an undo reads back what was written. What an entry is about follows from its action.
 */
import { z } from "zod";
import type { PriceRow } from "../../sdk-client/src/wire/price-row.ts";
import type { Role, TokenKind } from "./actor.ts";
import { block, type Chain, chain, type Definition, definition, flagState, master } from "./audit-kept.ts";
import type { FleetCalls } from "./breaker.ts";
import type { Budget, LadderAction } from "./budget.ts";
import type { ChannelKind, ChannelTold } from "./channel.ts";
import type { StandingState } from "./standing.ts";
import type { SubjectAction } from "./subject.ts";
import type { WatchSetting } from "./watch.ts";
import type { TriggerAction, TriggerSource } from "./trigger.ts";

/** What one click can take back, and so has to be read. */
const takenBack = z.discriminatedUnion("action", [
  z.object({
    action: z.literal(["flag.killed", "flag.restored", "flag.downgraded"]),
    before: flagState,
    after: flagState,
  }),
  z.object({ action: z.literal("flag.edited"), before: definition, after: definition }),
  z.object({ action: z.literal("chain.edited"), before: chain, after: chain }),
  z.object({ action: z.literal(["master.killed", "master.restored"]), before: master, after: master }),
  z.object({ action: z.literal(["model.blocked", "model.unblocked"]), before: block, after: block }),
]);
export type TakenBack = z.output<typeof takenBack>;

interface Made<Name extends string, Value> {
  action: Name;
  before?: null;
  after: Value;
}
interface Gone<Name extends string, Value> {
  action: Name;
  before: Value;
  after?: null;
}
interface Edited<Name extends string, Value> {
  action: Name;
  before: Value;
  after: Value;
}
interface Said<Name extends string> {
  action: Name;
  before?: null;
  after?: null;
}

/** What is shown as it was kept, and never read. */
type Told =
  | Made<"flag.created", Definition>
  | Gone<"flag.deleted", Definition>
  | Edited<"flag.moved", { state: StandingState; model: string | null }>
  | Made<"flag.tripped", TripKept>
  | Gone<"flag.trip-ended", TripKept>
  | Made<"drill.ended", { state: string; applied: number | null; live: number | null; by: string }>
  | Made<"batches.canceled", { batches: number; estimatedNanoUsd: number }>
  | Made<"breaker.opened", FleetCalls>
  | Made<"breaker.probing", { probeShare: number }>
  | Made<"breaker.reopened", { answered: number; failed: number; probeAt: Date }>
  | Said<"breaker.overridden" | "breaker.closed">
  | Made<"account.refused", { flags: string[]; instances: number; running: number }>
  | Made<"chain.created", Chain>
  | Gone<"chain.deleted", Chain>
  | Made<"budget.created", BudgetKept>
  | Edited<"budget.edited", BudgetKept>
  | Gone<"budget.deleted", BudgetKept>
  | Made<"budget.raised", { addUsd: number; until: string }>
  | Made<"budget.lifted", LiftKept>
  | Made<"budget.returned", { nanoUsd: number; instances: readonly string[] }>
  | Made<"budget.step", StepKept>
  | Made<"budget.over" | "budget.under", { spentNanoUsd: number; limitNanoUsd: number }>
  | Said<"incident.acknowledged" | "incident.resolved">
  | Made<"incident.escalated", { channel: string; minutes: number }>
  | Made<"channel.created", ChannelKept>
  | Edited<"channel.edited", ChannelKept>
  | Gone<"channel.deleted", ChannelKept>
  | Made<"channel.tested", { text: string }>
  | Made<"alert.retried", { title: string }>
  | Said<"price.missing" | "bill.differs" | "watch.opened" | "watch.ended">
  | Edited<"watch.edited", WatchSetting | null>
  | Made<"trigger.created", TriggerKept>
  | Edited<"trigger.edited", TriggerKept>
  | Gone<"trigger.deleted", TriggerKept>
  | Edited<"price.added" | "price.corrected" | "price.deleted", PriceRow | null>
  | Made<"token.created", TokenKept>
  | Said<"token.revoked">
  | Made<"environment.created", { key: string; name: string }>
  | Said<"environment.lineage_replaced">
  | Edited<"aliases.edited", Readonly<Record<string, string>>>
  | Made<"instance.declared-dead", { declared: number; instances: readonly string[] } | null>
  | Gone<"instance.returned", { declaredDeadBy: string; declaredDeadAt: Date }>;

/** What people do in a hurry and say why of afterwards. */
export type Reasoned = "flag.killed" | "flag.downgraded" | "master.killed" | "model.blocked";

interface ReasonGiven extends Said<"reason.given"> {
  about: Reasoned;
}

type TripKept = {
  action: "downgrade" | "kill";
  level: number | null;
  model: string | null;
  budget: string;
  atPercent: number;
};
type BudgetKept = Omit<Budget, "id" | "limitNanoUsd" | "raises"> & { limitUsd: number };
type LiftKept = { user: string | null; session: string | null; action: SubjectAction; spentNanoUsd: number };
type StepKept = {
  atPercent: number;
  action: LadderAction | "over";
  spentUsd: string;
  limitUsd: string;
  flags: readonly string[];
};
type ChannelKept = { kind: ChannelKind; name: string; url: string; routingKey?: string } & ChannelTold;
type TriggerKept = {
  name: string;
  source: TriggerSource;
  action: TriggerAction;
  level: number | null;
  flags: readonly string[];
  tag: string | null;
  expiresMinutes: number | null;
  paused: boolean;
};
type TokenKept = { kind: TokenKind; name: string; role: Role | null; environments?: readonly string[] | null };

export type Kept = TakenBack | Told | ReasonGiven;
export type Action = Kept["action"];

/** An entry as it is recorded; who, when and in which change is the recorder's to add. */
export type AuditEntry = Kept & {
  /** The key or name of what it is about. */
  target: string;
  reason?: string | null;
  /** The entry whose change this one takes back. */
  reverts?: number;
};

const TARGET_KINDS = {
  "flag.killed": "flag",
  "flag.restored": "flag",
  "flag.downgraded": "flag",
  "flag.created": "flag",
  "flag.edited": "flag",
  "flag.deleted": "flag",
  "flag.moved": "flag",
  "flag.tripped": "flag",
  "flag.trip-ended": "flag",
  "drill.ended": "flag",
  "batches.canceled": "flag",
  "breaker.opened": "model",
  "breaker.probing": "model",
  "breaker.reopened": "model",
  "breaker.overridden": "model",
  "breaker.closed": "model",
  "account.refused": "account",
  "chain.created": "chain",
  "chain.edited": "chain",
  "chain.deleted": "chain",
  "master.killed": "master",
  "master.restored": "master",
  "model.blocked": "model",
  "model.unblocked": "model",
  "budget.created": "budget",
  "budget.edited": "budget",
  "budget.deleted": "budget",
  "budget.raised": "budget",
  "budget.lifted": "budget",
  "budget.returned": "budget",
  "budget.step": "budget",
  "budget.over": "budget",
  "budget.under": "budget",
  "incident.acknowledged": "incident",
  "incident.resolved": "incident",
  "incident.escalated": "incident",
  "channel.created": "channel",
  "channel.edited": "channel",
  "channel.deleted": "channel",
  "channel.tested": "channel",
  "alert.retried": "channel",
  "trigger.created": "trigger",
  "trigger.edited": "trigger",
  "trigger.deleted": "trigger",
  "price.added": "price",
  "price.corrected": "price",
  "price.deleted": "price",
  "price.missing": "price",
  "bill.differs": "bill",
  "watch.opened": "watch",
  "watch.ended": "watch",
  "watch.edited": "watch",
  "token.created": "token",
  "token.revoked": "token",
  "environment.created": "environment",
  "environment.lineage_replaced": "environment",
  "aliases.edited": "environment",
  "instance.declared-dead": "instance",
  "instance.returned": "instance",
} as const satisfies Record<Exclude<Action, "reason.given">, string>;

export type TargetKind = (typeof TARGET_KINDS)[keyof typeof TARGET_KINDS];

/** Every kind of thing that an entry can be about. */
export const EVERY_TARGET_KIND: readonly TargetKind[] = [...new Set(Object.values(TARGET_KINDS))];

/** What kind of thing the entry is about. */
export function targetKindOf(kept: Kept): TargetKind {
  return TARGET_KINDS[kept.action === "reason.given" ? kept.about : kept.action];
}

const REVERTED_BY: Readonly<Record<TakenBack["action"], "operator" | "admin">> = {
  "flag.killed": "operator",
  "flag.restored": "operator",
  "flag.downgraded": "operator",
  "flag.edited": "admin",
  "chain.edited": "admin",
  "master.killed": "operator",
  "master.restored": "operator",
  "model.blocked": "operator",
  "model.unblocked": "operator",
};

/** The role that takes such a change back by one click. */
export function revertedBy(action: TakenBack["action"]): "operator" | "admin" {
  return REVERTED_BY[action];
}

export function isTakenBack(action: string): action is TakenBack["action"] {
  return Object.hasOwn(REVERTED_BY, action);
}

/** The change of a row when it can be taken back; null for any other, and for one in a form that a newer version wrote. */
export function readTakenBack(row: { action: string; before: unknown; after: unknown }): TakenBack | null {
  return isTakenBack(row.action) ? (takenBack.safeParse(row).data ?? null) : null;
}

/** Whether this version knows the action: a newer one, or an older, may have written the row. */
export function isAction(action: string): action is Action {
  return action === "reason.given" || Object.hasOwn(TARGET_KINDS, action);
}

/** How the story of a flag names a change of something else that moved it; null for one that its own entries tell. */
export function movedBy({ action, target, reason }: AuditEntry): string | null {
  const words = MOVES[action];
  if (words === undefined) return null;
  return `${words(target)}${reason === undefined || reason === null ? "" : `: ${reason}`}`;
}

const MOVES: Readonly<Partial<Record<Action, (target: string) => string>>> = {
  "model.blocked": (model) => `${model} was blocked`,
  "model.unblocked": (model) => `the block of ${model} was lifted`,
  "breaker.opened": (model) => `a breaker took out ${model}`,
  "breaker.overridden": (model) => `${model} was restored over its breaker`,
  "breaker.closed": (model) => `the breaker of ${model} closed`,
  "chain.edited": (chainName) => `chain ${chainName} was edited`,
  "budget.over": (budget) => `budget ${budget} reached its limit`,
  "budget.under": (budget) => `budget ${budget} is below its limit again`,
  "budget.created": (budget) => `budget ${budget} was created`,
  "budget.edited": (budget) => `budget ${budget} was edited`,
  "budget.raised": (budget) => `budget ${budget} was raised`,
  "budget.deleted": (budget) => `budget ${budget} was deleted`,
};
