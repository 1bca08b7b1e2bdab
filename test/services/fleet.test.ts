/** What a week-old fleet must not do to the proof: hide live instances, slow it, or grow without bound. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import { change } from "../../src/change.ts";
import { returnedRows } from "../../src/db/returned-rows.ts";
import { instances, instancesNotCounted } from "../../src/db/schema/state.ts";
import type { Db } from "../../src/db/types.ts";
import { fleetOf, fleetQuery } from "../../src/services/instances/fleet.ts";
import { REMEMBERED_MAX } from "../../src/domain/fleet.ts";
import { listInstances, pruneInstances } from "../../src/services/instances/instances.ts";
import { NEW_NAMES_MAX } from "../../src/services/instances/new-instances.ts";
import { getReceipts, lastReceiptsMs } from "../../src/services/instances/receipts.ts";
import { writeHeard } from "../../src/services/instances/writes.ts";
import { createToken } from "../../src/services/access/tokens.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, startTestServer } from "../support/server.ts";

let runtime: Runtime;
let environmentId: string;
beforeAll(async () => {
  runtime = await startTestServer({ clock: new FakeClock(Date.now()) });
  const served = runtime.deps.snapshots.environmentByKey("production");
  if (served === undefined) throw new Error("no snapshot");
  ({ environmentId } = served);
});
afterAll(() => runtime.close());
beforeEach(async () => {
  await runtime.deps.instances.flush();
  await runtime.deps.db.delete(instances);
});

const ctx = () => adminCtx(runtime.deps);
const served = () => {
  const { lineage = "", n = 0 } = runtime.deps.snapshots.current(environmentId) ?? {};
  return { lineage, n };
};
const makeChange = () =>
  change(ctx(), environmentId, async ({ record }) => {
    await record({ action: "incident.resolved", target: "x" });
  });
const heard = (
  instance: string,
  n: number,
  { tokenId = "test", boot = "", local = null }: { tokenId?: string; boot?: string; local?: string | null } = {},
) => {
  const labels = { app: "shop", sdk: "andon/1", local };
  const applied = { lineage: served().lineage, n };
  runtime.deps.instances.seen({ environmentId, tokenId, instance, boot, ...labels, applied });
};
/** As the tracker writes it: an instance that has run for a second and applied this. */
const heardOf = (instance: string, applied: { lineage: string; n: number }) => ({
  environmentId,
  instance,
  boot: "",
  app: null,
  sdk: null,
  local: null,
  applied,
  appliedAtMs: 1000,
  firstSeenMs: 0,
  lastSeenMs: 1000,
  stopped: false,
  disconnectedAtMs: null,
});
/** Of the table of instances, by this session until now. */
const rowsRead = async (tx: Db) => {
  const [row] = returnedRows(
    await tx.execute(sql`select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as n
      from pg_stat_xact_user_tables where relname = 'instances'`),
  );
  return Number(row?.["n"] ?? 0);
};
/** Instances of the last days, one every ten seconds. */
const remember = async (prefix: string, count: number, column: "stopped_at" | "disconnected_at", offset = "0 s") => {
  await runtime.deps.db.execute(sql`
    insert into instances (environment_id, instance, first_seen, last_seen, ${sql.raw(column)})
    select ${environmentId}, ${prefix} || lpad(n::text, 6, '0'), now() - interval '7 days', at, at
    from generate_series(1, ${count}) as n,
      lateral (select now() - ${offset}::interval - n * interval '10 seconds' as at) as moment`);
};

it("live instances are counted and named whatever is remembered under names that sort before theirs", async () => {
  await remember("api-", 1500, "stopped_at");
  const { n } = served();
  for (const name of ["api-99998", "api-99999", "zz-1", "zz-2", "zz-3"]) heard(name, n);
  await runtime.deps.instances.flush();
  await makeChange();
  heard("api-99998", n + 1);
  heard("api-99999", n + 1);
  const receipts = await getReceipts(ctx(), "production");
  expect(receipts).toMatchObject({ applied: 2, live: 5, behind: 3, stopped: 1500 });
  expect(receipts.stragglers.map(({ instance }) => instance)).toEqual(["zz-1", "zz-2", "zz-3"]);
  expect(await listInstances(ctx(), "production")).toMatchObject({ live: 5, current: 2, stopped: 1500 });
});

it("who refuses by itself is named among more live instances than are listed", async () => {
  await runtime.deps.db.execute(sql`
    insert into instances (environment_id, instance, first_seen, last_seen)
    select ${environmentId}, 'late-' || n, now(), now() from generate_series(1, 1500) as n`);
  heard("host-1", served().n, { local: "support-chat" });
  await runtime.deps.instances.flush();
  const list = await listInstances(ctx(), "production");
  expect(list).toMatchObject({ live: 1501, local: 1 });
  expect(list.items.filter(({ local }) => local !== null)).toMatchObject([{ instance: "host-1", state: "live" }]);
});

it("stopped instances are not read for the proof: 50,000 remembered ones cost it nothing", async () => {
  await remember("job-", 50_000, "stopped_at");
  for (const name of ["host-1", "host-2", "host-3"]) heard(name, served().n);
  await runtime.deps.instances.flush();
  await runtime.deps.db.execute(sql`analyze instances`);
  const query = fleetQuery({ environmentId, lineage: served().lineage, named: 20 });
  const rows = returnedRows(await runtime.deps.db.execute(sql`explain (analyze, format json) ${query}`));
  const scans = scansOf(rows[0]?.["QUERY PLAN"], "instances");
  expect(scans.length).toBeGreaterThan(0);
  const read = scans.map((scan) => Number(scan["Actual Rows"]) + Number(scan["Rows Removed by Filter"] ?? 0));
  expect(Math.max(...read)).toBeLessThanOrEqual(3);
});

