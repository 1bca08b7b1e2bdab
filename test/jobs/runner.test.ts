/** Jobs: on one server at a time, tried again when they fail, taken over when the leader goes. */
import { describe, expect, it } from "vitest";
import { pino } from "pino";
import { connect } from "../../src/db/connect.ts";
import { JobRunner } from "../../src/jobs/runner.ts";
import { FakeClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { jsonOf } from "../support/json.ts";
import { startTestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const silent = pino({ level: "silent" });

describe("the lead", () => {
  it("is with one server, stays with it, and goes to another when it leaves or loses its connection", async () => {
    const database = await freshDatabase("postgres");
    const [a, b] = await Promise.all([connect(database, silent), connect(database, silent)]);
    expect(await a.lead()).toBe(true);
    expect(await b.lead()).toBe(false);
    expect(await a.lead()).toBe(true);
    await a.close();
    await until("B leads", () => b.lead());
    await b.close();
  });
});

describe("the runner", () => {
  it("runs each job at its own pace, and goes on after one failed", async () => {
    const clock = new FakeClock();
    const { deps, close } = await startTestServer({ clock });
    const ran = { often: 0, seldom: 0, failing: 0 };
    const runner = new JobRunner({
      deps,
      lead: () => Promise.resolve(true),
      jobs: [
        { name: "failing", everyMs: 1000, run: () => Promise.reject(new Error(`failure ${(ran.failing += 1)}`)) },
        { name: "often", everyMs: 1000, run: async () => void (ran.often += 1) },
        { name: "seldom", everyMs: 3000, run: async () => void (ran.seldom += 1) },
      ],
    });
    runner.start();
    for (let tick = 1; tick <= 6; tick += 1) {
      clock.advance(1000);
      await until("the tick is over", () => ran.often === tick);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ran).toEqual({ often: 6, seldom: 2, failing: 6 });
    await runner.close();
    await close();
  });
});

describe("a long job", () => {
  it("keeps no other job waiting, and is waited for when the server stops", async () => {
    const clock = new FakeClock();
    const { deps, close } = await startTestServer({ clock });
    const ran = { often: 0, long: 0, ended: 0 };
    const ending: (() => void)[] = [];
    const runner = new JobRunner({
      deps,
      lead: () => Promise.resolve(true),
      jobs: [
        {
          name: "long",
          everyMs: 1000,
          isLong: true,
          run: () =>
            new Promise((resolve) => {
              ran.long += 1;
              ending.push(() => {
                ran.ended += 1;
                resolve();
              });
            }),
        },
        { name: "often", everyMs: 1000, run: async () => void (ran.often += 1) },
      ],
    });
    runner.start();
    for (let tick = 1; tick <= 3; tick += 1) {
      clock.advance(1000);
      await until("the tick is over", () => ran.often === tick);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ran).toEqual({ often: 3, long: 1, ended: 0 });
    const closed = runner.close().then(() => ran.ended);
    for (const end of ending) end();
    expect(await closed).toBe(1);
    await close();
  });
});

describe("the expiry job", () => {
  it("ends a kill at its moment, by the system, with a reason", async () => {
    const clock = new FakeClock();
    const server = await startTestServer({ jobs: true, clock });
    const soon = new Date(clock.nowMs() + 60_000).toISOString();
    const killed = await server.api("POST", "/v1/environments/production/kill", { reason: "short", until: soon });
    expect(killed.status).toBe(200);
    clock.advance(59_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(server.deps.snapshots.environmentByKey("production")?.snapshot.master.state).toBe("off");
    await until("the master switch is on again", () => {
      clock.advance(1000);
      const served = server.deps.snapshots.environmentByKey("production");
      return served?.n === 3 && served.snapshot.master.state === "on";
    });
    const { items } = await jsonOf<{ items: unknown[] }>(
      await server.api("GET", "/v1/environments/production/audit?limit=1"),
    );
    expect(items).toMatchObject([
      { action: "master.restored", reason: "until reached", actor: { kind: "system" }, revision: 3 },
    ]);
    await server.close();
  });
});
