/** Budgets over HTTP: defaults, bounds with their paths, edits, raises, and what a restore does to a trip. */
import { beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { FakeClock } from "../support/clock.ts";
import { batchOf, callFor } from "../support/usage.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const ENV = "/v1/environments/production";
const BUDGETS = `${ENV}/budgets`;
const FLAG = `${ENV}/flags/support-chat`;
const HOUR_MS = 3_600_000;

const budgetShape = z.looseObject({
  id: z.string(),
  limitUsd: z.number(),
  version: z.number(),
  ladder: z.array(z.looseObject({ atPercent: z.number() })),
  now: z.looseObject({
    spentNanoUsd: z.number(),
    limitNanoUsd: z.number(),
    trips: z.array(z.looseObject({ overriddenBy: z.string().nullable() })),
  }),
});
const flagShape = z.looseObject({ effective: z.looseObject({ state: z.string(), model: z.string().nullable() }) });

let harness: Harness;
let clock: FakeClock;

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
  harness = await startHarness({ clock });
  await seed(harness);
  return () => harness.close();
});

const make = (fields: Record<string, unknown> = {}) =>
  expectJson(
    harness.call("POST", BUDGETS, {
      body: { name: "Daily", scope: { flag: "support-chat" }, limitUsd: 100, ...fields },
    }),
    budgetShape,
    201,
  );
const spend = (usd: number) =>
  expectStatus(
    harness.call("POST", "/sdk/v1/usage", {
      token: harness.tokens.sdk,
      body: batchOf([callFor(usd, { at: clock.nowMs() })]),
    }),
    200,
  );
const effective = async () => (await expectJson(harness.call("GET", FLAG), flagShape)).effective;
const one = (id: string) => expectJson(harness.call("GET", `${BUDGETS}/${id}`), budgetShape);

const steps = (...ladder: unknown[]) => ({ ladder });
const raise = (id: string, fields: Record<string, unknown> = {}) =>
  harness.call("POST", `${BUDGETS}/${id}/raise`, {
    token: harness.tokens.operator,
    body: {
      addUsd: 100,
      until: new Date(clock.nowMs() + HOUR_MS).toISOString(),
      reason: "launch day",
      ...fields,
    },
  });
const restore = () =>
  expectStatus(
    harness.call("POST", `${FLAG}/restore`, { token: harness.tokens.operator, body: { reason: "customers wait" } }),
    200,
  );

describe("a new budget", () => {
  it("is a day in UTC that steps down at 80 % and turns off at its limit, unless it says otherwise", async () => {
    const response = await expectStatus(
      harness.call("POST", BUDGETS, { body: { name: "Everything", scope: {}, limitUsd: 12.5 } }),
      201,
    );
    const body = budgetShape.parse(await response.json());
    expect(body).toMatchObject({
      scope: {},
      limitUsd: 12.5,
      period: "day",
      timezone: "UTC",
      enforcement: "trip",
      onUnavailable: "allow",
      onReset: "restore",
      ladder: [
        { atPercent: 80, action: "downgrade" },
        { atPercent: 100, action: "kill" },
      ],
      now: { windowStartsAt: "2026-03-02T00:00:00.000Z", windowEndsAt: "2026-03-03T00:00:00.000Z", spentNanoUsd: 0 },
    });
    expect(response.headers.get("location")).toBe(`${BUDGETS}/${body.id}`);
    expect(response.headers.get("etag")).toBe('"1"');
  });

  it("has a name of its own, at its making and at an edit", async () => {
    await make();
    const other = await make({ name: "Other" });
    await expectProblem(harness.call("POST", BUDGETS, { body: { name: "Daily", scope: {}, limitUsd: 1 } }), 409);
    await expectProblem(harness.call("PATCH", `${BUDGETS}/${other.id}`, { body: { name: "Daily" } }), 409);
  });

  const REFUSED = [
    [{ limitUsd: 0 }, "limitUsd"],
    [{ limitUsd: -5 }, "limitUsd"],
    [{ limitUsd: 1_000_001 }, "limitUsd"],
    [{ limitUsd: "100" }, "limitUsd"],
    [{ name: " " }, "name"],
    [{ period: "year" }, "period"],
    [{ timezone: "Mars/Olympus" }, "timezone"],
    [{ timezone: "+05:45" }, "timezone"],
    [{ enforcement: "hope" }, "enforcement"],
    [{ enforcement: "track", onUnavailable: "deny" }, "onUnavailable"],
    [{ onReset: "explode" }, "onReset"],
    [{ scope: { user: "" } }, "scope.user"],
    [{ scope: { tag: "Not A Tag" } }, "scope.tag"],
    [{ scope: { flag: "support-chat", tag: "team" } }, "scope.tag"],
    [{ paused: "yes" }, "paused"],
    [{ scope: { flag: "Upper" } }, "scope.flag"],
    [{ scope: { flags: ["a"] } }, "scope.flags"],
    [{ scope: null }, "scope"],
    [steps({ atPercent: 0, action: "kill" }), "ladder.0.atPercent"],
    [steps({ atPercent: 1_001, action: "kill" }), "ladder.0.atPercent"],
    [steps({ atPercent: 50.5, action: "kill" }), "ladder.0.atPercent"],
    [steps({ atPercent: 50, action: "page" }), "ladder.0.action"],
    [steps({ atPercent: 50, action: "downgrade", level: 0 }), "ladder.0.level"],
    [steps({ atPercent: 50, action: "downgrade", level: 16 }), "ladder.0.level"],
    [steps({ atPercent: 50, action: "kill", level: 1 }), "ladder.0.level"],
    [steps({ atPercent: 50, action: "alert" }, { atPercent: 50, action: "alert" }), "ladder.1"],
    [steps(...Array.from({ length: 11 }, (_, i) => ({ atPercent: i + 1, action: "alert" }))), "ladder"],
    [{ limit: 5 }, "limit"],
  ] as const;
  it("is refused with the path of each fault", async () => {
    for (const [fields, path] of REFUSED) {
      const body = { name: "Daily", scope: {}, limitUsd: 100, ...fields };
      const problem = await expectProblem(harness.call("POST", BUDGETS, { body }), 422);
      expect({ fields, paths: problem.errors?.map((error) => error.path) }).toEqual({
        fields,
        paths: expect.arrayContaining([path]),
      });
    }
  });

  it("is about a flag that exists", async () => {
    const body = { name: "Daily", scope: { flag: "nowhere" }, limitUsd: 100 };
    const problem = await harness.call("POST", BUDGETS, { body });
    expect([404, 422]).toContain(problem.status);
  });
});

