/**
 * What kill, restore and downgrade do to a switch and to a level. Pure; the services write the result.
 * Invariant: a kill only ever tightens, whoever asks.
 */
import type { NameOf } from "../../sdk-client/src/evaluate/model-names.ts";
import type { OffCause } from "../../sdk-client/src/wire/protocol.ts";
import type { Actor } from "./actor.ts";

/** Undo is offered, and accepted, for this long after a change. */
export const UNDO_MS = 10_000;

export type Switch =
  | { state: "on"; reason: string | null; by: string | null; since: Date; ramp: number | null }
  | {
      state: "off";
      cause: OffCause;
      reason: string | null;
      by: string | null;
      since: Date;
      until: Date | null;
      /** The ramp it had when it was killed: a kill that ends by itself comes back to it, not to everybody. */
      ramp: number | null;
    };

export interface Kill {
  cause: OffCause;
  reason: string | null;
  by: string;
  /** Null: until somebody restores it. */
  until: Date | null;
  at: Date;
  /** False for `kill` tokens: they may not rewrite what a person gave as the reason. */
  mayReword: boolean;
}

/** The switch after a kill, or the same object when the kill changes nothing. */
export function kill(current: Switch, command: Kill): Switch {
  const { cause, reason, by, until, at } = command;
  if (current.state === "on") return { state: "off", cause, reason, by, since: at, until, ramp: current.ramp };
  const laterUntil = later(current.until, until);
  const reworded = reason !== null && reason !== current.reason && (command.mayReword || current.reason === null);
  if (sameMoment(laterUntil, current.until) && !reworded) return current;
  return {
    ...current,
    until: laterUntil,
    ...(reworded ? { reason, by } : {}),
  };
}

/** A kill that somebody asks for. A `kill` token never rewords another's reason. */
export function killByHand(
  current: Switch,
  { name, kind }: Pick<Actor, "name" | "kind">,
  { reason, until }: { reason: string | null; until: Date | null },
  at: Date,
): Switch {
  return kill(current, { cause: "manual", reason, by: name, until, at, mayReword: kind !== "kill" });
}

export interface Restore {
  reason: string;
  by: string;
  /** Percentage to come back at; null: everybody. */
  ramp: number | null;
  at: Date;
}

/** The switch after a restore, or the same object when it is on with that ramp already. */
export function restore(current: Switch, command: Restore): Switch {
  const { reason, by, ramp, at } = command;
  if (current.state === "on" && current.ramp === ramp) return current;
  return { state: "on", reason, by, since: current.state === "on" ? current.since : at, ramp };
}

/** A level set by hand, with the model it means. */
export interface ManualLevel {
  level: number;
  model: string;
  reason: string | null;
  by: string;
  since: Date;
  until: Date | null;
}

/**
 * The level a manual downgrade means in the chain as it is now: where its model stands, or, when the model has left
 * the chain, the same depth as far as the chain goes.
 */
export function resolveLevel(
  manual: { level: number; model: string } | null,
  models: readonly string[],
  nameOf: NameOf,
): number {
  if (manual === null || models.length === 0) return 0;
  const meant = nameOf(manual.model);
  const found = models.findIndex((model) => nameOf(model) === meant);
  return found === -1 ? Math.min(manual.level, models.length - 1) : found;
}

/** The later of two moments, where null means never. */
export function later(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return null;
  return a.getTime() >= b.getTime() ? a : b;
}

export function sameMoment(a: Date | null, b: Date | null): boolean {
  return a === null || b === null ? a === b : a.getTime() === b.getTime();
}
