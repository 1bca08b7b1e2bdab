/** Limits with raises, who counts in which window, and what is shown beside the sum. */
import { modelNames } from "../../../sdk-client/src/evaluate/model-names.ts";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type BudgetScope,
  effectiveLimitNanoUsd,
  nanoUsd,
  nextLimitChangeMs,
  type Spender,
  subjectOf,
} from "../../../src/domain/budget.ts";
import { burnNanoUsdPerHour, limitReachedAtMs } from "../../../src/domain/forecast.ts";
import { budget, NOW_MS, raise, USD } from "./budgets.ts";

const HOUR_MS = 3_600_000;

describe("the effective limit", () => {
  it("is the limit and all raises in force", () => {
    const b = budget({ raises: [raise(10, 100, 200), raise(5, 150, 300)] });
    const at = (nowMs: number) => effectiveLimitNanoUsd(b, nowMs) / USD;
    expect([99, 100, 150, 199, 200, 299, 300].map(at)).toEqual([100, 110, 115, 115, 105, 105, 100]);
  });

  it("tells when it changes next, so that the trips are looked at then", () => {
    const b = budget({ raises: [raise(10, 100, 200), raise(5, 150, 300)] });
    expect([0, 100, 150, 200, 299, 300].map((nowMs) => nextLimitChangeMs(b, nowMs))).toEqual([
      100,
      150,
      200,
      300,
      300,
      null,
    ]);
  });

  it("is exact for amounts as people write them", () => {
    expect([0.01, 0.1, 19.99, 100, 1_000_000].map(nanoUsd)).toEqual([
      10_000_000, 100_000_000, 19_990_000_000, 100_000_000_000, 1_000_000_000_000_000,
    ]);
  });
});

/** The window of a pair, for a budget with one for each user and session. */
const ofPair = (user: string, session: string) =>
  subjectOf({ user: "each", session: "each" }, { flag: "f", model: "m", user, session }, modelNames());

describe("the window a record counts in", () => {
  const record: Spender = { flag: "chat", model: "claude-haiku-4-5-20251001", user: "u1", session: "s1" };

  it.each<[string, BudgetScope, string | null]>([
    ["the environment's", {}, ""],
    ["its flag's", { flag: "chat" }, ""],
    ["not another flag's", { flag: "search" }, null],
    ["its model's, in any spelling", { model: "claude-haiku-4-5" }, ""],
    ["not another model's", { flag: "chat", model: "claude-opus-5-5" }, null],
    ["its user's own", { user: "each" }, "u1"],
    ["that of one named user", { user: "u1" }, "u1"],
    ["not another user's", { user: "u2" }, null],
    ["its session's own", { flag: "chat", session: "each" }, "s1"],
    ["its session's own, for one user", { user: "u1", session: "each" }, "2:u1s1"],
    ["one for each user and session", { user: "each", session: "each" }, "2:u1s1"],
  ])("is %s", (_, scope, subject) => {
    expect(subjectOf(scope, record, modelNames())).toBe(subject);
  });

  it("is none of the users' for a record without a user", () => {
    for (const user of [null, undefined, ""]) {
      expect(
        subjectOf(
          { user: "each" },
          { flag: "chat", model: "m", ...(user === undefined ? {} : { user }) },
          modelNames(),
        ),
      ).toBeNull();
    }
  });

  it("is never shared by two pairs of user and session", () => {
    const id = fc.string({ minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(id, id, id, id, (user, session, otherUser, otherSession) => {
        fc.pre(user !== otherUser || session !== otherSession);
        expect(ofPair(user, session)).not.toBe(ofPair(otherUser, otherSession));
      }),
    );
  });
});

describe("the forecast", () => {
  const pace = { spentNanoUsd: 40 * USD, limitNanoUsd: 100 * USD, nowMs: NOW_MS, windowEndMs: NOW_MS + 12 * HOUR_MS };

  it("scales what was spent lately to an hour", () => {
    expect(burnNanoUsdPerHour(3 * USD, 15 * 60_000)).toBe(12 * USD);
    expect(burnNanoUsdPerHour(1, 7 * HOUR_MS)).toBe(1);
    expect(burnNanoUsdPerHour(0, 60_000)).toBe(0);
    expect(Number.isSafeInteger(burnNanoUsdPerHour(Number.MAX_SAFE_INTEGER, 1))).toBe(true);
  });

  it("says when the limit is reached at this rate", () => {
    expect(limitReachedAtMs({ ...pace, burnNanoUsdPerHour: 30 * USD })).toBe(NOW_MS + 2 * HOUR_MS);
  });

  it("says nothing when the window ends first, or nothing is spent", () => {
    expect(limitReachedAtMs({ ...pace, burnNanoUsdPerHour: 5 * USD })).toBeNull();
    expect(limitReachedAtMs({ ...pace, burnNanoUsdPerHour: 0 })).toBeNull();
  });

  it("says now when it has been reached", () => {
    expect(limitReachedAtMs({ ...pace, spentNanoUsd: 100 * USD, burnNanoUsdPerHour: 0 })).toBe(NOW_MS);
  });
});
