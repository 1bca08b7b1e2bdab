/** Which calls began since a state is in force and which only end: told by what decided them, not by when they ended. */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { sql } from "drizzle-orm";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { returnedRows } from "../../src/db/returned-rows.ts";
import { CALLS_SPAN_MS } from "../../src/domain/calls.ts";
import { OTHER } from "../../src/domain/other.ts";
import { type CallsSince, callsSince } from "../../src/services/usage/calls-since.ts";
import { pruneRecentCalls } from "../../src/services/usage/prune.ts";
import { expectStatus, type Harness, startHarness } from "../http/harness.ts";
import { batchOf, callFor } from "../support/usage.ts";

const MINUTE_MS = 60_000;

let harness: Harness;
/** One of its own for each test. */
let flag = "";
let made = 0;

beforeAll(async () => {
  harness = await startHarness();
  return () => harness.close();
});
beforeEach(async () => {
  flag = `flag-${(made += 1)}`;
  await expectStatus(
    harness.call("POST", "/v1/environments/production/flags", { body: { key: flag, name: flag } }),
    201,
  );
});

const served = () => {
  const snapshot = harness.deps.snapshots.environmentByKey("production");
  if (snapshot === undefined) throw new Error("production is not served");
  return snapshot;
};
const nowMs = () => harness.deps.clock.nowMs();
const post = (records: readonly Partial<UsageRecord>[], instance = "host-1") =>
  expectStatus(
    harness.call("POST", "/sdk/v1/usage", {
      token: harness.tokens.sdk,
      body: { ...batchOf(records.map((fields) => callFor(1, { at: nowMs(), flag, ...fields }))), instance },
    }),
    200,
  );
/** A poll that says which revision the instance has applied. */
const applies = async (revision: string, instance = "host-1") => {
  const headers = { "if-none-match": `"${revision}"`, "andon-instance": instance };
  const answer = await harness.call("GET", "/sdk/v1/snapshot", { token: harness.tokens.sdk, headers });
  expect([200, 304]).toContain(answer.status);
  await harness.deps.instances.flush();
};
const kill = () => harness.call("POST", `/v1/environments/production/flags/${flag}/kill`, { body: { reason: "x" } });

async function calls(began: number): Promise<CallsSince> {
  const { environmentId, lineage } = served();
  const question = { environmentId, lineage, began: new Map([[flag, began]]), nowMs: nowMs() };
  return (await callsSince(harness.deps.db, question)).get(flag) ?? { since: [], ending: [] };
}
const attempts = ({ since, ending }: CallsSince) => ({
  since: since.reduce((sum, one) => sum + one.attempts, 0),
  ending: ending.reduce((sum, one) => sum + one.attempts, 0),
});

describe("calls since a state is in force", () => {
  it("are those that the state, or a later one, decided, by the model sent and the model asked for", async () => {
    const before = served().revision;
    await expectStatus(kill(), 200);
    const { n, lineage } = served();
    const startMs = nowMs() - 2_000;
    await post([
      { revision: before, latencyMs: 60_000 },
      { revision: before, latencyMs: 90_000 },
      { revision: `${lineage}.${n}`, model: "claude-sonnet-5-5", at: startMs + 500, latencyMs: 500, part: "advisor" },
      { revision: `${lineage}.${n}`, model: "claude-sonnet-5-5", at: startMs + 500, latencyMs: 500, count: 3 },
    ]);
    await post([{ revision: `${lineage}.${n + 1}`, at: startMs + 900, latencyMs: 100 }], "host-2");
    const { since, ending } = await calls(n);
    const sonnet = { model: "claude-sonnet-5-5", requestedModel: "claude-opus-5-5", attempts: 3, nanoUsd: 1e9 };
    const opus = { model: "claude-opus-5-5", requestedModel: "claude-opus-5-5", attempts: 1, nanoUsd: 1e9 };
    expect(since).toEqual([
      { ...sonnet, newestStartMs: startMs, newestInstance: "host-1" },
      { ...opus, newestStartMs: startMs + 800, newestInstance: "host-2" },
    ]);
    expect(ending).toMatchObject([{ attempts: 2, nanoUsd: 2e9 }]);
  });

  it("of a client that does not say what decided them are those begun since its instance applied the newest", async () => {
    await expectStatus(kill(), 200);
    const { n, revision } = served();
    await post([{ latencyMs: 0 }]);
    expect(attempts(await calls(n))).toEqual({ since: 0, ending: 1 });
    await applies(revision);
    await post([{ latencyMs: 60_000 }, { latencyMs: 0, at: nowMs() + 1_000 }]);
    await post([{ latencyMs: 0 }], "another");
    expect(attempts(await calls(n))).toEqual({ since: 1, ending: 3 });
    expect(attempts(await calls(n + 1))).toEqual({ since: 0, ending: 4 });
  });

  it("are never those of another lineage, or of a text that is no revision", async () => {
    const { n } = served();
    await post([{ revision: `0123456789ab.${n + 7}` }, { revision: "soon" }]);
    expect(attempts(await calls(1))).toEqual({ since: 0, ending: 2 });
  });

  it("of made-up models, revisions and flags fold into one row that counts as older, and no call is lost", async () => {
    const { lineage, n } = served();
    const madeUp = Array.from({ length: 900 }, (_, i) => ({ revision: `${lineage}.${i}`, model: `m-${i % 30}` }));
    const elsewhere = Array.from({ length: 100 }, (_, i) => ({ revision: `${lineage}.${n}`, flag: `user-${i}` }));
    await post([{ revision: `${lineage}.${n}` }, ...madeUp, ...elsewhere.slice(1)], "host-1");
    await post([{ revision: `${lineage}.${n}` }]);
    const { since, ending } = await calls(n);
    expect(since.find(({ model }) => model === "claude-opus-5-5")).toMatchObject({ attempts: 2 });
    const total = attempts({ since, ending });
    expect(total.since + total.ending).toBe(902);
    expect(ending.find(({ model }) => model === OTHER)?.attempts).toBeGreaterThan(800);
    const ofFlags = sql`select count(*) filter (where flag = ${flag})::int as n,
      count(*) filter (where flag like 'user-%')::int as other from calls_by_revision`;
    const [rows] = returnedRows(await harness.deps.db.execute(ofFlags));
    expect(rows).toMatchObject({ other: 0 });
    // In one minute or two.
    expect(Number(rows?.["n"])).toBeLessThan(100);
  });

  it("are those of the last quarter of an hour, and older ones are not kept", async () => {
    const { revision, n } = served();
    await post([
      { revision, at: nowMs() - CALLS_SPAN_MS - MINUTE_MS },
      { revision, at: nowMs() - CALLS_SPAN_MS / 2 },
    ]);
    expect(attempts(await calls(n))).toEqual({ since: 1, ending: 0 });
    const { db, clock, config } = harness.deps;
    const later = { ...clock, nowMs: () => nowMs() + CALLS_SPAN_MS + 4 * MINUTE_MS };
    await pruneRecentCalls({ db, clock: later, config });
    expect(returnedRows(await db.execute(sql`select from calls_by_revision`))).toEqual([]);
  });
});
