/** The ledger's law: any order, duplication and batching of the same records gives the same ledger and the same trips. */
import { asc, eq } from "drizzle-orm";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import type { Runtime } from "../../src/boot.ts";
import type { Ctx } from "../../src/deps.ts";
import { budgets, budgetWindows, trips } from "../../src/db/schema/budgets.ts";
import { incidents } from "../../src/db/schema/incidents.ts";
import { usageMinutes } from "../../src/db/schema/usage.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { putChain } from "../../src/services/models/chains.ts";
import { createEnvironment } from "../../src/services/access/environments.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { batchOf, dailyBudget } from "../support/usage.ts";

const NOW = Date.parse("2026-03-02T12:00:00Z");
const RUNS = 20;
const FLAGS = ["support-chat", "search"] as const;
const MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5", "claude-unknown-1"] as const;

const tokens = fc.integer({ min: 0, max: 400_000 });
const record = fc.record({
  id: fc.uuid(),
  at: fc.integer({ min: NOW - 20 * 3_600_000, max: NOW + 30_000 }),
  flag: fc.constantFrom(...FLAGS),
  model: fc.constantFrom(...MODELS),
  requestedModel: fc.constant(MODELS[0]),
  outcome: fc.constantFrom("ok", "error", "aborted", "refused"),
  exact: fc.boolean(),
  usage: fc.record({
    input: tokens,
    output: tokens,
    cacheWrite5m: tokens,
    cacheWrite1h: tokens,
    cacheRead: tokens,
    webSearches: fc.nat(3),
  }),
  attempt: fc.integer({ min: 1, max: 3 }),
  latencyMs: fc.integer({ min: 1, max: 400_000 }),
});
const records = fc.uniqueArray(record, { selector: ({ id }) => id, minLength: 1, maxLength: 40 });
/** How the same records are sent: a sort key each, the sizes of the batches, and how often each batch is sent. */
const plan = fc.record({
  keys: fc.array(fc.integer(), { minLength: 40, maxLength: 40 }),
  sizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 40, maxLength: 40 }),
  copies: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 40, maxLength: 40 }),
  servers: fc.array(fc.nat(1), { minLength: 40, maxLength: 40 }),
});

let servers: [Runtime, Runtime];
let ctx: Ctx;
let environmentsMade = 0;

beforeAll(async () => {
  const clock = new FakeClock(NOW);
  const a = await startTestServer({ clock });
  servers = [a, await startTestServer({ clock, database: a.deps.config.database })];
  ctx = adminCtx(a.deps);
});
afterAll(async () => {
  for (const server of servers.toReversed()) await server.close();
});

describe("the same records", () => {
  it("give the same ledger and the same trips in any order, duplication and batching, on two servers", async () => {
    await fc.assert(
      fc.asyncProperty(records, plan, async (sent, { keys, sizes, copies, servers: pick }) => {
        const oneByOne = await freshEnvironment();
        for (const one of sent) await submit(0, oneByOne, [one], 1);
        const shuffled = await freshEnvironment();
        const order = sent.map((one, index) => ({ one, key: keys[index] ?? 0 })).toSorted((x, y) => x.key - y.key);
        const batches: Promise<void>[] = [];
        for (let from = 0, index = 0; from < order.length; index += 1) {
          const size = sizes[index] ?? 1;
          const batch = order.slice(from, from + size).map(({ one }) => one);
          batches.push(submit(pick[index] ?? 0, shuffled, batch, copies[index] ?? 1));
          from += size;
        }
        await Promise.all(batches);
        expect(await stateOf(shuffled)).toEqual(await stateOf(oneByOne));
      }),
      { numRuns: RUNS },
    );
  }, 120_000);
});

/** Sends a batch `copies` times at once, alternating between the servers. */
async function submit(first: number, environmentId: string, sent: UsageRecord[], copies: number): Promise<void> {
  const batch = { ...batchOf(sent), rejected: [] };
  const answers = await Promise.all(
    Array.from({ length: copies }, (_, copy) =>
      ((first + copy) % 2 === 0 ? servers[0] : servers[1]).deps.ledger.submit(environmentId, {
        ...batch,
        tokenId: "app",
      }),
    ),
  );
  expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
}

async function freshEnvironment(): Promise<string> {
  environmentsMade += 1;
  const key = `order-${String(environmentsMade)}`;
  await createEnvironment(ctx, { key, name: key });
  await putChain(ctx, key, "chain", { steps: MODELS.slice(0, 3).map((model) => ({ model })) });
  for (const flag of FLAGS) await createFlag(ctx, key, { key: flag, name: flag, chain: "chain" });
  await createBudget(ctx, key, dailyBudget({ name: "Of the flag", limitUsd: 20 }));
  await createBudget(
    ctx,
    key,
    dailyBudget({ name: "Of all", scope: {}, limitUsd: 60, ladder: [{ atPercent: 100, action: "kill" }] }),
  );
  await createBudget(
    ctx,
    key,
    dailyBudget({ name: "Of Opus", scope: { model: MODELS[0] }, limitUsd: 10, period: "hour", enforcement: "track" }),
  );
  return servers[0].deps.snapshots.environmentByKey(key)?.environmentId ?? "";
}

async function stateOf(environmentId: string) {
  const { db } = servers[0].deps;
  const minutes = await db
    .select()
    .from(usageMinutes)
    .where(eq(usageMinutes.environmentId, environmentId))
    .orderBy(asc(usageMinutes.minute), asc(usageMinutes.flag), asc(usageMinutes.model));
  const windows = await db
    .select({
      budget: budgets.name,
      startsAt: budgetWindows.startsAt,
      spent: budgetWindows.spentNanoUsd,
      exact: budgetWindows.exactNanoUsd,
    })
    .from(budgetWindows)
    .innerJoin(budgets, eq(budgets.id, budgetWindows.budgetId))
    .where(eq(budgets.environmentId, environmentId))
    .orderBy(asc(budgets.name), asc(budgetWindows.startsAt));
  const tripped = await db
    .select({ budget: budgets.name, flag: trips.flag, step: trips.step, ended: trips.endedAt })
    .from(trips)
    .innerJoin(budgets, eq(budgets.id, trips.budgetId))
    .where(eq(trips.environmentId, environmentId))
    .orderBy(asc(budgets.name), asc(trips.flag), asc(trips.step));
  const opened = await db
    .select({ budget: budgets.name, steps: incidents.steps })
    .from(incidents)
    .innerJoin(budgets, eq(budgets.id, incidents.budgetId))
    .where(eq(incidents.environmentId, environmentId))
    .orderBy(asc(budgets.name), asc(incidents.cause));
  return {
    minutes: minutes.map(({ environmentId: _own, ...sums }) => sums),
    windows,
    trips: tripped,
    incidents: opened
      .map(
        ({ budget, steps }) => `${budget}: ${steps.map(({ atPercent, action }) => `${action}@${atPercent}`).join(" ")}`,
      )
      .toSorted(),
  };
}
