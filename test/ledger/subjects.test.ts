/** Budgets about users and sessions: who goes over is told by verdicts, alone and at every server, and nobody else is. */
import { beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { VERDICTS_PATH } from "../../sdk-client/src/wire/verdict-protocol.ts";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { subjectWindows } from "../../src/db/schema/budgets.ts";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { pruneUsage } from "../../src/services/usage/prune.ts";
import { SubjectRoom } from "../../src/services/verdicts/room.ts";
import { countSubjects } from "../../src/services/verdicts/subjects.ts";
import { modelNames } from "../../sdk-client/src/evaluate/model-names.ts";
import { budget as domainBudget } from "../domain/money/budgets.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { expectProblem } from "../http/problem-shape.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx } from "../support/server.ts";
import { batchOf, callFor } from "../support/usage.ts";

const ENV = "/v1/environments/production";
const BUDGETS = `${ENV}/budgets`;
const HOUR_MS = 3_600_000;
const MIDNIGHT = "2026-03-03T00:00:00.000Z";

const verdictShape = z.looseObject({
  n: z.number(),
  budgetId: z.string(),
  subject: z.string(),
  action: z.string(),
  until: z.string(),
});
const verdictsShape = z.strictObject({
  n: z.number(),
  lineage: z.string(),
  full: z.boolean(),
  verdicts: z.array(verdictShape),
});
const budgetShape = z.looseObject({
  id: z.string(),
  now: z.looseObject({ subjects: z.looseObject({ top: z.array(z.looseObject({})) }).nullable() }),
});

let harness: Harness;
let clock: FakeClock;

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
  harness = await startHarness({ clock });
  await seed(harness);
  return () => harness.close();
});

const make = (scope: Record<string, unknown>, fields: Record<string, unknown> = {}) =>
  expectJson(
    harness.call("POST", BUDGETS, { body: { name: "Each", scope, limitUsd: 1, ...fields } }),
    budgetShape,
    201,
  );
const edit = (id: string, body: Record<string, unknown>) =>
  expectStatus(harness.call("PATCH", `${BUDGETS}/${id}`, { body }), 200);
const one = (id: string) => expectJson(harness.call("GET", `${BUDGETS}/${id}`), budgetShape);

async function spend(usd: number, fields: Partial<UsageRecord> = {}): Promise<z.infer<typeof verdictShape>[]> {
  const answer = await expectJson(
    harness.call("POST", "/sdk/v1/usage", {
      token: harness.tokens.sdk,
      body: batchOf([callFor(usd, { at: clock.nowMs(), ...fields })]),
    }),
    z.looseObject({ verdicts: z.array(verdictShape).optional() }),
  );
  return answer.verdicts ?? [];
}

const log = (query = "", headers: Record<string, string> = {}) =>
  expectJson(harness.call("GET", `${VERDICTS_PATH}${query}`, { token: harness.tokens.sdk, headers }), verdictsShape);
const said = (verdicts: readonly { subject: string; action: string }[]) =>
  verdicts.map(({ subject, action }) => `${action} ${subject}`);

