/** What the counts of limits promise for any order of calls: properties of the one class, on a clock that the test owns. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { Limits, type LimitSubject, type Place } from "../../sdk-client/src/guard/limits.ts";
import { NO_USAGE } from "../../sdk-client/src/wire/usage-protocol.ts";

const WINDOW_MS = 60_000;
const DAY_MS = 86_400_000;

function counted(maxSubjects?: number) {
  const clock = { at: 5 * DAY_MS };
  const limits = new Limits({ monotonicMs: () => clock.at, nowMs: () => clock.at }, maxSubjects);
  return { clock, limits };
}

const of = (limits: LimitSubject["limits"], user = "ada"): LimitSubject => ({
  flag: "chat",
  limits,
  user,
  session: undefined,
  isRetry: false,
});

it("never lets more calls begin in any minute than allowed, refuses none that fits, and says when the next may begin", () => {
  const steps = fc.array(fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 90_000 })), {
    maxLength: 300,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), steps, (allowed, waits) => {
      const { clock, limits } = counted();
      const subject = of({ user: { requestsPerMinute: allowed } });
      const begun: number[] = [];
      for (const wait of waits) {
        clock.at += wait;
        const inWindow = begun.filter((at) => at > clock.at - WINDOW_MS).length;
        const refusal = limits.check(subject);
        expect(refusal === null).toBe(inWindow < allowed);
        if (refusal === null) {
          limits.enter(subject).leave();
          begun.push(clock.at);
          continue;
        }
        const endMs = refusal.until?.getTime() ?? 0;
        const nowMs = clock.at;
        clock.at = endMs - 1;
        if (clock.at >= nowMs) expect(limits.check(subject)).not.toBeNull();
        clock.at = endMs;
        expect(limits.check(subject)).toBeNull();
      }
    }),
  );
});

it("never lets more calls run than allowed, however often each of them leaves", () => {
  const moves = fc.array(fc.tuple(fc.boolean(), fc.nat(20)), { maxLength: 200 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), moves, (allowed, all) => {
      const { limits } = counted();
      const subject = of({ flag: { concurrent: allowed }, user: { concurrent: 100 } });
      const running: Place[] = [];
      for (const [leaves, which] of all) {
        const place = running[which % Math.max(1, running.length)];
        if (leaves && place !== undefined) {
          place.leave();
          place.leave();
          running.splice(running.indexOf(place), 1);
        } else if (limits.check(subject) === null) running.push(limits.enter(subject));
        else expect(running).toHaveLength(allowed);
        expect(running.length).toBeLessThanOrEqual(allowed);
      }
    }),
  );
});

it("goes by a limit that was lowered, at once", () => {
  const { clock, limits } = counted();
  for (let call = 0; call < 5; call += 1) {
    limits.enter(of({ user: { requestsPerMinute: 10 } })).leave();
    clock.at += 1_000;
  }
  const lowered = of({ user: { requestsPerMinute: 2 } });
  expect(limits.check(lowered)?.until?.getTime()).toBe(5 * DAY_MS + 3_000 + WINDOW_MS);
});

it("counts tokens of every class on the day they are used, also those of calls begun the day before", () => {
  const { clock, limits } = counted();
  const subject = of({ user: { tokensPerDay: 100 } });
  const place = limits.enter(subject);
  place.used({ ...NO_USAGE, input: 20, cacheRead: 30, cacheWrite1h: 50 });
  expect(limits.check(subject)?.until?.getTime()).toBe(6 * DAY_MS);
  clock.at = 6 * DAY_MS;
  expect(limits.check(subject)).toBeNull();
  place.used({ ...NO_USAGE, output: 100 });
  expect(limits.check(subject)?.limit.name).toBe("tokensPerDay");
});

it("remembers a bounded number of users, and never forgets one whose call runs", () => {
  const { limits } = counted(100);
  const one = { user: { concurrent: 1, requestsPerMinute: 1 } };
  limits.enter(of(one, "runs"));
  for (let user = 0; user < 5_000; user += 1) limits.enter(of(one, `user-${user}`)).leave();
  expect(limits.size).toBeLessThanOrEqual(100);
  expect(limits.check(of({ user: { concurrent: 1 } }, "runs"))?.limit.name).toBe("concurrent");
  expect(limits.check(of(one, "user-4999"))?.limit.name).toBe("requestsPerMinute");
});

it("forgets whoever was seen longest ago first, also after hundreds have come and gone", () => {
  const { limits } = counted(3);
  const once = { user: { requestsPerMinute: 1 } };
  const see = (user: string) => limits.enter(of(once, user)).leave();
  const isKnown = (user: string) => limits.check(of(once, user)) !== null;
  for (let round = 0; round < 500; round += 1) {
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => `${name}-${round}`);
    for (const user of [a, b, c, a, d]) see(user ?? "");
    expect(
      [a, b, c, d].map((user) => isKnown(user ?? "")),
      `round ${round}`,
    ).toEqual([true, false, true, true]);
  }
});
