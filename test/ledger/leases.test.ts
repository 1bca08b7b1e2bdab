/** Leases of `reserve` budgets over HTTP, at two servers of one PostgreSQL: granted within the limit, and never lost. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { GrantedLease } from "../../sdk-client/src/wire/lease-protocol.ts";
import type { BudgetDefinition, BudgetResource } from "../../src/api/budget.ts";
import { returnedRows } from "../../src/db/returned-rows.ts";
import { createBudget, deleteBudget, updateBudget } from "../../src/services/budgets/budgets.ts";
import { expireLeases, pruneLeases } from "../../src/services/budgets/lease-expiry.ts";
import { listLeases } from "../../src/services/budgets/lease-view.ts";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { raiseBudget } from "../../src/services/budgets/raise.ts";
import { getBudget } from "../../src/services/budgets/view.ts";
import { createFlag, getFlag } from "../../src/services/flags/flags.ts";
import { WallClock } from "../support/clock.ts";
import { freshPostgres } from "../support/database.ts";
import { jsonOf } from "../support/json.ts";
import { leaseAsker, type LeaseAsker, said, USD } from "../support/lease-client.ts";
import { dice, StormClient } from "../support/lease-storm.ts";
import { adminCtx, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const NINE = Date.parse("2026-03-02T09:00:00Z");
const MIDNIGHT = Date.parse("2026-03-03T00:00:00Z");
const ENV = "/v1/environments/production";

let a: TestServer;
let b: TestServer;
let clock: WallClock;
let atA: LeaseAsker;
let atB: LeaseAsker;
let count = 0;

beforeAll(async () => {
  clock = new WallClock(NINE);
  const database = { kind: "postgres", url: await freshPostgres() } as const;
  a = await startTestServer({ database, clock });
  b = await startTestServer({ database, clock });
  const token = await makeToken(a.deps, { kind: "sdk" });
  await until("B knows the token", () => b.deps.tokens.find(token));
  atA = leaseAsker(a, token, () => clock.nowMs());
  atB = leaseAsker(b, token, () => clock.nowMs());
});
afterAll(() => Promise.all([a.close(), b.close()]));
beforeEach(() => clock.moveTo(NINE));

const ctx = () => adminCtx(a.deps);
const environmentId = () => a.deps.snapshots.environmentByKey("production")?.environmentId ?? "";

/** A budget of a flag of its own. */
async function reserve(limitUsd: number, fields: Partial<BudgetDefinition> = {}): Promise<BudgetResource> {
  count += 1;
  const name = `reserved-${count}`;
  await createFlag(ctx(), "production", { key: name, name });
  const made = dailyBudget({ name, scope: { flag: name }, limitUsd, enforcement: "reserve", ladder: [], ...fields });
  return (await createBudget(ctx(), "production", made)).value;
}

/** Has a client be granted so much. */
async function granted(budget: BudgetResource, usd: number, instance = "app-1"): Promise<GrantedLease> {
  const { leases } = await atA.ask({ instance, wants: [{ budgetId: budget.id, nanoUsd: usd * USD }] });
  const [lease] = leases;
  if (lease === undefined) throw new Error("nothing was granted");
  return lease;
}

/** Reports a call that spent so much of a lease. */
const settle = (budget: BudgetResource, leaseId: string, usd: number, server = a) => {
  const flag = budget.scope.flag ?? "";
  return report(server.deps, [
    callFor(usd, { at: clock.nowMs(), flag, leases: [{ leaseId, nanoUsd: Math.round(usd * USD) }] }),
  ]);
};

/** What the current window of the budget has, in USD. */
async function figures(budget: BudgetResource) {
  const { now } = await getBudget(ctx(), "production", budget.id);
  return {
    spent: Number(now.spentNanoUsd) / USD,
    held: (now.leases?.heldNanoUsd ?? 0) / USD,
    indeterminate: (now.leases?.indeterminateNanoUsd ?? 0) / USD,
  };
}

