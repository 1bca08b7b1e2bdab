/**
 * How the board speaks: durations, counts and states as short sentences, never as codes. Pure.
 * Invariant: the words are those of the product ("off", "downgraded", "applied"), and a number always has a unit.
 */
import { age } from "../../domain/age.ts";
import type { FlagResource } from "../../api/flag.ts";
import type { TripResource } from "../../api/switch.ts";

const SECOND_MS = 1_000;
/** "96 ms", "1.4 s", "40 s": how long something took. */
export function took(ms: number): string {
  if (ms < SECOND_MS) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10 * SECOND_MS) return `${(ms / SECOND_MS).toFixed(1)} s`;
  return age(ms / SECOND_MS);
}

/** "1 instance", "47 instances". */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** "a, b and c"; names past `shown` are counted: "a, b and 3 more", also those that are of `total` and not at hand. */
export function listed(names: readonly string[], shown = 3, total = names.length): string {
  const head = names.slice(0, shown);
  const rest = total - head.length;
  const parts = rest > 0 ? [...head, `${rest} more`] : head;
  const last = parts.at(-1) ?? "";
  return parts.length <= 1 ? last : `${parts.slice(0, -1).join(", ")} and ${last}`;
}

/** A percentage without needless zeros: "50 %", "0.5 %". */
export function percent(value: number): string {
  return `${Number(value.toFixed(2))} %`;
}

/** `over`: amber with "!", on though its budget is over the limit, or though Claude refuses its calls. */
export type Light = "on" | "downgraded" | "over" | "off";

/** The colour and shape of a flag: a ramp counts as less than on. */
export function lightOf({ standing: { state } }: FlagResource, isRefused = false): Light {
  if (isRefused && state !== "off") return "over";
  return state === "ramping" ? "downgraded" : state;
}

/** The trip that keeps a flag off; null when none does. */
export function killTrip(flag: FlagResource): TripResource | null {
  return flag.trips.find((trip) => trip.action === "kill") ?? null;
}

/** Whether a person's or a budget's doing can be taken back: what "Restore…" is offered for. */
export function isRestorable(flag: FlagResource): boolean {
  return flag.switch.state === "off" || flag.trips.length > 0 || flag.level.level > 0 || flag.switch.ramp !== null;
}
