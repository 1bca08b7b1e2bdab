/** What a step of a budget's ladder did, in a sentence that on-call reads at 3 AM. */
import type { Budget, LadderStep } from "./budget.ts";
import type { WindowState } from "./ladder.ts";
import { aPeriod } from "./window.ts";

const NANO_PER_CENT = 10_000_000;

/** Nano-USD as people read it: `$1,234.56`, rounded up to a cent, so that it never looks cheaper than it is. */
export function usd(nanoUsd: number): string {
  const cents = Math.ceil(nanoUsd / NANO_PER_CENT);
  const whole = Math.floor(cents / 100);
  const grouped = String(whole).replace(/\B(?=(\d{3})+$)/g, ",");
  return `$${grouped}.${String(cents % 100).padStart(2, "0")}`;
}

/** One sentence or two: which budget, how much of it, and what Andon did about it. */
export function stepText(input: {
  budget: Budget;
  state: WindowState;
  step: LadderStep;
  flags: readonly string[];
  limitNanoUsd: number;
}): string {
  const { budget, state, step, flags, limitNanoUsd } = input;
  const spent = `Budget ${budget.name} has reached ${step.atPercent} %: ${usd(state.spentNanoUsd)} of ${usd(limitNanoUsd)} ${aPeriod(budget.period)}.`;
  return `${spent} ${consequence(budget, state, step, flags)}`;
}

function consequence(budget: Budget, state: WindowState, step: LadderStep, flags: readonly string[]): string {
  if (budget.enforcement === "track") return "This budget only tracks: nothing was switched.";
  const until =
    budget.onReset === "restore"
      ? `until ${localMinute(state.window.endMs, budget.timezone)}`
      : "until somebody restores";
  switch (step.action) {
    case "alert":
      return "Nothing was switched.";
    case "downgrade":
      return flags.length === 0
        ? "There was no further step to downgrade to."
        : `Downgraded ${until}: ${flags.join(", ")}.`;
    case "kill":
      return flags.length === 0 ? "There was no flag to turn off." : `Turned off ${until}: ${flags.join(", ")}.`;
  }
}

/** `2026-11-22 00:00 Europe/Berlin`. */
function localMinute(atMs: number, timeZone: string): string {
  const text = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" }).format(atMs);
  return `${text} ${timeZone}`;
}
