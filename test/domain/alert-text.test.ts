/** What alerts and the audit say of a budget's step. */
import { describe, expect, it } from "vitest";
import { stepText } from "../../src/domain/alert-text.ts";
import type { Budget } from "../../src/domain/budget.ts";
import { PERIODS } from "../../src/domain/window.ts";
import { budget, today, USD } from "./money/budgets.ts";

describe("the sentence about a step", () => {
  it("says what the limit is for, in English, for every period", () => {
    const sentences = PERIODS.map((period) =>
      stepText({
        budget: budget({ period }),
        state: { ...today(), spentNanoUsd: 50 * USD },
        step: { atPercent: 50, action: "alert" },
        flags: [],
        limitNanoUsd: 100 * USD,
        bound: null,
      }),
    );
    expect(sentences).toEqual(
      ["an hour", "a day", "a week", "a month"].map(
        (period) => `Budget support chat, daily has reached 50 %: $50.00 of $100.00 ${period}. Nothing was switched.`,
      ),
    );
  });

  it("of a trip says what can still be spent, and for whom that is unknown", () => {
    const byRunning =
      "Turned off: support-chat. At most $31.46 in the end, by the calls that were running when it tripped";
    expect(said("trip", 0)).toBe(`${byRunning}.`);
    expect(said("trip", 1)).toBe(`${byRunning}; unknown: 1 instance not reporting.`);
    expect(said("trip", 2)).toBe(`${byRunning}; unknown: 2 instances not reporting.`);
    expect(said("reserve", 0)).toBe(
      "Turned off: support-chat. At most $31.46 in the end: calls spend only what is set aside for them.",
    );
    expect(said("trip", 2, [])).toBe("There was no flag to turn off.");
  });
});

/** What the alert says of a kill, but for what was spent. */
function said(enforcement: Budget["enforcement"], notReporting: number, flags = ["support-chat"]): string {
  const text = stepText({
    budget: budget({ enforcement }),
    state: { ...today(), spentNanoUsd: 20 * USD },
    step: { atPercent: 100, action: "kill" },
    flags,
    limitNanoUsd: 20 * USD,
    bound: { nanoUsd: 31.46 * USD, notReporting },
  });
  return text.replace("Budget support chat, daily has reached 100 %: $20.00 of $20.00 a day. ", "");
}
