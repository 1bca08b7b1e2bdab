/** The pool: an answer or an error within the deadline, whatever happens to a connection; the process lives on. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { pino } from "pino";
import { databaseFault, isDatabaseAway } from "../../src/database-away.ts";
import { connect } from "../../src/db/connect.ts";
import type { Database } from "../../src/db/database.ts";
import { installation } from "../../src/db/schema/state.ts";
import type { Db } from "../../src/db/types.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let database: Database;
let other: Database;
beforeAll(async () => {
  const config = await freshDatabase("postgres");
  const log = pino({ level: "silent" });
  [database, other] = await Promise.all([connect(config, log), connect(config, log)]);
  await database.lanes.changes.insert(installation).values({ id: 1, lineageSalt: "before" });
});
afterAll(() => Promise.all([database.close(), other.close()]));

const pidOf = async (db: Db): Promise<number> => {
  const rows = await db.select({ pid: sql<number>`pg_backend_pid()` }).from(installation);
  return rows[0]?.pid ?? 0;
};
const openSockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
/** Ends the backend, and waits until this process has heard of it. */
const terminate = async (pid: number) => {
  const before = openSockets();
  await other.lanes.changes.execute(sql`select pg_terminate_backend(${pid})`);
  await until("the socket is closed", () => openSockets() < before);
};
const ids = (db: Db) => db.select({ id: installation.id }).from(installation);
const salt = async () => (await other.lanes.changes.select().from(installation))[0]?.lineageSalt;
const fence = () => database.lanes.changes.execute(sql`set default_transaction_read_only = on`);
const aSlowPage = () => outcome(database.lanes.pages.execute(sql`select pg_sleep(1.5)`).then(() => undefined));
const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(() => "fulfilled").catch((error: unknown) => error);

describe("a connection that is lost", () => {
  it("between two queries of a transaction rejects it as away, changes nothing, and the next one works", async () => {
    const failed = await outcome(
      database.lanes.changes.transaction(async (tx) => {
        await tx.update(installation).set({ lineageSalt: "lost" });
        await terminate(await pidOf(tx));
        await tx.select().from(installation);
      }),
    );
    expect(isDatabaseAway(failed)).toBe(true);
    expect(databaseFault(failed)).toMatchObject({ message: expect.stringContaining("was not made") });
    expect(await salt()).toBe("before");
    expect(await pidOf(database.lanes.changes)).toBeGreaterThan(0);
  });

  it("right before its commit is away too, not in doubt", async () => {
    const failed = await outcome(
      database.lanes.changes.transaction(async (tx) => {
        await tx.update(installation).set({ lineageSalt: "lost" });
        await terminate(await pidOf(tx));
      }),
    );
    expect(isDatabaseAway(failed)).toBe(true);
    expect(databaseFault(failed)).toMatchObject({ message: expect.stringContaining("was not made") });
    expect(await salt()).toBe("before");
  });

  it("while idle is replaced, without an error for anybody", async () => {
    await terminate(await pidOf(database.lanes.changes));
    expect(await pidOf(database.lanes.changes)).toBeGreaterThan(0);
  });
});

describe("a session that may not write any more", () => {
  it("is left for the next one, without an error for whoever changes something", async () => {
    const before = await pidOf(database.lanes.changes);
    await fence();
    await database.lanes.changes.transaction((tx) => tx.update(installation).set({ lineageSalt: "written" }));
    expect(await salt()).toBe("written");
    expect(await pidOf(database.lanes.changes)).not.toBe(before);
    await other.lanes.changes.update(installation).set({ lineageSalt: "before" });
  });

  it("is thrown away after one refusal of a single statement, and those of the other lanes with it", async () => {
    const lanes = [database.lanes.changes, database.lanes.pages];
    const before = await Promise.all(lanes.map(pidOf));
    await fence();
    const failed = await outcome(database.lanes.changes.update(installation).set({ lineageSalt: "refused" }));
    expect(databaseFault(failed)).toMatchObject({ message: expect.stringContaining("takes no changes") });
    const after = await Promise.all(lanes.map(pidOf));
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  });
});

describe("a session that has grown old", () => {
  it("is replaced when it is next asked for, within ten minutes", async () => {
    const before = await pidOf(database.lanes.changes);
    const startedMs = performance.now();
    const later = vi.spyOn(performance, "now").mockImplementation(() => startedMs + 4 * 60_000);
    expect(await pidOf(database.lanes.changes)).toBe(before);
    later.mockImplementation(() => startedMs + 10 * 60_000);
    const after = await pidOf(database.lanes.changes);
    later.mockRestore();
    expect(after).not.toBe(before);
  });
});