describe("a want", () => {
  it("is granted what fits; what others hold is `held`, and what never fits is `tooLarge`, never `spent`", async () => {
    const budget = await reserve(10);
    expect(await granted(budget, 6)).toMatchObject({ budgetId: budget.id, grantedNanoUsd: 6 * USD, ttlMs: 30_000 });
    const second = await atB.ask({ instance: "app-2", wants: [{ budgetId: budget.id, nanoUsd: 6 * USD }] });
    expect(second.denied).toEqual([
      {
        budgetId: budget.id,
        because: "held",
        until: "2026-03-03T00:00:00.000Z",
        restNanoUsd: 10 * USD,
        heldNanoUsd: 6 * USD,
        holders: 1,
      },
    ]);
    const third = await atB.ask({ instance: "app-3", wants: [{ budgetId: budget.id, nanoUsd: 11 * USD }] });
    expect(third.denied).toMatchObject([{ because: "tooLarge", restNanoUsd: 10 * USD }]);
  });

  it("is told `spent`, with until when, once nothing is left for any call", async () => {
    const budget = await reserve(5);
    await settle(budget, (await granted(budget, 5)).leaseId, 5);
    const { denied } = await atB.ask({ wants: [{ budgetId: budget.id, nanoUsd: 1 }], wait: 2 });
    expect(denied).toMatchObject([{ because: "spent", restNanoUsd: 0, until: "2026-03-03T00:00:00.000Z" }]);
  });

  it("waits at one server for what is given back at the other", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    const waits = atB.ask({ instance: "app-2", wants: [{ budgetId: budget.id, nanoUsd: 4 * USD }], wait: 2 });
    await until("it waits", () => b.deps.leases.waiting === 1);
    expect((await getBudget(ctx(), "production", budget.id)).now.leases?.waiting).toBe(1);
    const given = await atA.ask({ leases: [said(leaseId, { releasedNanoUsd: 5 * USD, inFlightNanoUsd: 5 * USD })] });
    expect(given.scarce).toEqual([budget.id]);
    expect(await waits).toMatchObject({ leases: [{ grantedNanoUsd: 4 * USD }], denied: [] });
  });

  it("that was answered is not granted twice when it is sent again, to whichever server", async () => {
    const budget = await reserve(10);
    const ask = { requestId: "sent-again", wants: [{ budgetId: budget.id, nanoUsd: 4 * USD }] };
    const answers = [await atA.ask(ask), await atB.ask(ask), ...(await Promise.all([atA.ask(ask), atB.ask(ask)]))];
    expect(new Set(answers.map(({ leases }) => leases[0]?.leaseId)).size).toBe(1);
    expect(answers.map(({ leases }) => leases[0]?.grantedNanoUsd)).toEqual(answers.map(() => 4 * USD));
    expect(await figures(budget)).toMatchObject({ held: 4 });
  });

  it("dies with its connection: the dead are granted nothing", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    const dead = new AbortController();
    const wants = [{ budgetId: budget.id, nanoUsd: 8 * USD }];
    const lost = atB.ask({ instance: "app-2", wants, wait: 2, signal: dead.signal }).catch(() => null);
    await until("it waits", () => b.deps.leases.waiting === 1);
    dead.abort();
    await lost;
    await until("it is gone", () => b.deps.leases.waiting === 0);
    await atA.ask({ leases: [said(leaseId, { releasedNanoUsd: 10 * USD })] });
    expect(await figures(budget)).toMatchObject({ held: 0 });
  });

  it("is older or younger by its client's own clock, however wrong that is", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    const behind = leaseAsker(a, await sdkToken(), () => clock.nowMs() - 3_600_000);
    const wants = (ms: number) => [{ budgetId: budget.id, nanoUsd: 6 * USD, sinceMs: ms }];
    const young = atA.ask({ instance: "young", wants: wants(clock.nowMs() - 100), wait: 2 });
    const old = behind.ask({ instance: "old", wants: wants(clock.nowMs() - 3_600_000 - 900), wait: 2 });
    await until("both wait", () => a.deps.leases.waiting === 2);
    await atA.ask({ leases: [said(leaseId, { releasedNanoUsd: 6 * USD, inFlightNanoUsd: 4 * USD })] });
    expect((await old).leases).toHaveLength(1);
    expect((await young).denied).toMatchObject([{ because: "held" }]);
  });

  it("calls back idle money of a client that asks for nothing", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    const idle = atA.ask({ leases: [said(leaseId, { inFlightNanoUsd: 2 * USD })], wait: 2 });
    const waits = atB.ask({ instance: "app-2", wants: [{ budgetId: budget.id, nanoUsd: 8 * USD }], wait: 2 });
    expect((await idle).scarce).toEqual([budget.id]);
    await atA.ask({ leases: [said(leaseId, { inFlightNanoUsd: 2 * USD, releasedNanoUsd: 8 * USD })] });
    expect(await waits).toMatchObject({ leases: [{ grantedNanoUsd: 8 * USD }] });
  });

  it("ahead of any call gets what can be spared, and never waits", async () => {
    const budget = await reserve(100);
    const ahead = { budgetId: budget.id, nanoUsd: 90 * USD, atLeastNanoUsd: 0 };
    const { leases } = await atA.ask({ wants: [ahead], wait: 2 });
    expect(leases).toMatchObject([{ grantedNanoUsd: 25 * USD }]);
  });

  it("is refused with the path of each fault, and is nobody's without a token", async () => {
    const response = await atA.send({ wants: [{ budgetId: "x", nanoUsd: -1 }] });
    expect(response.status).toBe(422);
    expect(await jsonOf(response)).toMatchObject({ errors: [{ path: "wants.0.nanoUsd" }] });
    expect((await leaseAsker(a, "andon_sdk_nobody", () => 0).send({})).status).toBe(401);
  });
});