const ofModel = (model: string) => ({ name: model, scope: { model }, limitUsd: 100 });
const faultOf = async (answer: Promise<Response>) => (await expectProblem(answer, 422)).errors?.[0];

describe("a budget of a model", () => {
  it("that no price, chain or call knows is refused, with what may have been meant", async () => {
    expect(await faultOf(harness.call("POST", BUDGETS, { body: ofModel("claude-opsu-5-5") }))).toEqual({
      path: "scope.model",
      message: 'no price, chain or call knows the model "claude-opsu-5-5"; did you mean "claude-opus-5-5"?',
    });
    expect((await faultOf(harness.call("POST", BUDGETS, { body: ofModel("house-model") })))?.message).toBe(
      'no price, chain or call knows the model "house-model"; give it a price or a chain first',
    );
  });

  it("may be of any spelling, of a model of a chain, or of one that was called", async () => {
    const body = { steps: [{ model: "chain-model" }] };
    await expectStatus(harness.call("PUT", "/v1/environments/production/chains/own", { body }), 201);
    const record = callFor(1, { at: clock.nowMs(), model: "called-model" });
    await expectStatus(
      harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batchOf([record]) }),
      200,
    );
    for (const model of [
      "claude-haiku-4-5",
      "claude-haiku-4-5-20251001",
      "anthropic/claude-haiku-4.5",
      "us.anthropic.claude-haiku-4-5-20251001-v1:0",
      "chain-model",
      "called-model",
    ]) {
      await expectStatus(harness.call("POST", BUDGETS, { body: ofModel(model) }), 201);
    }
  });

  it("is edited with a model that nothing knows any more, but not moved to one", async () => {
    const chain = "/v1/environments/production/chains/own";
    await expectStatus(harness.call("PUT", chain, { body: { steps: [{ model: "chain-model" }] } }), 201);
    const { id } = await make({ scope: { model: "chain-model" } });
    await expectStatus(harness.call("DELETE", chain), 200);
    await expectStatus(harness.call("PATCH", `${BUDGETS}/${id}`, { body: { limitUsd: 5 } }), 200);
    const moved = harness.call("PATCH", `${BUDGETS}/${id}`, { body: { scope: { model: "chain-modell" } } });
    expect((await faultOf(moved))?.path).toBe("scope.model");
  });
});

