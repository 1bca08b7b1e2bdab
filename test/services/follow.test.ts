/** A server serves its own changes without reading them back: what it serves then is what the database holds. */
import { eq, sql } from "drizzle-orm";
import * as fc from "fast-check";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import { environments, flags, installation, revisions } from "../../src/db/schema/state.ts";
import { AppError } from "../../src/errors.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { putChain } from "../../src/services/models/chains.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { killMaster, restoreMaster } from "../../src/services/flags/master.ts";
import { putModel } from "../../src/services/models/blocks.ts";
import { DatabaseSnapshotStore } from "../../src/services/snapshots/store.ts";
import { downgradeFlag } from "../../src/services/flags/downgrade.ts";
import { killFlag, restoreFlag } from "../../src/services/flags/switches.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"] as const;
const FLAGS = ["one", "two", "three", "four", "five"] as const;
const reason = "test";

const chainOf = (...models: string[]) => ({ steps: models.map((model) => ({ model })) });
const nOf = ({ revision }: { revision: string }) => Number(revision.split(".")[1]);
const refused = (error: unknown) => {
  if (!(error instanceof AppError)) throw error;
};

describe.each(["postgres", "memory"] as const)("on %s", (kind) => {
  let runtime: Runtime;
  const warnings: string[] = [];

  beforeAll(async () => {
    const log = pino({ level: "warn" }, { write: (line) => void warnings.push(line) });
    runtime = await startTestServer({ database: kind, log });
    const ctx = adminCtx(runtime.deps);
    await putChain(ctx, "production", "main", chainOf(...MODELS));
    for (const key of FLAGS) await createFlag(ctx, "production", { key, name: key, chain: "main" });
    // A trip in force, which a restore overrides.
    await createBudget(ctx, "production", dailyBudget({ scope: { flag: "one" }, limitUsd: 1 }));
    await report(runtime.deps, [callFor(5, { flag: "one" })]);
  });
  afterAll(() => runtime.close());

  const served = () => {
    const snapshot = runtime.deps.snapshots.environmentByKey("production");
    if (snapshot === undefined) throw new Error("no snapshot");
    return snapshot;
  };
  /** What a server that has just started would serve. */
  const readAfresh = async () => {
    const { db, clock, log } = runtime.deps;
    const store = new DatabaseSnapshotStore({ db, clock, log, random: () => 0 });
    await store.refresh(served().environmentId);
    return store.current(served().environmentId);
  };

  const flag = fc.constantFrom(...FLAGS);
  const ctx = () => adminCtx(runtime.deps);
  const step = fc.oneof(
    flag.map((key) => () => killFlag(ctx(), "production", key, { reason, until: null })),
    flag.map((key) => () => restoreFlag(ctx(), "production", key, { reason, ramp: 20 })),
    fc.tuple(flag, fc.nat(2)).map(
      ([key, level]) =>
        () =>
          downgradeFlag(ctx(), "production", key, { level, reason, until: null }),
    ),
    fc.constantFrom<() => Promise<unknown>>(
      () => killMaster(ctx(), "production", { reason, until: null }),
      () => restoreMaster(ctx(), "production", { reason }),
      () => putModel(ctx(), "production", MODELS[0], { blocked: true, reason, until: null }),
      () => putModel(ctx(), "production", MODELS[0], { blocked: false, reason, until: null }),
      () => runtime.deps.snapshots.refresh(served().environmentId),
    ),
  );

  it("after every one of any changes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        for (const take of steps) {
          await take().catch(refused);
          expect(served().snapshot).toEqual((await readAfresh())?.snapshot);
        }
      }),
      { numRuns: 15 },
    );
  });

  it("after changes and reads that cross each other, in the same lineage", async () => {
    const { lineage } = served();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
        await Promise.all(steps.map((take) => take().catch(refused)));
        expect(served().snapshot).toEqual((await readAfresh())?.snapshot);
      }),
      { numRuns: 15 },
    );
    expect(served().lineage).toBe(lineage);
    expect(warnings).toEqual([]);
  });

  it("after a change before which there was one that it had not heard of", async () => {
    const { db, clock, log } = runtime.deps;
    const store = new DatabaseSnapshotStore({ db, clock, log, random: () => 0 });
    const id = served().environmentId;
    await store.refresh(id);
    await restoreFlag(ctx(), "production", "four", { reason, ramp: 40 });
    await restoreFlag(ctx(), "production", "five", { reason, ramp: 50 });
    await store.follow({ ...served().rows, patch: (rows) => rows });
    expect(store.current(id)?.snapshot).toEqual(served().snapshot);
  });

  it.each([0, 1])("after a failover that lost %i revisions and was not seen yet", async (lost) => {
    const { db } = runtime.deps;
    await restoreFlag(ctx(), "production", "four", { reason });
    await restoreFlag(ctx(), "production", "five", { reason, ramp: 60 });
    const before = served();
    // What a promoted replica is: another lineage, without the last changes.
    await db.update(installation).set({ lineageSalt: sql`${installation.lineageSalt} || 'promoted'` });
    if (lost > 0) {
      await db.delete(revisions).where(eq(revisions.revision, before.n));
      await db
        .update(environments)
        .set({ revision: before.n - lost })
        .where(eq(environments.key, "production"));
      await db.update(flags).set({ ramp: null }).where(eq(flags.key, "five"));
    }
    const { revision } = await killFlag(ctx(), "production", "four", { reason, until: null });
    expect(served().revision).toBe(revision);
    expect(served()).toMatchObject({ n: before.n + 1 - lost });
    expect(served().lineage).not.toBe(before.lineage);
    expect(served().snapshot).toEqual((await readAfresh())?.snapshot);
    expect(served().snapshot.flags["four"]?.state).toBe("off");
  });

  it("when a read that began before the change ends after it", async () => {
    const { clock, log } = runtime.deps;
    let letGo: (() => void) | null = null;
    const db = withReadsHeld(runtime.deps.db, () => new Promise((resolve) => (letGo = resolve)));
    const store = new DatabaseSnapshotStore({ db, clock, log, random: () => 0 });
    const rewound = vi.fn(async () => undefined);
    store.onRewound = rewound;
    const id = served().environmentId;
    const release = () => until("a read is held", () => letGo).then((go) => go());
    await Promise.all([store.refresh(id), release()]);
    const before = store.current(id);
    letGo = null;
    const reading = store.refresh(id);
    await until("a read is held", () => letGo);
    await putModel(ctx(), "production", MODELS[1], { blocked: true, reason, until: null });
    await store.follow({ ...served().rows, patch: () => served().rows });
    expect(store.current(id)?.n).toBe((before?.n ?? 0) + 1);
    await release();
    await reading;
    expect(store.current(id)?.snapshot).toEqual(served().snapshot);
    expect(rewound).not.toHaveBeenCalled();
    expect(warnings).toEqual([]);
  });
});