const sdkToken = () => makeToken(a.deps, { kind: "sdk" });

describe("what goes wrong elsewhere", () => {
  it("check, then increment, in parallel calls at two servers: what passes fits under the limit", async () => {
    const budget = await reserve(10);
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        (n % 2 === 0 ? atA : atB).ask({ instance: `app-${n}`, wants: [{ budgetId: budget.id, nanoUsd: 0.7 * USD }] }),
      ),
    );
    expect(answers.filter(({ leases }) => leases.length > 0)).toHaveLength(14);
    expect(await figures(budget)).toMatchObject({ held: 9.8 });
  });

  it("a cancelled call leaks no reservation: what it held is free as soon as its client says so", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    await atA.ask({ leases: [said(leaseId, { inFlightNanoUsd: 10 * USD })] });
    await atA.ask({ leases: [said(leaseId, { releasedNanoUsd: 10 * USD })] });
    expect(await figures(budget)).toEqual({ spent: 0, held: 0, indeterminate: 0 });
    expect(await granted(budget, 10, "app-2")).toMatchObject({ grantedNanoUsd: 10 * USD });
  });

  it("a crashed client is no phantom refusal for good: all it held is shown as indeterminate, and a person returns it", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 8);
    await atA.ask({ leases: [said(leaseId, { inFlightNanoUsd: USD })] });
    clock.moveTo(NINE + 31_000);
    await expireLeases(ctx(), environmentId());
    expect(await figures(budget)).toEqual({ spent: 0, held: 0, indeterminate: 8 });
    const { denied } = await atB.ask({ instance: "app-2", wants: [{ budgetId: budget.id, nanoUsd: 3 * USD }] });
    expect(denied).toMatchObject([{ because: "tooLarge", restNanoUsd: 2 * USD, heldNanoUsd: 0 }]);
    const giveBack = (body: unknown) => a.api("POST", `${ENV}/budgets/${budget.id}/return`, body);
    expect((await giveBack({})).status).toBe(422);
    expect((await giveBack({ reason: "the console shows no such call" })).status).toBe(200);
    expect(await figures(budget)).toEqual({ spent: 0, held: 0, indeterminate: 0 });
    expect((await giveBack({ reason: "again" })).status).toBe(409);
    const audit = await jsonOf<{ items: unknown[] }>(await a.api("GET", `${ENV}/audit`));
    expect(audit.items[0]).toMatchObject({ action: "budget.returned", reason: "the console shows no such call" });
  });

  it("a late report of a client that was cut off returns what it did not spend, and counts what it did", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 8);
    clock.moveTo(NINE + 31_000);
    await expireLeases(ctx(), environmentId());
    const back = await atB.ask({ leases: [said(leaseId, { spentNanoUsd: 3 * USD, releasedNanoUsd: 5 * USD })] });
    expect(back.leases).toMatchObject([{ leaseId, ttlMs: 0 }]);
    expect(await figures(budget)).toEqual({ spent: 0, held: 0, indeterminate: 3 });
    await settle(budget, leaseId, 3, b);
    expect(await figures(budget)).toEqual({ spent: 3, held: 0, indeterminate: 0 });
    expect((await atA.ask({ leases: [said(leaseId)] })).leases).toEqual([]);
  });

  it("a record that is sent twice settles once, and what it spent was reserved until that moment", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    await atA.ask({ leases: [said(leaseId, { spentNanoUsd: 3 * USD, releasedNanoUsd: 7 * USD })] });
    expect(await figures(budget)).toEqual({ spent: 0, held: 3, indeterminate: 0 });
    const flag = budget.scope.flag ?? "";
    const record = callFor(3, { at: clock.nowMs(), flag, leases: [{ leaseId, nanoUsd: 3 * USD }] });
    const batch = { batchId: "sent-twice", instance: "app-1", tokenId: "app", records: [record], rejected: [] };
    await Promise.all([a, b, a].map(({ deps }) => deps.ledger.submit(environmentId(), batch)));
    expect(await figures(budget)).toEqual({ spent: 3, held: 0, indeterminate: 0 });
  });

  it("worst cases fill the budget at 1 % spent: nobody is told that it is spent, and nothing trips", async () => {
    const budget = await reserve(10, { ladder: [{ atPercent: 80, action: "kill" }] });
    const { leaseId } = await granted(budget, 10);
    await settle(budget, leaseId, 0.1);
    const { denied } = await atB.ask({ instance: "app-2", wants: [{ budgetId: budget.id, nanoUsd: 5 * USD }] });
    expect(denied).toMatchObject([{ because: "held", heldNanoUsd: 9.9 * USD, holders: 1 }]);
    expect((await getFlag(ctx(), "production", budget.scope.flag ?? "")).effective).toMatchObject({ state: "on" });
  });

  it("a client's word gives back nothing that runs, was spent, or is another environment's", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    const lie = { spentNanoUsd: 2 * USD, inFlightNanoUsd: 5 * USD, releasedNanoUsd: 10 * USD };
    await atA.ask({ leases: [said(leaseId, lie)] });
    expect(await figures(budget)).toMatchObject({ held: 7 });
    const staging = leaseAsker(a, await makeToken(a.deps, { kind: "sdk", environments: ["staging"] }), () => NINE);
    const strange = await staging.ask({
      leases: [said(leaseId, { releasedNanoUsd: 10 * USD })],
      wants: [{ budgetId: budget.id, nanoUsd: 1 }],
    });
    expect(strange).toEqual({ leases: [], denied: [], scarce: [] });
    expect(await figures(budget)).toMatchObject({ held: 7 });
  });

  it("the end of a window: the new one has all of its limit, and a call that runs on counts where its money was set aside", async () => {
    const budget = await reserve(10);
    clock.moveTo(MIDNIGHT - 10_000);
    const { leaseId, ttlMs } = await granted(budget, 10);
    expect(ttlMs).toBe(10_000);
    clock.moveTo(MIDNIGHT + 1_000);
    const after = await atB.ask({
      leases: [said(leaseId, { inFlightNanoUsd: 10 * USD })],
      wants: [{ budgetId: budget.id, nanoUsd: 10 * USD }],
    });
    expect(after.leases.map((lease) => [lease.leaseId === leaseId, lease.ttlMs])).toEqual(
      expect.arrayContaining([
        [true, 0],
        [false, 30_000],
      ]),
    );
    await settle(budget, leaseId, 9);
    expect(await figures(budget)).toEqual({ spent: 0, held: 10, indeterminate: 0 });
    const rows = returnedRows(
      await a.deps.db.execute(
        sql`select spent_nano_usd::text as spent, reserved_nano_usd::text as held from budget_windows where budget_id = ${budget.id} order by starts_at`,
      ),
    );
    expect(rows).toEqual([
      { spent: String(9 * USD), held: String(USD) },
      { spent: "0", held: String(10 * USD) },
    ]);
  });

  it("a message batch whose lease is of the window before counts there, and so does all that its results take back", async () => {
    const budget = await reserve(10);
    clock.moveTo(MIDNIGHT - 10_000);
    const { leaseId } = await granted(budget, 10);
    clock.moveTo(MIDNIGHT + 1_000);
    const flag = budget.scope.flag ?? "";
    const of = { at: clock.nowMs(), flag, batch: true, messageBatch: `${flag}-batch`, once: true };
    const leases = [{ leaseId, nanoUsd: 4 * USD }];
    // At half the price.
    await report(a.deps, [callFor(8, { ...of, id: `${flag}-estimate`, exact: false, part: "batch", leases })]);
    const windows = async () =>
      returnedRows(
        await a.deps.db.execute(
          sql`select (spent_nano_usd / ${USD})::float8 as spent, (exact_nano_usd / ${USD})::float8 as exact, (reserved_nano_usd / ${USD})::float8 as held from budget_windows where budget_id = ${budget.id} and (spent_nano_usd, exact_nano_usd, reserved_nano_usd) <> (0, 0, 0)`,
        ),
      );
    expect(await windows()).toEqual([{ spent: 4, exact: 0, held: 6 }]);
    await report(a.deps, [callFor(1, { ...of, id: `${flag}-result` })]);
    expect(await windows()).toEqual([{ spent: 4, exact: 0.5, held: 6 }]);
    await a.deps.ledger.submit(environmentId(), {
      batchId: `${flag}-news`,
      instance: "app-1",
      tokenId: "app",
      records: [],
      rejected: [],
      messageBatches: [{ id: `${flag}-batch`, state: "settled" }],
    });
    expect(await windows()).toEqual([{ spent: 0.5, exact: 0.5, held: 6 }]);
  });
});

