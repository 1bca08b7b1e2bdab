/** What a server finds and makes when it starts. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Runtime } from "../../src/boot.ts";
import { environments } from "../../src/db/schema/state.ts";
import { change } from "../../src/change.ts";
import { freshDatabase } from "../support/database.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

describe.each(["postgres", "memory"] as const)("the first start on %s", (kind) => {
  // Not both at once: the embedded database blocks the thread while it is made, longer than a connection may take.
  let started: Runtime;
  beforeAll(async () => {
    started = await startTestServer({ database: kind });
  });
  afterAll(() => started.close());

  it("creates production and staging, each with a snapshot at revision 1", () => {
    const { deps } = started;
    const snapshots = deps.snapshots.all().toSorted((a, b) => a.key.localeCompare(b.key));
    expect(snapshots.map(({ key, n }) => ({ key, n }))).toEqual([
      { key: "production", n: 1 },
      { key: "staging", n: 1 },
    ]);
    expect(snapshots[0]?.lineage).toMatch(/^[0-9a-f]{12}$/);
  });

  it("offers a sign-in link", () => {
    expect(started.signInSecret).toMatch(/^[\w-]{32}$/);
  });

  it("serves a change as soon as it is acknowledged", async () => {
    const { deps } = started;
    const [environment] = await deps.db.select().from(environments).limit(1);
    const id = environment?.id ?? "";
    const before = deps.snapshots.current(id)?.n ?? 0;
    const { revision } = await change(adminCtx(deps), id, async ({ record }) => {
      await record({ action: "incident.resolved", target: "x" });
    });
    expect(deps.snapshots.current(id)).toMatchObject({ n: before + 1, revision, etag: `"${revision}"` });
  });
});

describe("two servers on one PostgreSQL", () => {
  it("start at once, make one installation, speak of one lineage, and follow each other's changes", async () => {
    const database = await freshDatabase("postgres");
    const [a, b] = await Promise.all([startTestServer({ database }), startTestServer({ database })]);
    const production = a.deps.snapshots.environmentByKey("production");
    expect(b.deps.snapshots.environmentByKey("production")?.revision).toBe(production?.revision);
    expect(a.deps.snapshots.all()).toHaveLength(2);
    const { revision } = await change(adminCtx(a.deps), production?.environmentId ?? "", async ({ record }) => {
      await record({ action: "incident.resolved", target: "x" });
    });
    await until("B serves the change", () => b.deps.snapshots.environmentByKey("production")?.revision === revision);
    await Promise.all([a.close(), b.close()]);
  });
});