/** The database, whose prepared statements answer when `hold` resolves, with what they had read before. */
function withReadsHeld<T extends object>(target: T, hold: () => Promise<void>): T {
  return new Proxy(target, {
    get: (of, name) => {
      const value: unknown = Reflect.get(of, name, of);
      if (typeof value !== "function") return value;
      return (...given: unknown[]) => {
        const result: unknown = Reflect.apply(value, of, given);
        if (name === "execute" && result instanceof Promise) return result.then((rows) => hold().then(() => rows));
        return typeof result === "object" && result !== null ? withReadsHeld(result, hold) : result;
      };
    },
  });
}

it("a kill answers with the chain that another server has just changed", async () => {
  const a = await startTestServer();
  const b = await startTestServer({ database: a.deps.config.database });
  await putChain(adminCtx(a.deps), "production", "main", chainOf(...MODELS));
  await createFlag(adminCtx(a.deps), "production", { key: "one", name: "One", chain: "main" });
  let after = 0;
  await until("a kill came right after an edit, ten times", async () => {
    const models = after % 2 === 0 ? [MODELS[1], MODELS[2]] : [...MODELS];
    const [edited, killed] = await Promise.all([
      putChain(adminCtx(a.deps), "production", "main", chainOf(...models)),
      killFlag(adminCtx(b.deps), "production", "one", { reason: a.deps.newId(), until: null }),
    ]);
    if (nOf(killed) < nOf(edited)) return false;
    expect(killed.value.steps.map(({ model }) => model)).toEqual(models);
    after += 1;
    return after === 10;
  });
  await b.close();
  await a.close();
});