describe("a budget with leases out", () => {
  it("whose limit is lowered grants nothing until enough is settled; a raise lets those who wait go on", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    await updateBudget(ctx(), "production", budget.id, { limitUsd: 4 });
    await atA.ask({ leases: [said(leaseId, { inFlightNanoUsd: 4 * USD, releasedNanoUsd: 6 * USD })] });
    const waits = atB.ask({ instance: "app-2", wants: [{ budgetId: budget.id, nanoUsd: 3 * USD }], wait: 2 });
    await until("it waits", () => b.deps.leases.waiting === 1);
    const raised = { addUsd: 3, until: new Date(NINE + 3_600_000), reason: "launch" };
    await raiseBudget(ctx(), "production", budget.id, raised);
    expect((await waits).leases).toMatchObject([{ grantedNanoUsd: 3 * USD }]);
  });

  it("whose limit is lowered calls back what is idle, and is bounded by what is held until then", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 10);
    const idle = atB.ask({ leases: [said(leaseId, { inFlightNanoUsd: 2 * USD })], wait: 20 });
    await until("its client is heard", async () => {
      const { items } = await listLeases(ctx(), "production", budget.id);
      return items[0]?.inFlightNanoUsd === 2 * USD;
    });
    const { value } = await updateBudget(ctx(), "production", budget.id, { limitUsd: 1 });
    expect(value.now).toMatchObject({ bound: { nanoUsd: 10 * USD }, overshootBoundNanoUsd: 9 * USD });
    expect((await idle).scarce).toEqual([budget.id]);
    await atB.ask({ leases: [said(leaseId, { inFlightNanoUsd: 2 * USD, releasedNanoUsd: 8 * USD })] });
    const { now } = await getBudget(ctx(), "production", budget.id);
    expect(now).toMatchObject({ bound: { nanoUsd: 2 * USD }, overshootBoundNanoUsd: USD });
  });

  it("whose raise ends by itself calls back at every server what is idle beyond the limit", async () => {
    const budget = await reserve(1);
    const raised = { addUsd: 9, until: new Date(NINE + 3_600_000), reason: "launch" };
    await raiseBudget(ctx(), "production", budget.id, raised);
    const { leaseId } = await granted(budget, 10);
    const idle = atB.ask({ leases: [said(leaseId, { inFlightNanoUsd: 2 * USD })], wait: 20 });
    await until("its client is heard", async () => {
      const { items } = await listLeases(ctx(), "production", budget.id);
      return items[0]?.inFlightNanoUsd === 2 * USD;
    });
    clock.moveTo(NINE + 3_600_001);
    await endDueBudgets(ctx(), environmentId());
    expect((await idle).scarce).toEqual([budget.id]);
  });

  it("that lets calls be sent while Andon is away says for how many clients its bound is unknown, and one that denies does not", async () => {
    const [allows, denies] = [await reserve(10), await reserve(10, { onUnavailable: "deny" })];
    const leases = [await granted(allows, 2, "cut-off"), await granted(denies, 2, "cut-off")];
    const bounds = async () => {
      const now = await Promise.all([allows, denies].map(({ id }) => getBudget(ctx(), "production", id)));
      return now.map(({ now: { bound } }) => bound.notReporting);
    };
    expect(await bounds()).toEqual([0, 0]);
    clock.moveTo(NINE + 16_000);
    expect(await bounds(), "not renewed").toEqual([1, 0]);
    clock.moveTo(NINE + 31_000);
    await expireLeases(ctx(), environmentId());
    expect(await bounds(), "indeterminate").toEqual([1, 0]);
    await atB.ask({
      instance: "cut-off",
      leases: leases.map(({ leaseId }) => said(leaseId, { releasedNanoUsd: 2 * USD })),
    });
    expect(await bounds(), "heard of again").toEqual([0, 0]);
  });

  it("that counts something else recalls them, and holds what they hold until it is settled", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 6);
    await updateBudget(ctx(), "production", budget.id, { period: "week" });
    expect(await figures(budget)).toMatchObject({ held: 6 });
    const { leases } = await atA.ask({
      leases: [said(leaseId, { inFlightNanoUsd: 2 * USD, releasedNanoUsd: 4 * USD })],
    });
    expect(leases).toMatchObject([{ leaseId, ttlMs: 0 }]);
    expect(await figures(budget)).toMatchObject({ held: 2 });
    await settle(budget, leaseId, 2);
    expect(await figures(budget)).toEqual({ spent: 2, held: 0, indeterminate: 0 });
  });

  it("that only trips from now on recalls them, and answers no want", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 6);
    await updateBudget(ctx(), "production", budget.id, { enforcement: "trip" });
    const answer = await atA.ask({ leases: [said(leaseId)], wants: [{ budgetId: budget.id, nanoUsd: 1 }] });
    expect(answer).toMatchObject({ leases: [{ leaseId, ttlMs: 0 }], denied: [] });
  });

  it("that is deleted forgets them; what they spent counts where it always does", async () => {
    const budget = await reserve(10);
    const { leaseId } = await granted(budget, 6);
    await deleteBudget(ctx(), "production", budget.id);
    expect(await settle(budget, leaseId, 1)).toMatchObject({ accepted: 1 });
    expect((await atA.ask({ leases: [said(leaseId)] })).leases).toEqual([]);
  });

  it("is in the snapshot as clients need it", async () => {
    const budget = await reserve(10, { onUnavailable: "deny", reserveWaitMs: 15_000, minTokens: 1_000 });
    const { budgets } = a.deps.snapshots.environmentByKey("production")?.snapshot ?? {};
    expect(budgets?.find(({ id }) => id === budget.id)).toMatchObject({
      flag: budget.scope.flag,
      enforcement: "reserve",
      onUnavailable: "deny",
      reserveWaitMs: 15_000,
      minTokens: 1_000,
    });
  });

  it("that is used up lets nobody restore its flag: 409, raise the limit first", async () => {
    const budget = await reserve(10, { ladder: [{ atPercent: 100, action: "kill" }] });
    await settle(budget, (await granted(budget, 10)).leaseId, 10);
    const flag = `${ENV}/flags/${budget.scope.flag}`;
    const refused = await a.api("POST", `${flag}/restore`, { reason: "customers wait" });
    expect([refused.status, (await jsonOf<{ detail: string }>(refused)).detail]).toEqual([
      409,
      expect.stringContaining("Raise the limit first"),
    ]);
    const raised = { addUsd: 5, until: new Date(NINE + 3_600_000), reason: "launch" };
    await raiseBudget(ctx(), "production", budget.id, raised);
    expect((await getFlag(ctx(), "production", budget.scope.flag ?? "")).effective).toMatchObject({ state: "on" });
  });
});

