/** What alerts and the audit say of a budget's step. */
import { describe, expect, it } from "vitest";
import { stepText } from "../../src/domain/alert-text.ts";
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
      }),
    );
    expect(sentences).toEqual(
      ["an hour", "a day", "a week", "a month"].map(
        (period) => `Budget support chat, daily has reached 50 %: $50.00 of $100.00 ${period}. Nothing was switched.`,
      ),
    );
  });
});