describe("editing a budget", () => {
  it("changes what is given and leaves the rest, and is refused when it lost a race", async () => {
    const { id } = await make({ timezone: "Europe/Berlin" });
    const edited = await expectJson(
      harness.call("PATCH", `${BUDGETS}/${id}`, { body: { limitUsd: 250 }, headers: { "if-match": '"1"' } }),
      budgetShape,
    );
    expect(edited).toMatchObject({ limitUsd: 250, timezone: "Europe/Berlin", name: "Daily", version: 2 });
    expect(edited.ladder).toHaveLength(2);
    await expectProblem(
      harness.call("PATCH", `${BUDGETS}/${id}`, { body: { limitUsd: 1 }, headers: { "if-match": '"1"' } }),
      412,
    );
    await expectProblem(harness.call("DELETE", `${BUDGETS}/${id}`, { headers: { "if-match": '"1"' } }), 412);
  });

  it("takes its trips along when it is deleted", async () => {
    const { id } = await make();
    await spend(100);
    expect(await effective()).toMatchObject({ state: "off" });
    await expectStatus(harness.call("DELETE", `${BUDGETS}/${id}`), 200);
    expect(await effective()).toMatchObject({ state: "on" });
    await expectProblem(harness.call("GET", `${BUDGETS}/${id}`), 404);
  });

  it("is not possible from another environment", async () => {
    const { id } = await make();
    await expectProblem(harness.call("GET", `/v1/environments/staging/budgets/${id}`), 404);
    await expectProblem(
      harness.call("PATCH", `/v1/environments/staging/budgets/${id}`, { body: { limitUsd: 1 } }),
      404,
    );
    await expectProblem(harness.call("DELETE", `/v1/environments/staging/budgets/${id}`), 404);
  });
});

describe("a raise", () => {
  it("is for operators, lets the flag go at once and is shown with who and why", async () => {
    const { id } = await make();
    await spend(100);
    const raised = await expectJson(raise(id), budgetShape);
    expect(raised).toMatchObject({
      limitUsd: 100,
      raises: [{ addUsd: 100, reason: "launch day", by: "test op" }],
      now: { limitNanoUsd: 200_000_000_000, trips: [] },
    });
    expect(await effective()).toMatchObject({ state: "on", model: "claude-opus-5-5" });
  });

  const FAULTY = [
    [{ addUsd: 0 }, "addUsd"],
    [{ addUsd: -1 }, "addUsd"],
    [{ addUsd: 2_000_000 }, "addUsd"],
    [{ reason: "" }, "reason"],
    [{ until: "tomorrow" }, "until"],
    [{ until: "2026-03-02T08:59:59Z" }, "until"],
    [{ until: "2026-04-02T09:00:01Z" }, "until"],
  ] as const;
  it("is refused with the path of its fault", async () => {
    const { id } = await make();
    for (const [fields, path] of FAULTY) {
      const problem = await expectProblem(raise(id, fields), 422);
      expect({ fields, paths: problem.errors?.map((error) => error.path) }).toEqual({ fields, paths: [path] });
    }
  });
});

describe("deleting a tripped flag", () => {
  it("is refused, saying why, until it is restored: clients would serve an unknown flag again", async () => {
    await make();
    await spend(100);
    const problem = await expectProblem(harness.call("DELETE", FLAG), 409);
    expect(problem.detail).toContain('"support-chat" is off');
    expect(problem.detail).toContain("Restore it first");
    expect(await effective()).toMatchObject({ state: "off", reason: "TRIPPED" });
    await restore();
    await expectStatus(harness.call("DELETE", FLAG), 200);
    await expectProblem(harness.call("GET", FLAG), 404);
  });
});

describe("restoring a tripped flag", () => {
  it("overrides the steps already crossed until the window ends, and says who did", async () => {
    const { id } = await make();
    await spend(85);
    expect(await effective()).toMatchObject({ state: "downgraded", model: "claude-sonnet-5-5" });
    await restore();
    expect(await effective()).toMatchObject({ state: "on", model: "claude-opus-5-5" });
    expect((await one(id)).now.trips).toMatchObject([{ overriddenBy: "test op" }]);
    await spend(5);
    expect(await effective()).toMatchObject({ state: "on", model: "claude-opus-5-5" });
    // A higher step still acts.
    await spend(10);
    expect(await effective()).toMatchObject({ state: "off" });
  });

  it("lifts a kill by hand together with the trip", async () => {
    await make();
    await spend(100);
    await expectStatus(
      harness.call("POST", `${FLAG}/kill`, { token: harness.tokens.kill, body: { reason: "x" } }),
      200,
    );
    await restore();
    expect(await effective()).toMatchObject({ state: "on" });
  });

  it("is for operators: what a kill token downgrades by hand never lowers the level of a trip", async () => {
    await make({ ladder: [{ atPercent: 80, action: "downgrade", level: 2 }] });
    await spend(85);
    const body = { reason: "x", level: 1 };
    await expectProblem(
      harness.call("POST", `${FLAG}/restore`, { token: harness.tokens.kill, body: { reason: "x" } }),
      403,
    );
    await expectStatus(harness.call("POST", `${FLAG}/downgrade`, { token: harness.tokens.kill, body }), 200);
    expect(await effective()).toMatchObject({ model: "claude-haiku-4-5" });
  });
});

