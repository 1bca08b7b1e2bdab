/** Leases of a `reserve` budget over HTTP: granted within the limit, waited for, given back, settled, and never lost. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BudgetDefinition, BudgetResource } from "../../src/api/budget.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { createBudget, updateBudget } from "../../src/services/budgets/budgets.ts";
import { getBudget } from "../../src/services/budgets/view.ts";
import { WallClock } from "../support/clock.ts";
import { leaseAsker, type LeaseAsker, said, USD } from "../support/lease-client.ts";
import { adminCtx, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const NINE = Date.parse("2026-03-02T09:00:00Z");

let server: TestServer;
let clock: WallClock;
let client: LeaseAsker;
let count = 0;

beforeAll(async () => {
  clock = new WallClock(NINE);
  server = await startTestServer({ clock });
  await createFlag(adminCtx(server.deps), "production", { key: "support-chat", name: "Support chat" });
  const token = await makeToken(server.deps, { kind: "sdk" });
  client = leaseAsker(server, token, () => clock.nowMs());
});
afterAll(() => server.close());
beforeEach(() => clock.moveTo(NINE));

const ctx = () => adminCtx(server.deps);
async function reserve(limitUsd: number, fields: Partial<BudgetDefinition> = {}): Promise<BudgetResource> {
  count += 1;
  const name = `Budget ${count}`;
  const flag = `flag-${count}`;
  await createFlag(ctx(), "production", { key: flag, name: flag });
  const made = dailyBudget({ name, scope: { flag }, limitUsd, enforcement: "reserve", ladder: [], ...fields });
  return (await createBudget(ctx(), "production", made)).value;
}

describe("a want", () => {
  it("is granted what fits under the limit, and one that never fits is told so at once", async () => {
    const budget = await reserve(10);
    const first = await client.ask({ wants: [{ budgetId: budget.id, nanoUsd: 6 * USD }] });
    expect(first).toMatchObject({
      leases: [{ budgetId: budget.id, grantedNanoUsd: 6 * USD, ttlMs: 30_000 }],
      denied: [],
      scarce: [],
    });
    const second = await client.ask({ instance: "app-2", wants: [{ budgetId: budget.id, nanoUsd: 6 * USD }] });
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
    const third = await client.ask({ instance: "app-3", wants: [{ budgetId: budget.id, nanoUsd: 11 * USD }] });
    expect(third.denied).toMatchObject([{ because: "tooLarge", restNanoUsd: 10 * USD }]);
  });

  it("waits for its turn, and is granted when another gives back", async () => {
    const budget = await reserve(10);
    const first = await client.ask({ wants: [{ budgetId: budget.id, nanoUsd: 10 * USD }] });
    const leaseId = first.leases[0]?.leaseId ?? "";
    const waits = client.ask({ instance: "app-2", wants: [{ budgetId: budget.id, nanoUsd: 4 * USD }], wait: 2 });
    await until("it waits", () => server.deps.leases.waiting === 1);
    const given = await client.ask({ leases: [said(leaseId, { releasedNanoUsd: 5 * USD, inFlightNanoUsd: 5 * USD })] });
    expect(given.scarce).toEqual([budget.id]);
    expect(await waits).toMatchObject({ leases: [{ grantedNanoUsd: 4 * USD }], denied: [] });
  });
});

describe("a record that names its lease", () => {
  it("moves what it spent from reserved to spent, and nothing is counted twice", async () => {
    const budget = await reserve(10);
    const { leases } = await client.ask({ wants: [{ budgetId: budget.id, nanoUsd: 10 * USD }] });
    const leaseId = leases[0]?.leaseId ?? "";
    const flag = budget.scope.flag ?? "";
    await report(server.deps, [callFor(3, { at: clock.nowMs(), flag, leases: [{ leaseId, nanoUsd: 3 * USD }] })]);
    const answer = await client.ask({
      instance: "app-2",
      wants: [{ budgetId: budget.id, nanoUsd: USD }],
      leases: [said(leaseId, { spentNanoUsd: 3 * USD, releasedNanoUsd: 7 * USD })],
    });
    expect(answer.denied).toEqual([]);
    const now = await getBudget(ctx(), "production", budget.id);
    expect(now.now.spentNanoUsd).toBe(3 * USD);
  });
});
void updateBudget;
