/** Receipts: who decides by which revision, how fast, and who was not heard of. */
import { and, eq, sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PreparedSnapshot } from "../../src/deps.ts";
import type { Runtime } from "../../src/boot.ts";
import { change } from "../../src/change.ts";
import { environments, instances, receipts, revisions } from "../../src/db/schema/state.ts";
import { listInstances, pruneInstances } from "../../src/services/instances/instances.ts";
import { getReceipts, REVISIONS_KEPT } from "../../src/services/instances/receipts.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

describe.each(["postgres", "memory"] as const)("on %s", (kind) => {
  const clock = new FakeClock(Date.now());
  let runtime: Runtime;
  beforeAll(async () => {
    runtime = await startTestServer({ database: kind, clock });
  });
  afterAll(() => runtime.close());

  const ctx = () => adminCtx(runtime.deps);
  const served = (key = "production"): PreparedSnapshot => {
    const snapshot = runtime.deps.snapshots.environmentByKey(key);
    if (snapshot === undefined) throw new Error("no snapshot");
    return snapshot;
  };
  const makeChange = (key = "production") =>
    change(ctx(), served(key).environmentId, async ({ record }) => {
      await record({ action: "incident.resolved", target: "x" });
    });
  const heard = (instance: string, n: number | null, key = "production") => {
    const { environmentId, lineage } = served(key);
    const applied = n === null ? null : { lineage, n };
    const labels = { boot: "", app: "shop", sdk: "andon/1", local: null };
    runtime.deps.instances.seen({ environmentId, tokenId: "test", instance, ...labels, applied });
  };

  it("counts an instance as applied by its receipt for the revision or a later one", async () => {
    const start = served().n;
    heard("i-1", start);
    heard("i-2", start);
    heard("i-3", null);
    await runtime.deps.instances.flush();
    const { revision } = await makeChange();
    expect(await getReceipts(ctx(), "production")).toMatchObject({
      revision,
      applied: 0,
      live: 3,
      stragglers: [{ instance: "i-1" }, { instance: "i-2" }, { instance: "i-3", revision: null }],
      p50Ms: null,
    });
    heard("i-1", start + 1);
    await makeChange();
    heard("i-2", start + 2);
    const first = await getReceipts(ctx(), "production", revision);
    expect(first).toMatchObject({ applied: 2, live: 3, stragglers: [{ instance: "i-3" }] });
    expect(first.lastMs).toBeGreaterThanOrEqual(0);
    expect(await getReceipts(ctx(), "production")).toMatchObject({ applied: 1, live: 3 });
  });

  it("never takes a receipt back: an older revision or a plain sighting changes nothing", async () => {
    const before = await getReceipts(ctx(), "production");
    heard("i-2", 1);
    heard("i-2", null);
    expect(await getReceipts(ctx(), "production")).toMatchObject({ applied: before.applied });
  });

  it("shows an instance that fell silent apart from the live ones, with its age", async () => {
    heard("quiet", 1, "staging");
    await runtime.deps.instances.flush();
    await runtime.deps.db
      .update(instances)
      .set({ lastSeen: sql`clock_timestamp() - interval '100 seconds'` })
      .where(sql`instance = 'quiet'`);
    await makeChange("staging");
    const seen = await getReceipts(ctx(), "staging");
    expect(seen).toMatchObject({ live: 0, applied: 0, stragglers: [], silent: [{ instance: "quiet" }] });
    expect(seen.silent[0]?.silentSeconds).toBeGreaterThanOrEqual(100);
    expect(await listInstances(ctx(), "staging")).toMatchObject({ live: 0, silent: 1, items: [{ state: "silent" }] });
  });

  it("does not time an instance that started after the commit", async () => {
    await makeChange();
    await until("the database's clock has moved on", async () => {
      const later = sql`clock_timestamp() > ${environments.committedAt} + interval '1 millisecond'`;
      return (await runtime.deps.db.$count(environments, and(eq(environments.key, "production"), later))) === 1;
    });
    heard("newcomer", served().n);
    expect(await getReceipts(ctx(), "production")).toMatchObject({ applied: 1, p50Ms: null });
  });

  it("answers 422 for a malformed revision, 404 for one of the future or of another lineage", async () => {
    const { lineage, n } = served();
    await expect(getReceipts(ctx(), "production", "garbage")).rejects.toMatchObject({ code: "INVALID" });
    await expect(getReceipts(ctx(), "production", `${lineage}.${n + 1}`)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(getReceipts(ctx(), "production", `other.${n}`)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("waits a moment for more receipts and writes them at once", async () => {
    await runtime.deps.instances.flush();
    heard("batched-1", 1, "staging");
    heard("batched-2", 1, "staging");
    const count = () => runtime.deps.db.$count(instances, sql`instance like 'batched-%'`);
    expect(await count()).toBe(0);
    clock.advance(100);
    await runtime.deps.instances.flush();
    expect(await count()).toBe(2);
  });

  it("keeps receipts and commit times of the newest revisions only", async () => {
    const { environmentId } = served("staging");
    const { n } = served("staging");
    for (let i = 0; i < 3; i += 1) await makeChange("staging");
    await runtime.deps.db.execute(
      sql`update environments set revision = ${n + REVISIONS_KEPT} where id = ${environmentId}`,
    );
    await pruneInstances(runtime.deps.db);
    const old = await runtime.deps.db.$count(revisions, sql`environment_id = ${environmentId} and revision <= ${n}`);
    expect(old).toBe(0);
    expect(await runtime.deps.db.$count(revisions, sql`environment_id = ${environmentId}`)).toBe(3);
    expect(await runtime.deps.db.$count(receipts, sql`environment_id = ${environmentId}`)).toBe(0);
    expect(await runtime.deps.db.$count(receipts)).toBeGreaterThan(0);
  });
});
