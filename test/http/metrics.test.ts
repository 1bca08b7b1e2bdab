/** `/metrics`: what Prometheus reads, the same from every server, and what is left of it while the database is away. */
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/app.ts";
import * as schema from "../../src/db/schema/state.ts";
import { version } from "../../src/version.ts";
import { FakeClock } from "../support/clock.ts";
import { freePort } from "../support/postgres.ts";
import { batchOf, callFor, report } from "../support/usage.ts";
import { expectStatus, type Harness, seed, startHarness, STEPS } from "./harness.ts";

const NOW = Date.parse("2026-03-02T09:00:00Z");
const ENV = "/v1/environments/production";
/** A comment, or a name, labels and a number: the whole grammar that is written here. */
const LINE =
  /^(?:# (?:HELP|TYPE) [a-z_]\w* .+|[a-z_]\w*(?:\{(?:[a-z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (?:[-+.\deE]+|NaN|\+Inf))$/;

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ clock: new FakeClock(NOW) });
  await seed(harness);
  const budget = { name: 'The "daily"', scope: { flag: "support-chat" }, limitUsd: 100 };
  await expectStatus(harness.call("POST", `${ENV}/budgets`, { body: budget }), 201);
  const each = { name: "Each", scope: { user: "each" }, limitUsd: 10 };
  await expectStatus(harness.call("POST", `${ENV}/budgets`, { body: each }), 201);
  const records = [
    callFor(80, { at: NOW, latencyMs: 90, user: "ann" }),
    callFor(5, { at: NOW, latencyMs: 400_000, exact: false, outcome: "error", user: "bob" }),
  ];
  await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batchOf(records) }), 200);
});
afterAll(() => harness.close());

const scrape = async (token = harness.tokens.viewer) =>
  (await expectStatus(harness.call("GET", "/metrics", { token }), 200)).text();