it("a table that has grown since the database looked at it last is read by its keys all the same", async () => {
  const { db } = runtime.deps;
  await db.execute(sql`truncate instances`);
  await db.execute(sql`delete from pg_statistic where starelid in ('instances'::regclass, 'revisions'::regclass)`);
  await remember("lost-", 5000, "disconnected_at", "-14 hours");
  const { lineage, n } = served();
  const proof = fleetQuery({ environmentId, lineage, named: 20 });
  const explained = returnedRows(await db.execute(sql`explain (analyze, format json) ${proof}`));
  const repeated = scansOf(explained[0]?.["QUERY PLAN"], "instances").filter(
    (scan) => Number(scan["Actual Loops"]) > 1,
  );
  expect(repeated.length).toBeGreaterThan(0);
  for (const scan of repeated) {
    expect(Number(scan["Actual Rows"]) + Number(scan["Rows Removed by Filter"] ?? 0)).toBeLessThanOrEqual(3);
  }
  const batch = Array.from({ length: 50 }, (_, at) => heardOf(`new-${at}`, { lineage, n }));
  const read = await db.transaction(async (tx) => {
    const before = await rowsRead(tx);
    await writeHeard(tx, batch, 1000);
    return (await rowsRead(tx)) - before;
  });
  expect(read).toBeLessThanOrEqual(4 * batch.length);
});

it("what is remembered of stopped and of long lost instances is bounded; who may still be serving is kept", async () => {
  await remember("stopped-", 2000, "stopped_at");
  await remember("lost-", 400, "disconnected_at", "30 minutes");
  const { db } = runtime.deps;
  const like = (prefix: string) => db.$count(instances, sql`instance like ${`${prefix}%`}`);
  await pruneInstances(db);
  expect(await like("stopped-")).toBe(REMEMBERED_MAX);
  expect(await db.$count(instances, sql`instance = 'stopped-000001'`)).toBe(1);
  expect(await like("lost-")).toBe(400);
  await remember("gone-", 2000, "disconnected_at", "2 hours");
  await pruneInstances(db);
  // Those of the lost whose hour is over by now are silent too, and newer.
  const counted = await db.$count(instances, sql`disconnected_at > now() - interval '1 hour'`);
  expect((await like("lost-")) + (await like("gone-"))).toBe(counted + REMEMBERED_MAX);
});

it("how fast a revision was applied outlives the instance that applied it, and is one query for many revisions", async () => {
  const { n } = served();
  heard("short-lived", n);
  await runtime.deps.instances.flush();
  for (let at = 1; at <= 3; at += 1) {
    await makeChange();
    heard("short-lived", n + at);
    await runtime.deps.instances.flush();
  }
  await runtime.deps.db.delete(instances);
  // Each of them later than the one before.
  await runtime.deps.db.execute(sql`
    update receipts set applied_at = applied_at + (revision - ${n}) * interval '10 seconds' where revision > ${n}`);
  const lastMs = await lastReceiptsMs(ctx(), "production", [n + 1, n + 2, n + 3, n + 99]);
  expect([...lastMs.keys()].toSorted((a, b) => a - b)).toEqual([n + 1, n + 2, n + 3]);
  for (const at of [1, 2, 3]) {
    const { revision, lastMs: told } = await getReceipts(ctx(), "production", `${served().lineage}.${n + at}`);
    expect(told, revision).toBeGreaterThanOrEqual(at * 10_000);
    // The board's figure is the API's, which is in whole milliseconds.
    expect(Math.abs((lastMs.get(n + at) ?? 0) - (told ?? 0)), revision).toBeLessThanOrEqual(1);
  }
});

it("one token that makes up names is told, and pushes out nobody of another token", async () => {
  const make = (name: string) =>
    createToken(ctx(), { kind: "sdk", name, environments: ["production"], expiresAt: null });
  const [bad, good] = [await make("ci"), await make("shop")];
  const { n } = served();
  for (let at = 0; at < NEW_NAMES_MAX + 12; at += 1) heard(`made-up-${at}`, n, { tokenId: bad.token.id });
  heard("host-1", n, { tokenId: good.token.id });
  await runtime.deps.instances.flush();
  const fleet = await fleetOf(ctx(), "production");
  expect(fleet.notCounted).toEqual([{ token: "ci", because: "new names", atLeast: 12 }]);
  const receipts = await getReceipts(ctx(), "production");
  expect(receipts).toMatchObject({ live: NEW_NAMES_MAX + 1, applied: NEW_NAMES_MAX + 1, notCounted: fleet.notCounted });
  const { items } = await listInstances(ctx(), "production");
  expect(items.length).toBeLessThanOrEqual(1000);
  await runtime.deps.db.delete(instancesNotCounted);
});

/** The nodes of a plan that read the table. */
function scansOf(plan: unknown, table: string): Record<string, unknown>[] {
  if (Array.isArray(plan)) return plan.flatMap((part) => scansOf(part, table));
  if (typeof plan !== "object" || plan === null) return [];
  const node: Record<string, unknown> = { ...plan };
  const own = node["Relation Name"] === table ? [node] : [];
  return [...own, ...Object.values(node).flatMap((part) => (typeof part === "object" ? scansOf(part, table) : []))];
}