describe("a budget of each user", () => {
  it("warns at 80 % and stops at the limit the one user who is over, until the window ends, and no flag", async () => {
    const { id } = await make({ flag: "support-chat", user: "each" });
    expect(await spend(0.7, { user: "ann" })).toEqual([]);
    expect(await spend(0.1, { user: "ann" })).toMatchObject([
      { budgetId: id, subject: "ann", action: "warn", until: MIDNIGHT },
    ]);
    expect(said(await spend(0.2, { user: "ann" }))).toEqual(["stop ann"]);
    expect(await spend(0.5, { user: "bob" })).toEqual([]);
    expect(await spend(5)).toEqual([]);
    expect(await spend(5, { user: "cid", flag: "search" })).toEqual([]);
    expect(said((await log()).verdicts)).toEqual(["stop ann"]);
    const { snapshot } = harness.deps.snapshots.environmentByKey("production") ?? {};
    expect(snapshot?.flags["support-chat"]).toMatchObject({ state: "on", level: 0 });
    expect(snapshot?.subjectBudgets).toEqual([
      { id, name: "Each", flags: ["support-chat"], user: "each", limitNanoUsd: 1e9, period: "day" },
    ]);
    expect(snapshot?.budgets).toBeUndefined();
  });

  it("tells who comes back for more that it holds still, with each report", async () => {
    await make({ user: "each" });
    expect(said(await spend(2, { user: "ann" }))).toEqual(["stop ann"]);
    expect(said(await spend(0.01, { user: "ann" }))).toEqual(["stop ann"]);
    expect((await log()).n).toBe(1);
  });

  it("lets go with a raise, and holds again when the raise has ended", async () => {
    const { id } = await make({ user: "each" });
    await spend(1.2, { user: "ann" });
    const until = new Date(clock.nowMs() + HOUR_MS).toISOString();
    await expectStatus(
      harness.call("POST", `${BUDGETS}/${id}/raise`, { body: { addUsd: 1, until, reason: "launch" } }),
      200,
    );
    expect(said((await log("?after=1")).verdicts)).toEqual(["lift ann"]);
    clock.advance(HOUR_MS);
    await endDueBudgets(adminCtx(harness.deps), environmentId());
    expect(said((await log("?after=2")).verdicts)).toEqual(["stop ann"]);
  });

  it("lets go while it is paused and goes on counting; an edit of its limit looks at all again", async () => {
    const { id } = await make({ user: "each" });
    await spend(1.2, { user: "ann" });
    await edit(id, { paused: true });
    expect(said((await log("?after=1")).verdicts)).toEqual(["lift ann"]);
    expect(await spend(2, { user: "bob" })).toEqual([]);
    await edit(id, { paused: false });
    expect(said((await log("?after=2")).verdicts)).toEqual(["stop ann", "stop bob"]);
    await edit(id, { limitUsd: 1.5 });
    expect(said((await log("?after=4")).verdicts)).toEqual(["warn ann"]);
    await edit(id, { scope: { session: "each" } });
    expect(said((await log("?after=5")).verdicts)).toEqual(["lift ann", "lift bob"]);
  });

  it("shows who spent most and who is stopped, and lets one go on by a person, who is audited", async () => {
    const { id } = await make(
      { user: "each" },
      {
        ladder: [
          { atPercent: 100, action: "kill" },
          { atPercent: 200, action: "kill" },
        ],
      },
    );
    await spend(1.2, { user: "ann" });
    await spend(0.9, { user: "bob" });
    await spend(0.1, { user: "cid" });
    expect((await one(id)).now).toMatchObject({
      spentNanoUsd: 1.2e9,
      subjects: {
        counted: 3,
        stopped: 1,
        warned: 1,
        top: [
          { user: "ann", spentNanoUsd: 1.2e9, action: "stop" },
          { user: "bob", action: "warn" },
          { user: "cid", action: null },
        ],
      },
    });
    const lift = (body: Record<string, unknown>, token = harness.tokens.operator) =>
      harness.call("POST", `${BUDGETS}/${id}/lift`, { token, body: { reason: "a customer calls", ...body } });
    await expectProblem(lift({ user: "ann" }, harness.tokens.viewer), 403);
    await expectProblem(lift({}), 422);
    await expectProblem(lift({ user: "nobody" }), 409);
    await expectStatus(lift({ user: "ann" }), 200);
    expect(said((await log("?after=2")).verdicts)).toEqual(["lift ann"]);
    expect((await one(id)).now.subjects?.top[0]).toMatchObject({ user: "ann", action: null, liftedBy: "test op" });
    expect(await spend(0.2, { user: "ann" })).toEqual([]);
    // A higher step still acts.
    expect(said(await spend(1, { user: "ann" }))).toEqual(["stop ann"]);
    const audit = await expectJson(
      harness.call("GET", `${ENV}/audit`),
      z.looseObject({ items: z.array(z.looseObject({ action: z.string() })) }),
    );
    expect(audit.items[0]).toMatchObject({
      action: "budget.lifted",
      target: { key: "Each" },
      reason: "a customer calls",
    });
  });
});

