/** How often flags were evaluated: reported beside usage, counted once, and shown where a switch that nobody asks shows. */
import { beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { MAX_CHECKED_FLAGS } from "../../sdk-client/src/wire/usage-protocol.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { expectProblem } from "../http/problem-shape.ts";
import { FakeClock } from "../support/clock.ts";
import { batchOf, callFor } from "../support/usage.ts";

const FLAGS = "/v1/environments/production/flags";
const NOW = "2026-03-02T09:00:00.000Z";

const flagShape = z.looseObject({
  evaluated: z.strictObject({ at: z.string(), on: z.number(), off: z.number() }).nullable(),
  guarded: z.strictObject({ at: z.string(), sdk: z.string().nullable() }).nullable(),
});

let harness: Harness;
let clock: FakeClock;

beforeEach(async () => {
  clock = new FakeClock(Date.parse(NOW));
  harness = await startHarness({ clock });
  await seed(harness);
  return () => harness.close();
});

const post = (body: unknown) => harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body });
const report = (counts: unknown, batch = batchOf([])) => post({ ...batch, checks: counts });
const evaluated = async (key = "support-chat") =>
  (await expectJson(harness.call("GET", `${FLAGS}/${key}`), flagShape)).evaluated;
const guarded = async () => (await expectJson(harness.call("GET", `${FLAGS}/support-chat`), flagShape)).guarded;

const limitedShape = z.looseObject({
  limited: z.strictObject({ at: z.string(), calls: z.number() }).nullable(),
});

const limited = async () => (await expectJson(harness.call("GET", `${FLAGS}/support-chat`), limitedShape)).limited;

const checks = (count: unknown) => ({ "support-chat": count });

describe("evaluations of a flag", () => {
  it("are none before a client reported any", async () => {
    expect(await evaluated()).toBeNull();
  });

  it("are counted with the usage they came with or alone, each batch once, as of the newest", async () => {
    const batch = batchOf([callFor(1, { at: clock.nowMs() })]);
    await expectStatus(report({ "support-chat": { on: 3, off: 1 } }, batch), 200);
    await expectStatus(report({ "support-chat": { on: 3, off: 1 } }, batch), 200);
    expect(await evaluated()).toEqual({ at: NOW, on: 3, off: 1 });
    clock.advance(60_000);
    await expectStatus(report({ "support-chat": { on: 0, off: 5 } }), 200);
    expect(await evaluated()).toEqual({ at: "2026-03-02T09:01:00.000Z", on: 3, off: 6 });
  });

  it("tell whether a guard asked, and of which SDK; of clients that say nothing of it their usage tells", async () => {
    expect(await guarded()).toBeNull();
    await expectStatus(report(checks({ on: 1, off: 0 })), 200);
    expect(await guarded()).toBeNull();
    await expectStatus(report(checks({ on: 1, off: 0 }), batchOf([callFor(1, { at: clock.nowMs() })])), 200);
    expect(await guarded()).toEqual({ at: NOW, sdk: null });
    clock.advance(60_000);
    await expectStatus(report(checks({ on: 0, off: 1, sdk: "1.14.0" })), 200);
    await expectStatus(report(checks({ on: 0, off: 1, sdk: "<b>" })), 200);
    await expectStatus(report(checks({ on: 1, off: 0 })), 200);
    expect(await guarded()).toEqual({ at: "2026-03-02T09:01:00.000Z", sdk: "1.14.0" });
  });

  it("tell apart what was let in and then refused by a limit, and when that was last", async () => {
    expect(await limited()).toBeNull();
    await expectStatus(report({ "support-chat": { on: 3, off: 0, limited: 2 } }), 200);
    const at = new Date(clock.nowMs()).toISOString();
    expect(await limited()).toEqual({ at, calls: 2 });
    clock.advance(60_000);
    await expectStatus(report({ "support-chat": { on: 1, off: 0 } }), 200);
    await expectStatus(report({ "support-chat": { on: 0, off: 0, limited: -1 } }), 422);
    expect(await limited()).toEqual({ at, calls: 2 });
  });

  it("of many batches at once are all counted", async () => {
    const flags = ["a", "b", "c", "d"];
    for (const key of flags) await expectStatus(harness.call("POST", FLAGS, { body: { key, name: key } }), 201);
    const reports = Array.from({ length: 40 }, (_, n) => {
      const order = n % 2 === 0 ? flags : flags.toReversed();
      return report(Object.fromEntries(order.map((key) => [key, { on: 1, off: 2 }])));
    });
    for (const response of await Promise.all(reports)) expect(response.status).toBe(200);
    for (const key of flags) expect(await evaluated(key)).toMatchObject({ on: 40, off: 80 });
  });

  it("are in the list of flags and in the answer to a kill", async () => {
    await report({ "support-chat": { on: 1, off: 0 } });
    const list = await expectJson(harness.call("GET", FLAGS), z.looseObject({ items: z.array(flagShape) }));
    const killed = await expectJson(
      harness.call("POST", `${FLAGS}/support-chat/kill`, { body: { reason: "x" } }),
      flagShape,
    );
    for (const flag of [...list.items, killed]) expect(flag.evaluated).toEqual({ at: NOW, on: 1, off: 0 });
  });

  it("of flags that do not exist, and of names that no flag can have, are taken and not kept", async () => {
    const names = { "not-there": { on: 1, off: 0 }, "Two Words": { on: 1, off: 0 }, ["x".repeat(300)]: 1 };
    await expectStatus(report({ ...names, "support-chat": { on: 1, off: 0 } }), 200);
    expect(await evaluated()).toMatchObject({ on: 1 });
    await expectStatus(harness.call("POST", FLAGS, { body: { key: "not-there", name: "Now it is" } }), 201);
    expect(await evaluated("not-there")).toBeNull();
  });

  it("go with the flag: one that is made anew under its key was never evaluated", async () => {
    await report({ "support-chat": { on: 1, off: 0 } });
    await expectStatus(harness.call("DELETE", `${FLAGS}/support-chat`), 200);
    await expectStatus(harness.call("POST", FLAGS, { body: { key: "support-chat", name: "Anew" } }), 201);
    expect(await evaluated()).toBeNull();
  });

  it.each([
    [[], "checks"],
    ["all", "checks"],
    [null, "checks"],
    [checks(1), "checks.support-chat.on"],
    [checks({ on: 1 }), "checks.support-chat.off"],
    [checks({ on: -1, off: 0 }), "checks.support-chat.on"],
    [checks({ on: 0.5, off: 0 }), "checks.support-chat.on"],
    [checks({ on: 0, off: 1e13 }), "checks.support-chat.off"],
    [Object.fromEntries(Array.from({ length: MAX_CHECKED_FLAGS + 1 }, (_, n) => [`f-${n}`, {}])), "checks"],
  ])("that are no counts refuse the batch with their path: %j", async (faulty, path) => {
    const problem = await expectProblem(report(faulty), 422);
    expect(problem.errors?.map((error) => error.path)).toEqual([path]);
    expect(await evaluated()).toBeNull();
  });
});