describe("the metrics", () => {
  it("are lines that Prometheus reads, each family named once", async () => {
    await scrape();
    const text = await scrape();
    const lines = text.split("\n").filter((line) => line !== "");
    expect(lines.filter((line) => !LINE.test(line))).toEqual([]);
    const types = lines.filter((line) => line.startsWith("# TYPE"));
    expect(new Set(types).size).toBe(types.length);
  });

  it("tell the state of each flag, its budget and its trips", async () => {
    const text = await scrape();
    for (const line of [
      'andon_flag_on{environment="production",flag="support-chat"} 1',
      'andon_flag_level{environment="production",flag="support-chat"} 1',
      'andon_master_on{environment="staging"} 1',
      'andon_budget_limit_usd{environment="production",budget="The \\"daily\\"",period="day"} 100',
      'andon_budget_spent_usd{environment="production",budget="The \\"daily\\"",period="day"} 85',
      'andon_budget_used_ratio{environment="production",budget="The \\"daily\\"",period="day"} 0.85',
      'andon_trip_in_force{environment="production",flag="support-chat",budget="The \\"daily\\"",action="downgrade"} 1',
      'andon_incidents_open{environment="production"} 1',
      'andon_alerts{environment="production",state="waiting"} 0',
      'andon_instances{environment="production",state="live"} 0',
      "andon_snapshot_stale_seconds 0",
      "andon_database_up 1",
      'andon_budget_info{environment="production",budget="The \\"daily\\"",period="day",flag="support-chat",tag="",model="",enforcement="trip"} 1',
      'andon_evaluations_total{environment="production",flag="support-chat",result="on"} 0',
      'andon_usage_records_rejected_total{environment="production"} 0',
      'andon_incident_unacknowledged_seconds{environment="staging",severity="critical"} 0',
      `andon_build_info{version="${version()}"} 1`,
      "andon_leader 0",
    ]) {
      expect(text.split("\n")).toContain(line);
    }
  });

  it("tell what waits for a person, a blocked model, the evaluations and the records that were refused", async () => {
    const clock = new FakeClock(NOW);
    const world = await startHarness({ clock });
    try {
      await seed(world);
      const channel = { kind: "webhook", name: "Pager", url: "https://pager.test/never" };
      await expectStatus(world.call("POST", `${ENV}/channels`, { body: channel }), 201);
      const budget = { name: "daily", scope: { flag: "support-chat" }, limitUsd: 100 };
      await expectStatus(world.call("POST", `${ENV}/budgets`, { body: budget }), 201);
      await expectStatus(
        world.call("PUT", `${ENV}/models/claude-opus-5-5`, { body: { blocked: true, reason: "leak" } }),
        200,
      );
      const body = {
        ...batchOf([callFor(85, { at: NOW }), callFor(1, { at: NOW, latencyMs: -1 })]),
        checks: { "support-chat": { on: 3, off: 2 } },
      };
      // The second time is a retry: it adds nothing.
      for (const _ of [1, 2]) {
        await expectStatus(world.call("POST", "/sdk/v1/usage", { token: world.tokens.sdk, body }), 200);
      }
      clock.advance(600_000);
      const answer = await expectStatus(world.call("GET", "/metrics", { token: world.tokens.viewer }), 200);
      const lines = (await answer.text()).split("\n");
      const of = 'environment="production"';
      const expected = [
        `andon_incident_unacknowledged_seconds{${of},severity="error"} 600`,
        `andon_alert_oldest_waiting_seconds{${of},channel="Pager",kind="webhook"} 600`,
        `andon_model_blocked{${of},model="claude-opus-5-5",by="block"} 1`,
        `andon_evaluations_total{${of},flag="support-chat",result="on"} 3`,
        `andon_evaluations_total{${of},flag="support-chat",result="off"} 2`,
        `andon_usage_records_rejected_total{${of}} 1`,
      ];
      const told = lines.filter((line) => expected.some((one) => line.startsWith(one.slice(0, one.indexOf("{")))));
      expect(told).toEqual(expect.arrayContaining(expected));
    } finally {
      await world.close();
    }
  });

  it("tell of a budget of each user how many it stops, and nothing that would be a sum of them", async () => {
    const of = 'environment="production",budget="Each",period="day"';
    const lines = (await scrape()).split("\n").filter((line) => line.includes('budget="Each"'));
    expect(lines).toEqual([
      `andon_budget_info{${of},flag="",tag="",model="",enforcement="trip"} 1`,
      `andon_budget_limit_usd{${of}} 10`,
      expect.stringContaining(`andon_budget_burn_usd_per_hour{${of}} `),
      `andon_budget_subjects{${of},state="counted"} 2`,
      `andon_budget_subjects{${of},state="warned"} 0`,
      `andon_budget_subjects{${of},state="downgraded"} 0`,
      `andon_budget_subjects{${of},state="stopped"} 1`,
      `andon_budget_top_subject_spent_usd{${of}} 80`,
    ]);
  });

  it("count today's calls, tokens and cost, and the latency as a histogram", async () => {
    const series = 'environment="production",flag="support-chat"';
    const model = `${series},model="claude-opus-5-5"`;
    const lines = (await scrape()).split("\n");
    for (const line of [
      `andon_calls_total{${model}} 2`,
      `andon_attempts_total{${model},outcome="ok"} 1`,
      `andon_attempts_total{${model},outcome="error"} 1`,
      `andon_tokens_total{${model},class="output"} 4250000`,
      `andon_cost_usd_total{${model},kind="exact"} 80`,
      `andon_cost_usd_total{${model},kind="estimated"} 5`,
      `andon_call_duration_seconds_bucket{${series},le="0.05"} 0`,
      `andon_call_duration_seconds_bucket{${series},le="0.1"} 1`,
      `andon_call_duration_seconds_bucket{${series},le="+Inf"} 2`,
      `andon_call_duration_seconds_count{${series}} 2`,
    ]) {
      expect(lines).toContain(line);
    }
  });

  it("count each flag with each model of its chain from 0 on: a counter that is born above it has no increase", async () => {
    const lines = (await scrape()).split("\n");
    const pair = 'environment="production",flag="support-chat",model="claude-haiku-4-5"';
    for (const line of [
      `andon_calls_total{${pair}} 0`,
      `andon_attempts_total{${pair},outcome="refused"} 0`,
      `andon_unpriced_attempts_total{${pair}} 0`,
      `andon_cost_usd_total{${pair},kind="estimated"} 0`,
    ]) {
      expect(lines).toContain(line);
    }
  });

  it("tell of every defined flag however many names are made up, and how many series there was no room for", async () => {
    expect(await scrape()).toContain('andon_metrics_series_dropped{environment="staging"} 0');
    const flags = ["aaa-first", "zzz-called", "zzz-silent"];
    await expectStatus(
      harness.call("PUT", "/v1/environments/staging/chains/opus-first", { body: { steps: STEPS } }),
      201,
    );
    for (const key of flags) {
      const body = { key, name: key, chain: "opus-first" };
      await expectStatus(harness.call("POST", "/v1/environments/staging/flags", { body }), 201);
    }
    const called = [callFor(2, { at: NOW, flag: "zzz-called", model: "claude-sonnet-5-5" })];
    await report(harness.deps, called, "staging");
    // As a server wrote them that did not fold names.
    await harness.deps.db.execute(sql`
      insert into usage_minutes (environment_id, minute, flag, model, calls, attempts, latency)
      select environment_id, minute, name, 'claude-opus-5-5', 1, 1, latency
      from usage_minutes, (select 'made-up-' || lpad(n::text, 4, '0') as name from generate_series(1, 1500) as n
        union all values ('other')) as names
      where flag = 'zzz-called'`);
    const text = await scrape(harness.tokens.otherAdmin);
    const calls = text.split("\n").filter((line) => line.startsWith("andon_calls_total"));
    for (const flag of flags) {
      expect(calls).toContain(`andon_calls_total{environment="staging",flag="${flag}",model="claude-opus-5-5"} 0`);
      expect(text).toContain(`andon_call_duration_seconds_count{environment="staging",flag="${flag}"}`);
    }
    const sonnet = 'environment="staging",flag="zzz-called",model="claude-sonnet-5-5"';
    expect(calls).toContain(`andon_calls_total{${sonnet}} 1`);
    expect(calls.filter((line) => line.includes('flag="other"'))).toHaveLength(1);
    const counted = (name: string) => text.split("\n").filter((line) => line.startsWith(`${name}{`)).length;
    const names = ["calls", "attempts", "unpriced_attempts", "tokens", "cost_usd"].map((name) => `andon_${name}_total`);
    const perPair = names.reduce((sum, name) => sum + counted(name), 0) / calls.length;
    const flagsTold = counted("andon_call_duration_seconds_count");
    const perFlag = 1 + counted("andon_call_duration_seconds_bucket") / flagsTold;
    // 1,501 names with a model each, and the defined flags.
    const dropped = (1_501 + flags.length * 3 - calls.length) * perPair + (1_501 + flags.length - flagsTold) * perFlag;
    expect(dropped).toBeGreaterThan(0);
    expect(text.split("\n")).toContain(`andon_metrics_series_dropped{environment="staging"} ${String(dropped)}`);
    expect(await scrape(harness.tokens.otherAdmin)).toContain(calls.join("\n"));
  });

  it("tell of this process and of its requests by route, not by address", async () => {
    const text = await scrape();
    expect(text).toContain("process_resident_memory_bytes");
    expect(text).toMatch(
      /andon_http_request_duration_seconds_count\{method="POST",route="\/sdk\/v1\/usage",status="200"\} 1/,
    );
    expect(text).not.toContain("andon_sdk_");
  });

  it("keep the ending of counters for counters, as promtool wants it", async () => {
    const types = (await scrape()).split("\n").filter((line) => line.startsWith("# TYPE"));
    expect(types.filter((line) => line.includes("_total ") !== line.endsWith(" counter"))).toEqual([]);
  });

  it("show a token of one environment that environment only", async () => {
    const text = await scrape(harness.tokens.otherAdmin);
    expect(text).toContain('environment="staging"');
    expect(text).not.toContain('environment="production"');
  });

  it("still tell what this server knows while the database is away, and that it is", async () => {
    const port = String(await freePort());
    const client = postgres(`postgres://andon@127.0.0.1:${port}/andon`, {
      max: 1,
      connect_timeout: 1,
      backoff: () => 0.01,
    });
    try {
      const db = drizzle({ client, schema });
      const app = createApp({ ...harness.deps, db, reads: db });
      const response = await app.request("/metrics", { headers: { authorization: `Bearer ${harness.tokens.viewer}` } });
      const text = await response.text();
      expect(response.status).toBe(200);
      expect(text).toContain("andon_database_up 0");
      expect(text).toContain('andon_flag_on{environment="production",flag="support-chat"} 1');
      expect(text).not.toContain("andon_budget_limit_usd");
    } finally {
      await client.end();
    }
  });
});
