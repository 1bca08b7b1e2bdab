/** A switch that somebody turns off: of one flag, or the master switch. */
import type { Ctx } from "../../deps.ts";
import { kill, type Switch } from "../../domain/switch.ts";

/** The switch after the kill, the same one when nothing changes. A `kill` token never rewords another's reason. */
export function killByHand(
  { actor }: Ctx,
  current: Switch,
  { reason, until }: { reason: string | null; until: Date | null },
  at: Date,
): Switch {
  return kill(current, { cause: "manual", reason, by: actor.name, until, at, mayReword: actor.kind !== "kill" });
}