describe("a paused budget", () => {
  it("goes on counting and does nothing, lets go of what it held, and acts again when it goes on", async () => {
    const { id } = await make();
    await spend(100);
    expect(await effective()).toMatchObject({ state: "off" });
    await expectStatus(harness.call("PATCH", `${BUDGETS}/${id}`, { body: { paused: true } }), 200);
    expect(await effective()).toMatchObject({ state: "on", model: "claude-opus-5-5" });
    await spend(100);
    expect(await effective()).toMatchObject({ state: "on", model: "claude-opus-5-5" });
    expect(await one(id)).toMatchObject({ paused: true, now: { spentNanoUsd: 200e9, trips: [] } });
    // Nothing is told of a limit that nobody holds it to.
    const { bound, limitReachedAt } = (await one(id)).now;
    expect({ bound, limitReachedAt }).toMatchObject({
      bound: { kind: "none", startCreditsNanoUsd: 0 },
      limitReachedAt: null,
    });
    await expectStatus(harness.call("PATCH", `${BUDGETS}/${id}`, { body: { paused: false } }), 200);
    expect(await effective()).toMatchObject({ state: "off" });
  });
});

const tag = (tags: string[]) => expectStatus(harness.call("PATCH", FLAG, { body: { tags } }), 200);

describe("a budget of a tag", () => {
  const untagged = { key: "search", name: "Search" };

  it("counts and turns off the flags that have it, from when they have it, until they lose it", async () => {
    await expectStatus(harness.call("POST", `${ENV}/flags`, { body: { ...untagged, tags: ["team-a"] } }), 201);
    const { id } = await make({ scope: { tag: "team-a" } });
    await expectStatus(harness.call("PATCH", `${ENV}/flags/search`, { body: { tags: [] } }), 200);
    await spend(70);
    await tag(["team-b", "team-a", "team-a"]);
    expect(await expectJson(harness.call("GET", FLAG), z.looseObject({ tags: z.array(z.string()) }))).toMatchObject({
      tags: ["team-a", "team-b"],
    });
    expect((await one(id)).now.spentNanoUsd).toBe(0);
    await spend(100);
    expect((await one(id)).now.spentNanoUsd).toBe(100e9);
    expect(await effective()).toMatchObject({ state: "off" });
    const search = await expectJson(harness.call("GET", `${ENV}/flags/search`), flagShape);
    expect(search.effective).toMatchObject({ state: "on" });
    await tag([]);
    expect(await effective()).toMatchObject({ state: "on" });
    await tag(["team-a"]);
    expect(await effective()).toMatchObject({ state: "off" });
  });

  it("is not made of a tag that no flag has, and stays what it is when the last one loses it", async () => {
    await tag(["team-checkout"]);
    const put = (scope: object) => harness.call("POST", BUDGETS, { body: { name: "Of a tag", limitUsd: 10, scope } });
    const slip = await expectProblem(put({ tag: "team-chekout" }), 422);
    expect(slip.errors).toEqual([
      { path: "scope.tag", message: 'no flag has the tag "team-chekout"; did you mean "team-checkout"?' },
    ]);
    const strange = await expectProblem(put({ tag: "search" }), 422);
    expect(strange.errors?.[0]?.message).toBe('no flag has the tag "search"; give it to a flag first');
    const { id } = await make({ scope: { tag: "team-checkout" } });
    await tag([]);
    await expectStatus(harness.call("PATCH", `${BUDGETS}/${id}`, { body: { limitUsd: 5 } }), 200);
    const moved = { body: { scope: { tag: "team-chekout" } } };
    await expectProblem(harness.call("PATCH", `${BUDGETS}/${id}`, moved), 422);
  });

  it("of a flag that was deleted can still be edited", async () => {
    await expectStatus(harness.call("POST", `${ENV}/flags`, { body: untagged }), 201);
    const { id } = await make({ scope: { flag: "search" } });
    await expectStatus(harness.call("DELETE", `${ENV}/flags/search`), 200);
    await expectStatus(harness.call("PATCH", `${BUDGETS}/${id}`, { body: { paused: true } }), 200);
  });
});
