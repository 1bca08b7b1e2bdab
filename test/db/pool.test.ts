/** The pool: an answer or an error within the deadline, whatever happens to a connection; the process lives on. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pino } from "pino";
import { databaseAway, isDatabaseAway } from "../../src/db/away.ts";
import { connect } from "../../src/db/connect.ts";
import type { Database } from "../../src/db/database.ts";
import { installation } from "../../src/db/schema.ts";
import type { Db } from "../../src/db/types.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let database: Database;
let other: Database;
beforeAll(async () => {
  const config = await freshDatabase("postgres");
  const log = pino({ level: "silent" });
  [database, other] = await Promise.all([connect(config, log), connect(config, log)]);
  await database.db.insert(installation).values({ id: 1, lineageSalt: "before" });
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
  await other.db.execute(sql`select pg_terminate_backend(${pid})`);
  await until("the socket is closed", () => openSockets() < before);
};
const salt = async () => (await other.db.select().from(installation))[0]?.lineageSalt;
const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(() => "fulfilled").catch((error: unknown) => error);

describe("a connection that is lost", () => {
  it("between two queries of a transaction rejects it as away, changes nothing, and the next one works", async () => {
    const failed = await outcome(
      database.db.transaction(async (tx) => {
        await tx.update(installation).set({ lineageSalt: "lost" });
        await terminate(await pidOf(tx));
        await tx.select().from(installation);
      }),
    );
    expect(isDatabaseAway(failed)).toBe(true);
    expect(databaseAway(failed).message).toContain("was not made");
    expect(await salt()).toBe("before");
    expect(await pidOf(database.db)).toBeGreaterThan(0);
  });

  it("right before its commit is away too, not in doubt", async () => {
    const failed = await outcome(
      database.db.transaction(async (tx) => {
        await tx.update(installation).set({ lineageSalt: "lost" });
        await terminate(await pidOf(tx));
      }),
    );
    expect(isDatabaseAway(failed)).toBe(true);
    expect(databaseAway(failed).message).toContain("was not made");
    expect(await salt()).toBe("before");
  });

  it("while idle is replaced, without an error for anybody", async () => {
    await terminate(await pidOf(database.db));
    expect(await pidOf(database.db)).toBeGreaterThan(0);
  });
});

describe("a transaction", () => {
  it("whose failed query was caught is an error, not a silent rollback", async () => {
    const failed = await outcome(
      database.db.transaction(async (tx) => {
        await tx.update(installation).set({ lineageSalt: "doomed" });
        await outcome(tx.insert(installation).values({ id: 1, lineageSalt: "twice" }));
      }),
    );
    expect(failed).toBeInstanceOf(Error);
    expect(isDatabaseAway(failed)).toBe(false);
    expect(await salt()).toBe("before");
  });

  it("may have an inner one that fails alone", async () => {
    await database.db.transaction(async (tx) => {
      await tx.update(installation).set({ tokensVersion: 7 });
      await outcome(
        tx.transaction(async (inner) => {
          await inner.update(installation).set({ tokensVersion: 8 });
          throw new Error("inner");
        }),
      );
    });
    expect((await other.db.select().from(installation))[0]?.tokensVersion).toBe(7);
  });

  it("that waits for a lock longer than its limit is away, and the connection is good afterwards", async () => {
    const held = new AbortController();
    let locked = false;
    const holder = other.db.transaction(async (tx) => {
      await tx.select().from(installation).for("update");
      locked = true;
      await new Promise((resolve) => held.signal.addEventListener("abort", resolve));
    });
    await until("the row is locked", () => locked);
    const failed = await outcome(database.db.transaction((tx) => tx.update(installation).set({ lineageSalt: "late" })));
    held.abort();
    await holder;
    expect(isDatabaseAway(failed)).toBe(true);
    expect(await salt()).toBe("before");
  });
});

describe("more callers than connections", () => {
  it("all get their answer in turn", async () => {
    const pids = await Promise.all(Array.from({ length: 60 }, () => pidOf(database.db)));
    expect(pids.every((pid) => pid > 0)).toBe(true);
    expect(new Set(pids).size).toBeLessThanOrEqual(10);
  });
});
