/** What the ladder of a budget does over one window. */
import { describe, expect, it } from "vitest";
import {
  advance,
  downgradeLevel,
  override,
  stepKey,
  stepsInForce,
  thresholdNanoUsd,
} from "../../../src/domain/ladder.ts";
import { budget, driver, NOW_MS, raise, today, USD } from "./budgets.ts";

const FLAG = "support-chat";
const DAY_MS = 86_400_000;

const inForce = (b: ReturnType<typeof driver>, using = budget(), flag = FLAG) =>
  stepsInForce(using, b.state, flag, NOW_MS).map(stepKey);

describe("a ladder", () => {
  it("acts at each share once, in ladder order", () => {
    const b = driver(budget());
    expect(b.spend(49)).toEqual([]);
    expect(b.spend(1)).toEqual(["act alert@50"]);
    expect(b.spend(29)).toEqual([]);
    expect(b.spend(1)).toEqual(["act downgrade@80"]);
    expect(b.spend(20)).toEqual(["act kill@100"]);
    expect(b.spend(500)).toEqual([]);
  });

  it("acts on all steps that one batch crosses, the mildest first", () => {
    expect(driver(budget()).spend(500)).toEqual(["act alert@50", "act downgrade@80", "act kill@100"]);
  });

  it("acts on the strongest last when steps share a percentage", () => {
    const ladder = [
      { atPercent: 100, action: "kill" },
      { atPercent: 100, action: "downgrade", level: 2 },
      { atPercent: 100, action: "downgrade" },
      { atPercent: 100, action: "alert" },
    ] as const;
    expect(driver(budget({ ladder })).spend(100)).toEqual([
      "act alert@100",
      "act downgrade@100",
      "act downgrade:2@100",
      "act kill@100",
    ]);
  });

  it("crosses at the exact nano-USD, not before", () => {
    const b = budget({ limitNanoUsd: 333 * 10_000_001 });
    const at = thresholdNanoUsd(b.limitNanoUsd, 50);
    expect(advance(b, today(), at - 1, NOW_MS).changes).toEqual([]);
    expect(advance(b, today(), at, NOW_MS).changes).toHaveLength(1);
  });

  it("of a budget that only tracks alerts at every step", () => {
    const b = driver(budget({ enforcement: "track" }));
    expect(b.spend(500)).toEqual(["act alert@50", "act alert@80", "act alert@100"]);
    expect(stepsInForce(budget({ enforcement: "track" }), b.state, FLAG, NOW_MS).map(stepKey)).toEqual([
      "alert@50",
      "alert@80",
      "alert@100",
    ]);
  });

  it("trips at once when a budget that tracked is set to trip", () => {
    const b = driver(budget({ enforcement: "track" }));
    b.spend(90);
    expect(b.spend(0, budget())).toEqual(["end alert@80", "act downgrade@80"]);
  });

  it("refuses amounts that are not whole nano-USD", () => {
    for (const amount of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => advance(budget(), today(), amount, NOW_MS)).toThrow(RangeError);
    }
  });
});

describe("a change of the limit", () => {
  it("upwards ends the trips whose step is no longer crossed, and they act again at the new limit", () => {
    const b = driver(budget());
    b.spend(100);
    const raised = budget({ raises: [raise(50)] });
    expect(b.spend(0, raised)).toEqual(["end downgrade@80", "end kill@100"]);
    expect(b.spend(20, raised)).toEqual(["act downgrade@80"]);
    expect(b.spend(30, raised)).toEqual(["act kill@100"]);
  });

  it("downwards acts on the steps newly crossed", () => {
    const b = driver(budget());
    b.spend(60);
    expect(b.spend(0, budget({ limitNanoUsd: 70 * USD }))).toEqual(["act downgrade@80"]);
    expect(b.spend(0, budget({ limitNanoUsd: 60 * USD }))).toEqual(["act kill@100"]);
  });

  it("by the expiry of a raise puts the trip back, without paging a second time", () => {
    const raised = budget({ raises: [raise(100, NOW_MS, NOW_MS + 1_000)] });
    const b = driver(budget());
    b.spend(85);
    expect(b.spend(0, raised, NOW_MS)).toEqual(["end alert@50", "end downgrade@80"]);
    expect(b.spend(5, raised, NOW_MS + 999)).toEqual([]);
    expect(b.spend(0, raised, NOW_MS + 1_000)).toEqual(["resume downgrade@80"]);
    expect(b.spend(10, raised, NOW_MS + 1_000)).toEqual(["act kill@100"]);
  });

  it("leaves alone the steps that stay crossed", () => {
    const b = driver(budget());
    b.spend(95);
    expect(b.spend(0, budget({ raises: [raise(15)] }))).toEqual([]);
  });

  it("and an edit of the ladder end the trips of steps that were taken out, and only these", () => {
    const b = driver(budget());
    b.spend(100);
    const edited = budget({ ladder: [{ atPercent: 80, action: "downgrade" }] });
    expect(b.spend(0, edited)).toEqual(["end alert@50", "end kill@100"]);
    expect(b.spend(0, edited)).toEqual([]);
  });
});

