/** What of a budget is not spent yet and can be, in a few words, for the board: held, waiting, and the bound. Pure. */
import { unknownWords, usd } from "../../domain/alert-text.ts";
import { UNBOUNDED_WORDS } from "../../domain/bound.ts";
import type { BudgetGlance } from "../../services/board/money.ts";
import { count } from "../text/text.ts";

/**
 * "$2.10 held for calls · 4 calls wait", "at most $31.46 in the end; unknown: 2 instances not reporting", "forecast: …",
 * "nothing stops it: …"; `[]` while the limit is not reached at this rate and nothing is held.
 */
export function stillWords(budget: StillProps): string[] {
  const { leases } = budget;
  if (leases === null) return mattersNow(budget) ? [boundWords(budget.bound)] : [];
  const { heldNanoUsd, indeterminateNanoUsd, waiting } = leases;
  return [
    ...(heldNanoUsd > 0 ? [`${usd(heldNanoUsd)} held for calls`] : []),
    ...(indeterminateNanoUsd > 0 ? [`${usd(indeterminateNanoUsd)} held by clients that went silent`] : []),
    ...(budget.bound.notReporting > 0 ? [unknownWords(budget.bound.notReporting)] : []),
    ...(waiting > 0 ? [waiting === 1 ? "1 call waits" : `${count(waiting, "call")} wait`] : []),
  ];
}

type StillProps = Pick<BudgetGlance, "bound" | "leases" | "limitReachedAt" | "spentNanoUsd" | "limitNanoUsd">;

function mattersNow({ bound, limitReachedAt, spentNanoUsd, limitNanoUsd }: StillProps): boolean {
  // The line of the limit says itself that a paused budget stops nothing.
  if (bound.because === "paused") return false;
  return bound.kind === "atTrip" || limitReachedAt !== null || spentNanoUsd >= limitNanoUsd;
}

/** A forecast says that it is one. */
export function boundWords({ kind, because, nanoUsd, notReporting }: BudgetGlance["bound"]): string {
  if (nanoUsd === null) return UNBOUNDED_WORDS[because ?? "noKill"];
  const unknown = notReporting === 0 ? "" : `; ${unknownWords(notReporting)}`;
  return `${kind === "forecast" ? "forecast: " : ""}at most ${usd(nanoUsd)} in the end${unknown}`;
}