describe("a transaction", () => {
  it("whose failed query was caught is an error, not a silent rollback", async () => {
    const failed = await outcome(
      database.lanes.changes.transaction(async (tx) => {
        await tx.update(installation).set({ lineageSalt: "doomed" });
        await outcome(tx.insert(installation).values({ id: 1, lineageSalt: "twice" }));
      }),
    );
    expect(failed).toBeInstanceOf(Error);
    expect(isDatabaseAway(failed)).toBe(false);
    expect(await salt()).toBe("before");
  });

  it("may have an inner one that fails alone", async () => {
    await database.lanes.changes.transaction(async (tx) => {
      await tx.update(installation).set({ tokensVersion: 7 });
      await outcome(
        tx.transaction(async (inner) => {
          await inner.update(installation).set({ tokensVersion: 8 });
          throw new Error("inner");
        }),
      );
    });
    expect((await other.lanes.changes.select().from(installation))[0]?.tokensVersion).toBe(7);
  });

  it("that waits for a lock longer than its limit is away, and the connection is good afterwards", async () => {
    const held = new AbortController();
    let locked = false;
    const holder = other.lanes.changes.transaction(async (tx) => {
      await tx.select().from(installation).for("update");
      locked = true;
      await new Promise((resolve) => held.signal.addEventListener("abort", resolve));
    });
    await until("the row is locked", () => locked);
    const failed = await outcome(
      database.lanes.changes.transaction((tx) => tx.update(installation).set({ lineageSalt: "late" })),
    );
    held.abort();
    await holder;
    expect(isDatabaseAway(failed)).toBe(true);
    expect(await salt()).toBe("before");
  });
});

describe("more callers than connections", () => {
  it("all get their answer in turn", async () => {
    const pids = await Promise.all(Array.from({ length: 60 }, () => pidOf(database.lanes.changes)));
    expect(pids.every((pid) => pid > 0)).toBe(true);
    expect(new Set(pids).size).toBeLessThanOrEqual(3);
  });

  it("of pages are told that the server is busy, not that the database is away, and keep nobody else waiting", async () => {
    const pages = Array.from({ length: 9 }, aSlowPage);
    const order: string[] = [];
    for (const page of pages) void page.then(() => order.push("page"));
    for (const lane of ["changes", "sync", "usage"] as const)
      expect(await pidOf(database.lanes[lane])).toBeGreaterThan(0);
    order.push("others");
    const results = await Promise.all(pages);
    // Pages that wait for a connection end after the others had one.
    expect(order.at(-1)).toBe("page");
    expect(results.filter((result) => result === "fulfilled")).toHaveLength(6);
    const refused = results.filter((result) => result !== "fulfilled").map((error) => databaseFault(error));
    expect(refused).toHaveLength(3);
    for (const error of refused) expect(error).toMatchObject({ code: "OVERLOADED" });
  });
});

describe("a query that fails", () => {
  it.each(["its deadline", "an error in its third row"])(
    "by %s after its first rows leaves nothing in the answer of the next one",
    async (why) => {
      const { pages } = database.lanes;
      const rows = sql`generate_series(1, 5) as n`;
      const failing =
        why === "its deadline"
          ? sql`select n, pg_sleep(case when n = 3 then 10 else 0 end) from ${rows}`
          : sql`select n, 1 / (3 - n) from ${rows}`;
      // As many as there may be connections: all of them have failed, whichever is next.
      const failed = await Promise.all([1, 2, 3].map(() => outcome(pages.execute(failing))));
      expect(failed.every((error) => error instanceof Error)).toBe(true);
      const next = await Promise.all([1, 2, 3].map(() => ids(pages)));
      expect(next).toEqual([1, 2, 3].map(() => [{ id: 1 }]));
    },
  );

  it("within a transaction leaves nothing either", async () => {
    const { changes } = database.lanes;
    const failing = (db: Db) =>
      outcome(Promise.resolve(db.execute(sql`select 1 / (3 - n) from generate_series(1, 5) as n`)));
    const after = await changes.transaction(async (tx) => {
      await outcome(tx.transaction((savepoint) => failing(savepoint).then((error) => Promise.reject(error))));
      return ids(tx);
    });
    await outcome(changes.transaction((tx) => failing(tx).then((error) => Promise.reject(error))));
    expect([after, await ids(changes)]).toEqual([[{ id: 1 }], [{ id: 1 }]]);
  });
});