describe("the scope of a budget", () => {
  it.each([
    ["one user", { user: "ann" }, ["stop ann"]],
    ["each session", { session: "each" }, ["stop s1"]],
    ["one session of one user", { user: "ann", session: "s1" }, ["stop 3:anns1"]],
    ["each session of each user", { user: "each", session: "each" }, ["stop 3:anns1"]],
    ["each user of a flag", { flag: "support-chat", user: "each" }, ["stop ann"]],
    ["each user of a model", { model: "claude-opus-5-5", user: "each" }, ["stop ann"]],
    ["another user", { user: "bob" }, []],
    ["each user of another model", { model: "claude-haiku-4-5", user: "each" }, []],
  ])("may be %s", async (_, scope, verdicts) => {
    await make(scope);
    expect(said(await spend(1, { user: "ann", session: "s1" }))).toEqual(verdicts);
  });

  it("refuses in words what users and sessions cannot have yet", async () => {
    const body = { name: "Each", scope: { user: "each" }, limitUsd: 1 };
    await expectProblem(harness.call("POST", BUDGETS, { body: { ...body, enforcement: "reserve" } }), 422);
    await expectProblem(harness.call("POST", BUDGETS, { body: { ...body, onReset: "stay" } }), 422);
  });
});

describe("the log of verdicts", () => {
  it("waits for news, and one buffer tells all who wait; who knows too little or too much is given all that holds", async () => {
    await make({ user: "each" });
    await spend(1, { user: "ann" });
    const { n, lineage } = await log();
    expect(await log(`?after=${n}&lineage=${lineage}`)).toMatchObject({ n, full: false, verdicts: [] });
    const waiting = [1, 2].map(() => log(`?after=${n}&lineage=${lineage}`, { prefer: "wait=25" }));
    clock.advance(1_000);
    await spend(1, { user: "bob" });
    for (const news of await Promise.all(waiting)) {
      expect(news).toMatchObject({ n: n + 1, full: false });
      expect(said(news.verdicts)).toEqual(["stop bob"]);
    }
    for (const query of ["?after=99", "?after=1&lineage=another", ""]) {
      const all = await log(query);
      expect(all.full).toBe(true);
      expect(said(all.verdicts)).toEqual(["stop ann", "stop bob"]);
    }
    await expectProblem(harness.call("GET", `${VERDICTS_PATH}?after=-1`, { token: harness.tokens.sdk }), 422);
  });

  it("is dated by the clock that its verdicts end by", async () => {
    const { headers } = await harness.call("GET", VERDICTS_PATH, { token: harness.tokens.sdk });
    expect(headers.get("date")).toBe(new Date(clock.nowMs()).toUTCString());
  });

  it("forgets windows and verdicts that are over", async () => {
    await make({ user: "each" });
    await spend(1, { user: "ann" });
    clock.advance(16 * HOUR_MS);
    await pruneUsage(harness.deps);
    expect(await harness.deps.db.select().from(subjectWindows)).toEqual([]);
    expect((await log()).verdicts).toEqual([]);
    expect(await spend(0.5, { user: "ann" })).toEqual([]);
  });
});

describe("more users than a budget has room for", () => {
  it("have no window of their own: those it knows are counted on, the others trip nobody", async () => {
    const { id } = await make({ user: "each" });
    const room = new SubjectRoom(3);
    const budgets = [domainBudget({ id, scope: { user: "each" }, limitNanoUsd: 1e9 })];
    const count = (users: string[]) =>
      harness.deps.db.transaction(async (tx) => {
        const records = users.map((user) => ({
          record: callFor(1, { user }),
          instance: "i",
          tokenId: "t",
          atMs: clock.nowMs(),
          costNanoUsd: 1e9,
          priced: true,
        }));
        const nameOf = modelNames();
        const counted = await countSubjects(tx, environmentId(), {
          records,
          budgets,
          nameOf,
          nowMs: clock.nowMs(),
          room,
          isLogged: () => true,
        });
        return said([...counted.appended, ...counted.standing]);
      });
    expect(await count(["a", "b", "c"])).toEqual(["stop a", "stop b", "stop c"]);
    expect(await count(["c", "d", "e"])).toEqual(["stop c"]);
    expect(await harness.deps.db.$count(subjectWindows)).toBe(3);
  });
});

function environmentId(): string {
  return harness.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
}
