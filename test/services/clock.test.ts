/** A server goes by its database's clock: what ends at a moment does not end early because a machine's clock is ahead. */
import { sql } from "drizzle-orm";
import { assert, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock.ts";
import { DatabaseClock, systemClock } from "../../src/clock.ts";
import { endExpired } from "../../src/services/shared/expiry.ts";
import { FakeClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { adminCtx, startTestServer, type TestServer } from "../support/server.ts";

const MINUTE_MS = 60_000;

const offBy = (byMs: number): Clock => ({
  nowMs: () => systemClock.nowMs() + byMs,
  monotonicMs: () => systemClock.monotonicMs(),
  schedule: (delayMs, callback) => systemClock.schedule(delayMs, callback),
});

async function databaseNowMs({ deps }: TestServer): Promise<number> {
  const [row] = await deps.db
    .select({ nowMs: sql`extract(epoch from clock_timestamp()) * 1000`.mapWith(Number) })
    .from(sql`(select 1) as one`);
  return row?.nowMs ?? Number.NaN;
}

describe.each(["postgres", "memory"] as const)("a server on a machine whose clock is off (%s)", (kind) => {
  it.each([10 * MINUTE_MS, -10 * MINUTE_MS])("by %i ms goes by the database's clock", async (byMs) => {
    const server = await startTestServer({
      database: await freshDatabase(kind),
      clock: new DatabaseClock(offBy(byMs)),
    });
    expect(Math.abs((await databaseNowMs(server)) - server.deps.clock.nowMs())).toBeLessThan(1000);
    await server.close();
  });
});

describe("a kill until a moment", () => {
  it("is not ended early by a server whose machine is ten minutes ahead", async () => {
    const server = await startTestServer({ clock: new DatabaseClock(offBy(10 * MINUTE_MS)) });
    const inFiveMinutes = new Date((await databaseNowMs(server)) + 5 * MINUTE_MS).toISOString();
    const body = { reason: "for a while", until: inFiveMinutes };
    expect((await server.api("POST", "/v1/environments/production/kill", body)).status).toBe(200);
    const environmentId = server.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    await endExpired(adminCtx(server.deps), environmentId);
    expect(server.deps.snapshots.environmentByKey("production")?.snapshot.master.state).toBe("off");
    await server.close();
  });
});

describe("the clock that follows", () => {
  it("is at most a round trip away from the database's after a reading, and goes on by the monotonic clock", () => {
    const ms = integer({ min: 0, max: 100_000 });
    assert(
      property(ms, ms, ms, integer({ min: -1e9, max: 1e9 }), (there, back, later, offMs) => {
        const machine = new FakeClock();
        const clock = new DatabaseClock(machine);
        const database = () => machine.monotonicMs() + 1_700_000_000_000 + offMs;
        const sentMs = machine.monotonicMs();
        machine.advance(there);
        const databaseMs = database();
        machine.advance(back);
        clock.follow({ sentMs, databaseMs, heardMs: machine.monotonicMs() });
        machine.jump(later);
        machine.advance(later);
        expect(Math.abs(clock.nowMs() - database())).toBeLessThanOrEqual(there + back);
      }),
    );
  });

  it("is not moved by a reading that agrees with it", () => {
    const clock = new DatabaseClock(new FakeClock());
    clock.follow({ sentMs: 0, databaseMs: 5000, heardMs: 0 });
    expect(clock.follow({ sentMs: 10, databaseMs: 5030, heardMs: 200 })).toBe(0);
  });
});