describe("what nobody asks for any more", () => {
  it("is removed: requests after an hour, wants that are given up, leases three days after their end; what counts stays", async () => {
    const budget = await reserve(10);
    const ended = await granted(budget, 1, "ended");
    const silent = await granted(budget, 2, "silent");
    const kept = await granted(budget, 3, "kept");
    const waits = atB.ask({ instance: "waits", wants: [{ budgetId: budget.id, nanoUsd: 9 * USD }], wait: 1 });
    await atA.ask({ instance: "ended", leases: [said(ended.leaseId, { releasedNanoUsd: USD })] });
    await updateBudget(ctx(), "production", budget.id, { enforcement: "trip" });
    await atA.ask({ instance: "ended", leases: [said(ended.leaseId, { releasedNanoUsd: USD })] });
    await waits;
    const left = async () => {
      const rows = await Promise.all(
        [sql`leases`, sql`lease_requests`, sql`lease_wants`].map((table) =>
          a.deps.db.execute(sql`select count(*)::integer as n from ${table} where budget_id = ${budget.id}`),
        ),
      );
      return rows.map((row) => returnedRows(row)[0]?.["n"]);
    };
    const HOUR_MS = 3_600_000;
    const prune = async (afterMs: number) => {
      clock.moveTo(NINE + afterMs);
      await pruneLeases(a.deps.db, clock.nowMs());
      return left();
    };
    expect(await prune(60_000)).toEqual([3, 3, 0]);
    await expireLeases(ctx(), environmentId());
    expect(await prune(HOUR_MS + 60_000), "requests are not sent again").toEqual([3, 0, 0]);
    expect(await prune(71 * HOUR_MS), "a late report can still name them").toEqual([3, 0, 0]);
    const late = [silent, kept].map(({ leaseId }) => said(leaseId));
    expect((await atA.ask({ instance: "late", leases: late })).leases).toHaveLength(2);
    expect(await prune(75 * HOUR_MS), "the one that ended is over for three days").toEqual([2, 0, 0]);
    expect(await prune(15 * 24 * HOUR_MS), "their window is over for as long").toEqual([0, 0, 0]);
  });
});

