/**
 * In which order a board shows flags: what asks for somebody first, the rest by what it spends. Pure; a rank says which
 * of the reasons holds, so that a page can tell when a flag has come to ask for more.
 */
import { NANO_PER_USD } from "./budget.ts";
import type { StandingState } from "./standing.ts";

const HOUR_MS = 3_600_000;
/** A burn of so many times the usual is far above it. */
export const FAR_ABOVE_USUAL = 4;
/** Below so much an hour no burn asks for anybody: five times a cent is a nickel. */
const SMALL_BURN_NANO_USD = NANO_PER_USD;

export interface AttentionFacts {
  key: string;
  name: string;
  state: StandingState;
  /** Claude refuses its calls: their account is out of money, or its key is not accepted. */
  refused: boolean;
  burnNanoUsdPerHour: number;
  /** What it spends in such an hour, see domain/usual.ts; null when nobody knows. */
  usualNanoUsdPerHour: number | null;
  /** Which hour that is of: "for Saturday 03:00 UTC"; "" when nobody knows. */
  usualWords: string;
  /** At this rate, Unix time in milliseconds; null: not in this window, or no limit. */
  limitReachedAtMs: number | null;
  todayNanoUsd: number;
}

/** The most urgent first. */
export const RANKS = [
  "over",
  "off",
  "refused",
  "limit within the hour",
  "far above usual",
  "downgraded",
  "calm",
] as const;
export type Rank = (typeof RANKS)[number];

export function rankOf(facts: AttentionFacts, nowMs: number): Rank {
  if (facts.state === "over") return "over";
  if (facts.state === "off") return "off";
  if (facts.refused) return "refused";
  if (facts.limitReachedAtMs !== null && facts.limitReachedAtMs - nowMs <= HOUR_MS) return "limit within the hour";
  if ((timesUsual(facts) ?? 0) >= FAR_ABOVE_USUAL) return "far above usual";
  return facts.state === "on" ? "calm" : "downgraded";
}

/** How many times the usual it burns, in tenths; of a usual of nothing infinitely often; null when that says nothing. */
export function timesUsual({
  burnNanoUsdPerHour: burn,
  usualNanoUsdPerHour: usual,
}: Pick<AttentionFacts, "burnNanoUsdPerHour" | "usualNanoUsdPerHour">): number | null {
  if (usual === null || burn < SMALL_BURN_NANO_USD) return null;
  if (usual <= 0) return Number.POSITIVE_INFINITY;
  return Math.floor((burn / usual) * 10) / 10;
}

/** For sorting by rank, then by what was spent today, then by name and key. */
export function byAttention(nowMs: number): (a: AttentionFacts, b: AttentionFacts) => number {
  return (a, b) =>
    RANKS.indexOf(rankOf(a, nowMs)) - RANKS.indexOf(rankOf(b, nowMs)) ||
    b.todayNanoUsd - a.todayNanoUsd ||
    a.name.localeCompare(b.name) ||
    a.key.localeCompare(b.key);
}
