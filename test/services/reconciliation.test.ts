/** Claude's bill held against the ledger: one gentle poll for all servers, one incident for what differs, ended by late data. */
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import { reconciliationAnswer } from "../../src/cli/answers.ts";
import { reconciliationLines } from "../../src/cli/money-text.ts";
import { outbox } from "../../src/db/schema/incidents.ts";
import { providerPolls } from "../../src/db/schema/reconciliation.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import type { ReconciliationAnswer } from "../../src/api/reconciliation.ts";
import { systemActor } from "../../src/domain/actor.ts";
import { getReconciliation } from "../../src/services/reconciliation/view.ts";
import { ReportPolls } from "../../src/services/reconciliation/poll.ts";
import { ADMIN_KEY, type AdminApi, startAdminApi } from "../support/admin-api.ts";
import { FakeClock } from "../support/clock.ts";
import { jsonOf } from "../support/json.ts";
import { until } from "../support/until.ts";
import { ADMIN_TOKEN, adminCtx, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { callFor, report } from "../support/usage.ts";
import { pagesAs } from "../web/pages.ts";

const P = "/v1/environments/production";
const HOUR_MS = 3_600_000;
const MODEL = "claude-opus-5-5";
/** Output of a million tokens costs 20 USD. */
const OUTPUT_OF_USD = 50_000;
const clock = new FakeClock(Date.parse("2026-11-24T12:00:00Z"));
let api: AdminApi;
let a: TestServer;
let b: TestServer;
let polls: ReportPolls[];
/** What the first server wrote. */
const logged: string[] = [];

beforeAll(async () => {
  api = await startAdminApi();
  const reconciliation = { adminKey: ADMIN_KEY, baseUrl: api.url, workspaces: null, percent: 5, minUsd: 5 };
  const log = pino({ level: "trace" }, { write: (line: string) => void logged.push(line) });
  a = await startTestServer({ clock, log, settings: { reconciliation } });
  b = await startTestServer({ clock, database: a.deps.config.database, settings: { reconciliation } });
  polls = [a, b].map(({ deps }) => new ReportPolls(deps, () => 0));
  for (const name of ["pager", "chat"]) {
    const hook = { kind: "webhook", name, url: `http://127.0.0.1:9/${name}` };
    expect((await a.api("POST", `${P}/channels`, hook)).status).toBe(201);
  }
  // Andon began to count on the 24th, at noon.
  await calls(100);
  for (const day of ["2026-11-25", "2026-11-26"]) {
    clock.advance(24 * HOUR_MS);
    await calls(100);
    bill(day, 100);
  }
  bill("2026-11-24", 300);
});
afterAll(async () => {
  for (const one of polls) await one.close();
  await b.close();
  await a.close();
  await api.close();
});
beforeEach(() => {
  api.asked.length = 0;
  api.instead = null;
});

/** Calls of now that the ledger counts at `usd`. */
const calls = (usd: number, fields: Partial<UsageRecord> = {}) =>
  report(a.deps, [callFor(usd, { at: clock.nowMs(), ...fields })]);

/** What Claude says of a day: the output of so many USD, and the bill of it. */
function bill(day: string, usd: number, fields: { model?: string; cents?: string } = {}): void {
  const model = fields.model ?? MODEL;
  api.used.push({ day, model, output: usd * OUTPUT_OF_USD });
  api.billed.push({ day, model, cents: fields.cents ?? (usd * 100).toFixed(6) });
}

/** The job's turn on both servers at once. */
async function turn() {
  await Promise.all(polls.map((one) => one.begin()));
  await Promise.all(polls.map((one) => one.idle()));
}

/** The clock moves on to a time of 2026. */
const at = (time: string) => clock.advance(Date.parse(`2026-${time}:00Z`) - clock.nowMs());
const incidents = async () => (await listIncidents(adminCtx(a.deps), "production")).items;
const payloads = async () =>
  (await a.deps.db.select({ payload: outbox.payload }).from(outbox)).map(({ payload }) => payload);
/** A page, signed in as an admin. */
const page = async (path: string) => (await pagesAs({ server: a }, ADMIN_TOKEN)).text(`/e/production/${path}`);
const polled = async () => (await a.deps.db.select().from(providerPolls))[0];

it("both reports are asked for once, whatever the number of servers: whole days in UTC, by what their prices differ by", async () => {
  at("11-27T00:30");
  await turn();
  expect(api.asked.map(({ path }) => path)).toEqual([
    "/v1/organizations/usage_report/messages",
    "/v1/organizations/cost_report",
  ]);
  const [usage, costs] = api.asked;
  expect(usage?.query.toString()).toBe(
    "starting_at=2026-10-27T00%3A00%3A00.000Z&ending_at=2026-11-27T00%3A00%3A00.000Z&bucket_width=1d&limit=31&group_by%5B%5D=model&group_by%5B%5D=workspace_id&group_by%5B%5D=service_tier&group_by%5B%5D=context_window&group_by%5B%5D=inference_geo",
  );
  expect(costs?.query.getAll("group_by[]")).toEqual(["workspace_id", "description"]);
  expect(usage?.headers).toMatchObject({
    "x-api-key": ADMIN_KEY,
    "anthropic-version": "2023-06-01",
    "user-agent": "andon",
  });
  expect(await polled()).toMatchObject({ failures: 0, error: null, readAt: new Date("2026-11-27T00:30:00Z") });
});

it("it is asked again an hour later, for the days that are not settled alone; pages are followed to their end", async () => {
  clock.advance(HOUR_MS - 1);
  await turn();
  expect(api.asked).toEqual([]);
  clock.advance(1);
  api.pageDays = 2;
  await turn();
  api.pageDays = 31;
  expect(api.asked.map(({ query }) => query.get("starting_at")?.slice(0, 10))).toEqual([
    "2026-11-24",
    "2026-11-24",
    "2026-11-24",
    "2026-11-24",
  ]);
  expect(api.asked.map(({ query }) => query.get("page") === null)).toEqual([true, false, true, false]);
});

it("nothing is told of while bill and ledger agree, of the day on which Andon began to count, or of a day read too soon", async () => {
  bill("2026-11-26", 0.62 * 20);
  at("11-27T05:00");
  await turn();
  expect(await incidents()).toEqual([]);
});

it("a difference opens one incident, with one alert a channel and in words; the next day adds to it", async () => {
  at("11-27T06:30");
  await turn();
  clock.advance(HOUR_MS);
  await turn();
  const title = "Claude billed $12.40 more than Andon counted on 26 Nov for claude-opus-5-5";
  expect(await incidents()).toMatchObject([
    {
      title,
      drift: [{ day: "2026-11-26", kind: "model", name: MODEL }],
      resolvedAt: null,
      steps: [{ action: "drift" }],
      alerts: { waiting: 2 },
    },
  ]);
  expect(await payloads()).toMatchObject(
    ["pager", "chat"].map(() => ({
      type: "incident.drift",
      text: `${title}: calls that Andon did not see, of others in the organisation or not through a guard. Nothing was switched. It ends by itself when the two agree, or when the day is a week old. If others call Claude in this organisation, say with ANDON_ANTHROPIC_WORKSPACES which workspaces are whose.`,
      url: expect.stringMatching(/\/e\/production\/reconciliation$/),
      differences: [{ day: "2026-11-26", providerNanoUsd: 112_400_000_000, ledgerNanoUsd: 100_000_000_000 }],
    })),
  );
  await calls(50);
  bill("2026-11-27", 70);
  api.billed.push({ day: "2026-11-27", kind: "code_execution", cents: "750", description: "Code Execution Usage" });
  at("11-28T06:30");
  await turn();
  expect(await incidents()).toMatchObject([
    {
      title: "Claude's bill and Andon's ledger differ on 2 days",
      steps: [
        {},
        {
          text: "Claude billed $20.00 more than Andon counted on 27 Nov for claude-opus-5-5: calls that Andon did not see, of others in the organisation or not through a guard. Claude billed $7.50 more than Andon counted on 27 Nov for code execution: no call tells Andon of it.",
        },
      ],
    },
  ]);
  expect(await payloads()).toHaveLength(4);
});

it("the page, the incident and the command line say the same of it", async () => {
  const said =
    "Claude billed $12.40 more than Andon counted on 26 Nov for claude-opus-5-5: calls that Andon did not see";
  const text = await page("reconciliation?days=7");
  expect(text).toContain("3 differences over the threshold");
  expect(text).toContain(said);
  expect(text).toContain("This is the whole organisation beside all environments");
  expect(text).toMatch(/24 Nov before Andon counted a whole day \+\$200\.00 \$300\.00 \$100\.00/);
  expect(text).toMatch(/claude-opus-5-5 \+\$12\.40 \$112\.40 \$100\.00 \$0\.00/);
  // The 25th agrees: its models are folded.
  expect(text).toMatch(/25 Nov \$0\.00 \$100\.00 \$100\.00 \$0\.00 24 Nov/);
  expect(await page("reconciliation?models=all")).toMatch(/25 Nov \$0\.00 \$100\.00 \$100\.00 \$0\.00 claude-opus-5-5/);
  expect(await page("incidents")).toMatch(/differ on 2 days Open last told .*Compare…/);
  const answer = reconciliationAnswer.parse(await jsonOf<unknown>(await a.api("GET", `${P}/reconciliation`)));
  const lines = reconciliationLines(answer).join("\n");
  expect(lines).toContain(said);
  expect(lines).toMatch(/^2026-11-26 +claude-opus-5-5 +\$112\.40 +\$100\.00 +\$0\.00 +\+\$12\.40$/m);
});

it("late data ends it by itself, part by part, and tells that it is resolved", async () => {
  at("11-28T20:00");
  // A client that was cut off: the ledger takes records of the last day at their own time.
  await calls(20, { at: Date.parse("2026-11-27T21:00:00Z") });
  api.billed = api.billed.filter(({ kind }) => kind !== "code_execution");
  await turn();
  expect(await incidents()).toMatchObject([
    { title: expect.stringContaining("26 Nov"), drift: [{ day: "2026-11-26" }], resolvedAt: null },
  ]);
  api.billed = api.billed.filter(({ cents }) => cents !== "1240.000000");
  clock.advance(HOUR_MS);
  await turn();
  expect(await incidents()).toMatchObject([{ drift: [], resolvedAt: new Date(clock.nowMs()).toISOString() }]);
  expect(await payloads()).toHaveLength(6);
});

it("the ledger is not above the bill for the Priority Tier, batches, web searches, a cloud's calls or another vendor's", async () => {
  const tokens = { input: 0, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0 };
  await calls(40, { usage: { ...tokens, output: 40 * OUTPUT_OF_USD, webSearches: 1_000 } });
  await calls(20, { batch: true, usage: { ...tokens, output: 40 * OUTPUT_OF_USD, webSearches: 0 } });
  await calls(30);
  for (const model of ["us.anthropic.claude-opus-5-5-v1:0", "anthropic/claude-opus-5.5", "gpt-9"])
    await calls(60, { model });
  api.used.push(
    { day: "2026-11-28", model: MODEL, output: 40 * OUTPUT_OF_USD, webSearches: 1_000 },
    { day: "2026-11-28", model: MODEL, tier: "batch", output: 40 * OUTPUT_OF_USD },
    { day: "2026-11-28", model: MODEL, tier: "priority", output: 30 * OUTPUT_OF_USD },
  );
  api.billed.push(
    { day: "2026-11-28", model: MODEL, cents: "6000" },
    { day: "2026-11-28", kind: "web_search", cents: "1000" },
  );
  at("11-29T07:00");
  await turn();
  expect((await incidents()).filter(({ resolvedAt }) => resolvedAt === null)).toEqual([]);
});

it("the API tells each day by model, and when Claude was asked", async () => {
  const { poll, days, ...answer } = await jsonOf<ReconciliationAnswer>(
    await a.api("GET", `${P}/reconciliation?days=5`),
  );
  expect(answer).toEqual({
    configured: true,
    scope: "organisation",
    workspaces: [],
    percent: 5,
    minUsd: 5,
    unmappedNanoUsd: null,
  });
  expect(poll).toMatchObject({ readAt: "2026-11-29T07:00:00.000Z", error: null, nextAt: "2026-11-29T08:00:00.000Z" });
  expect(days.map(({ day, state }) => `${day} ${state}`)).toEqual([
    "2026-11-28 compared",
    "2026-11-27 compared",
    "2026-11-26 compared",
    "2026-11-25 compared",
    "2026-11-24 partial",
  ]);
  expect(days[0]).toMatchObject({
    providerNanoUsd: 100_000_000_000,
    ledgerNanoUsd: 100_000_000_000,
    elsewhereNanoUsd: 351_000_000_000,
    lines: [
      { kind: "model", name: MODEL, providerNanoUsd: 90_000_000_000, priorityNanoUsd: 30_000_000_000, isOver: false },
      { kind: "other", name: "web_search", providerNanoUsd: 10_000_000_000, ledgerNanoUsd: 10_000_000_000 },
    ],
  });
});

it.each([
  ["a key that is no admin key", { status: 401 }, 6 * HOUR_MS, /the key is not an admin key, or was revoked/],
  [
    "too many requests, with a time",
    { status: 429, headers: { "retry-after": "7200" } },
    2 * HOUR_MS,
    /too many requests/,
  ],
  ["a fault there", { status: 529 }, 240_000, /answered 529/],
  [
    "a redirect",
    { status: 307, headers: { location: "http://127.0.0.1:9/" } },
    6 * HOUR_MS,
    /a redirect, which is not followed/,
  ],
  ["no JSON", { status: 200, body: "<html>" }, 960_000, /not JSON/],
  [
    "another shape",
    {
      status: 200,
      body: '{"data":[{"starting_at":"2026-11-26T00:00:00Z","results":[{"model":"x"}]}],"has_more":false}',
    },
    1_920_000,
    /cannot be read: data\.results\.uncached_input_tokens is not as documented/,
  ],
  [
    "another currency",
    {
      status: 200,
      body: '{"data":[{"starting_at":"2026-11-26T00:00:00Z","results":[{"amount":"1","currency":"EUR"}]}],"has_more":false}',
      only: "cost_report",
    },
    3_840_000,
    /currency is not USD/,
  ],
])("%s is told in words, without the key, and asked again later", async (_, behaviour, delayMs, words) => {
  const { status, headers, body, only } = { headers: {}, body: "", only: "", ...behaviour };
  api.instead = (path, response) => {
    if (!path.includes(only)) return false;
    response.writeHead(status, headers).end(body);
    return true;
  };
  clock.advance(25 * HOUR_MS);
  await turn();
  const { error, nextAt, failures } = (await polled()) ?? {};
  expect(error).toMatch(words);
  expect(error).not.toContain(ADMIN_KEY);
  expect(failures).toBeGreaterThan(0);
  expect(nextAt).toEqual(new Date(clock.nowMs() + delayMs));
  expect(await page("reconciliation")).toMatch(words);
});

it("a host that does not answer is waited for 30 s, and a server that stops breaks off", async () => {
  api.instead = () => true;
  clock.advance(25 * HOUR_MS);
  const [first] = polls;
  const under = async () => {
    await first?.begin();
    await until("Claude was asked", () => api.asked.length > 0);
  };
  await under();
  clock.advance(30_000);
  await first?.idle();
  expect((await polled())?.error).toBe("Claude did not answer within 30 s.");
  api.asked.length = 0;
  clock.advance(25 * HOUR_MS);
  await under();
  await first?.close();
  expect((await polled())?.failures).toBe(8);
});

it("with keys of environments the reports are read anew, by key; an environment is compared with its own, and others see none of it", async () => {
  const workspaces = new Map([
    ["production", ["default"]],
    ["staging", ["apikey_1"]],
  ]);
  const config = { ...a.deps.config, reconciliation: { ...a.deps.config.reconciliation, workspaces } };
  const deps = { ...a.deps, config };
  const day = new Date(clock.nowMs() - 24 * HOUR_MS).toISOString().slice(0, 10);
  api.used.push({ day, model: MODEL, workspace: "wrkspc_1", apiKey: "apikey_1", output: 8 * OUTPUT_OF_USD });
  api.used.push({ day, model: MODEL, workspace: "wrkspc_2", apiKey: "apikey_2", output: 70 * OUTPUT_OF_USD });
  const own = new ReportPolls(deps, () => 0);
  await own.begin();
  await own.idle();
  await own.close();
  expect(api.asked.map(({ query }) => query.getAll("group_by[]").includes("api_key_id"))).toEqual([true, false]);
  expect(api.asked[0]?.query.get("starting_at")).toBe(new Date(Date.parse(day) - 30 * 24 * HOUR_MS).toISOString());
  const staging = await getReconciliation(adminCtx(deps), "staging", { days: 1 });
  expect(staging).toMatchObject({
    scope: "workspaces",
    workspaces: ["apikey_1"],
    unmappedNanoUsd: 70_000_000_000,
    days: [{ providerNanoUsd: 8_000_000_000, state: "partial" }],
  });
  const secret = await makeToken(a.deps, { kind: "op", role: "viewer", environments: ["production"] });
  const hidden = await jsonOf<ReconciliationAnswer>(await a.api("GET", `${P}/reconciliation`, undefined, secret));
  expect(hidden).toMatchObject({ scope: "hidden", days: [], unmappedNanoUsd: null });
  const viewer = { ...adminCtx(deps), actor: a.deps.tokens.find(secret) ?? systemActor("none", "none") };
  expect(await getReconciliation(viewer, "production", { days: 1 })).toMatchObject({
    scope: "workspaces",
    unmappedNanoUsd: null,
  });
});

it("the key is in nothing that the server wrote, nor in what it answers", async () => {
  expect(logged.join()).toContain("Claude's reports were not read");
  expect(logged.join()).not.toContain(ADMIN_KEY);
  expect(await (await a.api("GET", `${P}/reconciliation`)).text()).not.toContain(ADMIN_KEY);
});

it("a server asks by itself soon after its start, and not at all without a key", async () => {
  api.instead = null;
  const reconciliation = { adminKey: ADMIN_KEY, baseUrl: api.url, workspaces: null, percent: 5, minUsd: 5 };
  const own = await startTestServer({ jobs: true, settings: { reconciliation } });
  await until("both reports were asked for", () => api.asked.length === 2);
  await own.close();
  const without = new ReportPolls({ ...a.deps, reports: null }, () => 0);
  await without.begin();
  await without.idle();
  expect(api.asked).toHaveLength(2);
});