describe("the end of the window", () => {
  const later = NOW_MS + DAY_MS;

  it("ends the trips of a budget that restores at reset, once", () => {
    const b = driver(budget());
    b.spend(85);
    expect(b.spend(0, budget(), later)).toEqual(["end alert@50", "end downgrade@80"]);
    expect(b.spend(0, budget(), later)).toEqual([]);
  });

  it("ends nothing when trips stay", () => {
    const b = driver(budget());
    b.spend(100);
    expect(b.spend(0, budget({ onReset: "stay" }), later)).toEqual([]);
  });

  it("is the end of acting: late records are added, and trip nothing", () => {
    const b = driver(budget());
    b.spend(85);
    b.spend(0, budget(), later);
    expect(b.spend(300, budget(), later)).toEqual([]);
    expect(b.state.spentNanoUsd).toBe(385 * USD);
  });

  it("is final, though a server's clock may be behind", () => {
    const b = driver(budget());
    b.spend(85);
    b.spend(0, budget(), later);
    expect(b.spend(300, budget(), NOW_MS)).toEqual([]);
  });

  it("is exclusive: its last millisecond still acts", () => {
    const { endMs } = today().window;
    expect(driver(budget()).spend(50, budget(), endMs - 1)).toEqual(["act alert@50"]);
    expect(driver(budget()).spend(50, budget(), endMs)).toEqual([]);
  });
});

describe("an override by restore", () => {
  it("lifts the steps already crossed, for that flag alone; a higher step still acts", () => {
    const b = driver(budget());
    b.spend(85);
    b.state = override(b.state, FLAG);
    expect(inForce(b)).toEqual([]);
    expect(inForce(b, budget(), "search")).toEqual(["alert@50", "downgrade@80"]);
    expect(b.spend(10)).toEqual([]);
    expect(b.spend(5)).toEqual(["act kill@100"]);
    expect(inForce(b)).toEqual(["kill@100"]);
  });

  it("holds until the window ends", () => {
    const b = driver(budget());
    b.spend(100);
    b.state = override(b.state, FLAG);
    b.spend(1_000);
    expect(inForce(b)).toEqual([]);
    expect(inForce(driver(budget()))).toEqual([]);
  });

  it("does not cover a step that a raise moved up and that is crossed anew", () => {
    const b = driver(budget());
    b.spend(85);
    b.state = override(b.state, FLAG);
    const raised = budget({ raises: [raise(100)] });
    b.spend(0, raised);
    expect(b.spend(75, raised)).toEqual(["act alert@50", "act downgrade@80"]);
    expect(inForce(b, raised)).toEqual(["alert@50", "downgrade@80"]);
  });

  it("still covers its steps when the raise expires", () => {
    const b = driver(budget());
    b.spend(85);
    b.state = override(b.state, FLAG);
    b.spend(0, budget({ raises: [raise(100)] }));
    expect(b.spend(0)).toEqual(["resume downgrade@80"]);
    expect(inForce(b)).toEqual([]);
  });

  it("given again while a raise is in force, still covers its first steps when the raise expires", () => {
    const b = driver(budget());
    b.spend(105);
    b.state = override(b.state, FLAG);
    b.spend(0, budget({ raises: [raise(100)] }));
    b.state = override(b.state, FLAG);
    expect(b.spend(0)).toEqual(["resume downgrade@80", "resume kill@100"]);
    expect(inForce(b)).toEqual([]);
  });

  it("does not cover a step that was not crossed then, though lowering the limit crosses it now", () => {
    const b = driver(budget());
    b.spend(85);
    b.state = override(b.state, FLAG);
    const lowered = budget({ limitNanoUsd: 80 * USD });
    expect(b.spend(0, lowered)).toEqual(["act kill@100"]);
    expect(inForce(b, lowered)).toEqual(["kill@100"]);
  });

  it("can be given again, for more", () => {
    const b = driver(budget());
    b.spend(85);
    b.state = override(b.state, FLAG);
    b.spend(20);
    b.state = override(b.state, FLAG);
    expect(inForce(b)).toEqual([]);
  });

  it("works for a flag whose key is the name of a property of every object", () => {
    const b = driver(budget());
    b.spend(85);
    expect(inForce(b, budget(), "constructor")).toEqual(["alert@50", "downgrade@80"]);
    b.state = override(b.state, "constructor");
    expect(inForce(b, budget(), "constructor")).toEqual([]);
  });
});

describe("a downgrade step", () => {
  const further = { atPercent: 80, action: "downgrade" } as const;

  it("without a level means one further than now, as far as the chain goes", () => {
    expect(downgradeLevel(further, 0, 3)).toBe(1);
    expect(downgradeLevel(further, 1, 3)).toBe(2);
    expect(downgradeLevel(further, 2, 3)).toBe(2);
    expect(downgradeLevel(further, 0, 0)).toBe(0);
  });

  it("with a level goes there, and never back up", () => {
    expect(downgradeLevel({ ...further, level: 2 }, 0, 3)).toBe(2);
    expect(downgradeLevel({ ...further, level: 1 }, 2, 3)).toBe(2);
    expect(downgradeLevel({ ...further, level: 9 }, 0, 3)).toBe(2);
  });
});