describe("a storm of clients at two servers, some of which die", () => {
  it("never holds more than the limit, bills no more, and leaves nothing held but what the dead held", async () => {
    const budget = await reserve(1);
    const flag = budget.scope.flag ?? "";
    const random = dice(20_261_128);
    let told = 0;
    const clients = Array.from(
      { length: 8 },
      (_, n) =>
        new StormClient(`storm-${n}`, {
          budgetId: budget.id,
          servers: [atA, atB],
          calls: 7,
          worstNanoUsd: 0.12 * USD,
          random,
          diesAt: n % 4 === 0 ? 1 : 0,
          report: async (leaseId, nanoUsd, times) => {
            told += 1;
            // Output at 20 USD a million: whole tokens, and the rest as exact as the price allows.
            const tokens = Math.floor(nanoUsd / 20_000);
            const record = callFor(tokens / 50_000, { at: clock.nowMs(), flag, leases: [{ leaseId, nanoUsd }] });
            const batch = {
              batchId: `storm-${told}`,
              instance: "storm",
              tokenId: "app",
              records: [record],
              rejected: [],
            };
            const { deps } = told % 2 === 0 ? a : b;
            for (let sent = 0; sent < times; sent += 1) await deps.ledger.submit(environmentId(), batch);
          },
        }),
    );
    const watch = { on: true, looks: 0, most: 0, least: 0 };
    const watching = (async () => {
      while (watch.on) {
        const [row] = returnedRows(
          await a.deps.db.execute(
            sql`select (spent_nano_usd + reserved_nano_usd + indeterminate_nano_usd)::text as all, least(reserved_nano_usd, indeterminate_nano_usd)::text as low from budget_windows where budget_id = ${budget.id}`,
          ),
        );
        watch.looks += 1;
        watch.most = Math.max(watch.most, Number(row?.["all"] ?? 0));
        watch.least = Math.min(watch.least, Number(row?.["low"] ?? 0));
      }
    })();
    await Promise.all(clients.map((client) => client.run()));
    watch.on = false;
    await watching;
    clock.moveTo(NINE + 31_000);
    await expireLeases(ctx(), environmentId());
    const dead = clients.filter(({ isDead }) => isDead);
    const sum = (of: (client: StormClient) => number, list = clients) => list.reduce((all, one) => all + of(one), 0);
    const now = await figures(budget);
    expect(watch.most).toBeLessThanOrEqual(USD);
    expect(watch.least).toBeGreaterThanOrEqual(0);
    expect(watch.looks).toBeGreaterThan(10);
    expect(dead.length).toBeGreaterThan(0);
    expect(sum(({ bill }) => bill)).toBeLessThanOrEqual(USD);
    expect(now.held).toBe(0);
    expect(now.indeterminate * USD).toBeCloseTo(
      sum(({ held }) => held, dead),
      -1,
    );
    expect(sum(({ answered }) => answered)).toBeGreaterThan(10);
    const reported = sum((client) => client.reported);
    expect(now.spent * USD).toBeGreaterThan(reported - 20_000 * told);
    expect(now.spent * USD).toBeLessThanOrEqual(reported);
  });

  it("starves nobody: a call of half the budget has its turn among many small ones", async () => {
    const budget = await reserve(1);
    const stop = { now: false };
    const small = Array.from({ length: 8 }, async (_, n) => {
      const server = n % 2 === 0 ? atA : atB;
      let lease = null as { id: string; given: number } | null;
      while (!stop.now) {
        const leases = lease === null ? [] : [said(lease.id, { releasedNanoUsd: lease.given })];
        const wants = [{ budgetId: budget.id, nanoUsd: 0.14 * USD }];
        const answer = await server.ask({ instance: `small-${n}`, wants, leases, wait: 1 });
        const [got] = answer.leases;
        lease = got === undefined ? null : { id: got.leaseId, given: got.grantedNanoUsd };
      }
    });
    await until("the small ones hold it", async () => (await figures(budget)).held > 0.5);
    const sinceMs = NINE - 1;
    const wants = [{ budgetId: budget.id, nanoUsd: 0.5 * USD, sinceMs }];
    const answer = await until("it has its turn", async () => {
      const { leases } = await atB.ask({ instance: "large", wants, wait: 2 });
      return leases.length > 0 && leases;
    });
    expect(answer).toMatchObject([{ grantedNanoUsd: 0.5 * USD }]);
    stop.now = true;
    await Promise.all(small);
  });
});
