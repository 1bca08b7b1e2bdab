/**
 * Watches: what is unusual opens one incident with who is behind it, tells again only of more, and ends by itself. Two servers
 * look at each moment and act once.
 */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import type { UsageRecord } from "../../sdk-client/src/wire/usage-protocol.ts";
import type { IncidentResource } from "../../src/api/incident.ts";
import type { WatchPreview } from "../../src/api/watch.ts";
import { outbox } from "../../src/db/schema/incidents.ts";
import { WATCHING } from "../../src/domain/actor.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { rollNext } from "../../src/services/usage/rollups.ts";
import { runWatches } from "../../src/services/watches/watch.ts";
import { FakeClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { jsonOf } from "../support/json.ts";
import { adminCtx, startTestServer, type TestServer } from "../support/server.ts";
import { callFor, report } from "../support/usage.ts";

const P = "/v1/environments/production";
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const WEEK_MS = 7 * 24 * HOUR_MS;
/** A Saturday. */
const NOW_MS = Date.parse("2026-11-28T03:00:00Z");
const clock = new FakeClock(NOW_MS - 4 * WEEK_MS);
const FLAGS = ["support-chat", "titles", "drafts", "quiet"];
let a: TestServer;
let b: TestServer;
let flagNumber = 0;

beforeAll(async () => {
  const database = await freshDatabase("postgres");
  a = await startTestServer({ clock, database });
  b = await startTestServer({ clock, database });
  for (const key of FLAGS) await createFlag(adminCtx(a.deps), "production", { key, name: key });
  await a.api("POST", `${P}/channels`, { kind: "webhook", name: "pager", url: "http://127.0.0.1:9/pager" });
  for (let weeks = 4; weeks > 0; weeks -= 1) {
    clock.jump(NOW_MS - weeks * WEEK_MS + HOUR_MS - clock.nowMs());
    await calls(120, { flag: "support-chat" }, { usd: 20, overMs: 2 * HOUR_MS });
  }
  clock.jump(NOW_MS - clock.nowMs());
  await calls(1, { flag: "titles" });
  while (await rollNext(a.deps, environmentId()));
});
afterAll(async () => {
  await b.close();
  await a.close();
});
/** Each test begins with nothing open. */
afterEach(async () => {
  clock.jump(2 * HOUR_MS);
  await turn();
  await turn();
  await alerts();
  expect((await incidents()).filter(({ resolvedAt }) => resolvedAt === null)).toEqual([]);
});

const environmentId = () => a.deps.snapshots.environmentByKey("production")?.environmentId ?? "";

/** Calls that end evenly over the time until now, together for so much. */
async function calls(
  n: number,
  fields: Partial<UsageRecord>,
  { usd = 0.01 * n, overMs = 10 * MINUTE_MS } = {},
): Promise<void> {
  const records = Array.from({ length: n }, (_, at) =>
    callFor(usd / n, { at: clock.nowMs() - Math.floor((at * overMs) / n), stopReason: "end_turn", ...fields }),
  );
  await report(a.deps, records);
}

/** The job's turn on both servers at once. */
async function turn(): Promise<void> {
  await Promise.all(
    [a, b].map(({ deps }) => runWatches({ actor: WATCHING, requestId: deps.newId(), deps }, environmentId())),
  );
}

async function incidents(): Promise<IncidentResource[]> {
  return (await jsonOf<{ items: IncidentResource[] }>(await b.api("GET", `${P}/incidents`))).items;
}

const alertSchema = z.object({
  type: z.string(),
  title: z.string(),
  text: z.string(),
  watch: z
    .object({ kind: z.string(), flags: z.array(z.object({ flag: z.string(), behind: z.array(z.unknown()) })) })
    .optional(),
});
/** Those written since the last time. */
let taken = 0;
async function alerts(): Promise<z.infer<typeof alertSchema>[]> {
  const rows = await a.deps.db.select({ id: outbox.id, payload: outbox.payload }).from(outbox).orderBy(outbox.id);
  const fresh = rows.slice(taken);
  taken = rows.length;
  return fresh.map(({ payload }) => alertSchema.parse(payload));
}

/** A flag of its own for a test that needs one without a past. */
async function newFlag(): Promise<string> {
  flagNumber += 1;
  const key = `flag-${flagNumber}`;
  await createFlag(adminCtx(a.deps), "production", { key, name: key });
  return key;
}

it("a flag that burns as it does at that hour of that weekday tells nobody; four times of it is one incident, with who is behind it", async () => {
  await calls(60, { flag: "support-chat" }, { usd: 12, overMs: HOUR_MS });
  await turn();
  expect(await incidents()).toEqual([]);
  clock.jump(HOUR_MS);
  await calls(60, { flag: "support-chat" }, { usd: 10, overMs: HOUR_MS });
  await calls(40, { flag: "support-chat", user: "u-77", session: "bulk-1" }, { usd: 80, overMs: 20 * MINUTE_MS });
  await turn();
  await turn();
  const [one, ...others] = await incidents();
  expect(others).toEqual([]);
  expect(one).toMatchObject({
    title: expect.stringMatching(/^support-chat burns [89] times its usual for Saturday 04:00 UTC$/),
    flag: "support-chat",
    resolvedAt: null,
    watch: {
      kind: "burn",
      flags: [{ flag: "support-chat", endedAt: null, since: new Date(clock.nowMs() - 20 * MINUTE_MS).toISOString() }],
    },
    steps: [{ action: "watch" }],
    alerts: { waiting: 1 },
  });
  const [alert, ...more] = await alerts();
  expect(more).toEqual([]);
  expect(alert?.type).toBe("incident.watch");
  expect(alert?.text).toMatch(
    /^support-chat spent \$90\.\d\d in the last hour and burns \$\d+\.\d\d an hour now\. Its usual for Saturday 04:00 UTC is \$10\.\d\d an hour: the median of 3 weeks\. It began about 03:40 UTC\. Behind it: user u-77 \(9\d % of what was spent\), session bulk-1 \(9\d %\)\. Nothing was switched\.$/,
  );
  expect(alert?.watch?.flags[0]?.behind[0]).toMatchObject({ by: "user", name: "u-77" });
});

it("it is told of again when it has doubled, not each time it grows, and says so when it is over", async () => {
  const flag = await newFlag();
  const errors = (n: number) =>
    calls(n, { flag, outcome: "error", errorType: "api_error", user: "u-1" }, { overMs: MINUTE_MS });
  await calls(200, { flag });
  await errors(10);
  await turn();
  expect((await alerts()).map(({ text }) => text)).toEqual([
    expect.stringMatching(
      /^4\.8 % \(10 of 210\) of the attempts of flag-1 in the last hour failed, those that a retry mended too, 4\.8 % of those of the last 15 min\. The limit is 1 %\. It began about .* Behind it: user u-1 \(100 % of the attempts that failed\)\. Nothing was switched\.$/,
    ),
  ]);
  clock.jump(5 * MINUTE_MS);
  await errors(30);
  await turn();
  expect(await alerts(), "within ten minutes of the alert").toEqual([]);
  clock.jump(6 * MINUTE_MS);
  await errors(1);
  await turn();
  expect((await alerts()).map(({ title }) => title)).toEqual(["17 % of the attempts of flag-1 fail"]);
  clock.jump(20 * MINUTE_MS);
  await calls(300, { flag });
  await turn();
  expect((await incidents())[0], "it may come back").toMatchObject({ resolvedAt: null });
  clock.jump(15 * MINUTE_MS);
  await turn();
  expect((await incidents())[0]).toMatchObject({
    title: "Up to 17 % of the attempts of flag-1 failed",
    resolvedAt: new Date(clock.nowMs()).toISOString(),
    steps: [{}, {}, { text: "Over: flag-1 has been within its limit for 30 min." }],
  });
  expect(await alerts()).toMatchObject([
    { type: "incident.resolved", text: "Over: flag-1 has been within its limit for 30 min." },
  ]);
});

it("attempts that a retry mended count, one call above twice the mean is told with whose it was, and so are answers that are cut and slow ones", async () => {
  const [retried, large, cut, slow] = [await newFlag(), await newFlag(), await newFlag(), await newFlag()];
  await calls(100, { flag: retried, outcome: "error", status: 529 });
  await calls(100, { flag: retried, attempt: 2 });
  await calls(60, { flag: large }, { usd: 6 });
  await calls(1, { flag: large, user: "u-9", session: "s-9" }, { usd: 0.5 });
  await calls(18, { flag: cut });
  await calls(6, { flag: cut, stopReason: "max_tokens", user: "u-2" });
  await calls(40, { flag: slow });
  await calls(6, { flag: slow, latencyMs: 130_000 });
  await turn();
  const found = await alerts();
  const textOf = (kind: string) => found.find(({ watch }) => watch?.kind === kind)?.text;
  expect(found).toHaveLength(4);
  expect(textOf("errors")).toMatch(/^50 % \(100 of 200\) of the attempts/);
  expect(textOf("largeCall")).toMatch(
    new RegExp(
      `^One call of ${large} used 25,000 tokens: more than any of the 60 calls of the 7 days before, whose mean is 5,000\\. It began about .* It was of user u-9, session s-9, model claude-opus-5-5\\. Nothing was switched\\.$`,
    ),
  );
  expect(textOf("cut")).toMatch(
    /^25 % \(6 of 24\) of the answers .* Behind it: user u-2 \(100 % of the answers that were cut\)/,
  );
  expect(textOf("latency")).toMatch(
    /^13 % \(6 of 46\) of the attempts of .* took longer than 2 min, 13 % of those of the last 15 min: p95 is over it\./,
  );
});

it("what fails for many flags at once is one incident and one page; who comes later joins it", async () => {
  const flags = await Promise.all(Array.from({ length: 8 }, newFlag));
  const [late = "", ...early] = flags;
  for (const flag of early) await calls(30, { flag, outcome: "error" }, { overMs: MINUTE_MS });
  await turn();
  const [first] = await alerts();
  expect(first?.title).toBe("Attempts of 7 flags fail");
  expect(first?.text).toContain("The same of 2 more flags.");
  clock.jump(2 * MINUTE_MS);
  await calls(30, { flag: late, outcome: "error" }, { overMs: MINUTE_MS });
  await turn();
  expect(await alerts()).toEqual([]);
  expect((await incidents())[0]).toMatchObject({ title: "Attempts of 8 flags fail", resolvedAt: null, flag: null });
  clock.jump(8 * MINUTE_MS);
  await turn();
  expect(await alerts()).toMatchObject([
    { text: expect.stringMatching(new RegExp(`^100 % \\(30 of 30\\) of the attempts of ${late} `)) },
  ]);
});

it("a quiet flag tells nobody, nor does one that is off; what was told of a flag that went off is over at once", async () => {
  await calls(19, { flag: "quiet", outcome: "error" });
  await turn();
  expect(await alerts()).toEqual([]);
  const flag = await newFlag();
  await calls(100, { flag, outcome: "error" });
  await turn();
  expect(await alerts()).toHaveLength(1);
  expect((await a.api("POST", `${P}/flags/${flag}/kill`, { reason: "it fails" })).status).toBe(200);
  await calls(100, { flag, outcome: "error" });
  await turn();
  await turn();
  expect(await alerts()).toMatchObject([{ type: "incident.resolved", text: `Over: ${flag} is off.` }]);
  await calls(100, { flag, outcome: "error" });
  await turn();
  expect(await alerts()).toEqual([]);
  expect((await a.api("POST", `${P}/flags/${flag}/restore`, { reason: "mended" })).status).toBe(200);
});

const preview = async (kind: string, query = ""): Promise<WatchPreview> => {
  const response = await a.api("GET", `${P}/watches/${kind}/preview?days=1${query}`);
  expect(response.status).toBe(200);
  return jsonOf<WatchPreview>(response);
};

/** Flags that incidents of this kind were about. */
const toldOf = (kind: string, all: readonly IncidentResource[]): string[] => {
  const flags = all.flatMap(({ watch }) => (watch?.kind === kind ? watch.flags.map(({ flag }) => flag) : []));
  return [...new Set(flags)].toSorted();
};

it("the preview of a day finds what the watches told in it, of the flags that they told of, and says what it cannot tell", async () => {
  const all = await incidents();
  for (const kind of ["burn", "largeCall", "cut", "errors", "latency"]) {
    const { episodes, fired, notes } = await preview(kind);
    // Nobody looked at 03:45, when there was a call like no other yet.
    const missed = kind === "largeCall" ? ["support-chat"] : [];
    expect([...new Set(episodes.map(({ flag }) => flag))].toSorted(), kind).toEqual([...toldOf(kind, all), ...missed]);
    expect(fired).toBeGreaterThan(0);
    expect(notes.at(-1)).toMatch(/^Who was behind each is not told/);
  }
  expect((await preview("burn")).episodes[0]?.title).toMatch(
    /^support-chat burns [\d.]+ times its usual for Saturday 04:00 UTC$/,
  );
  expect(await preview("errors", "&flag=flag-1&limit=50")).toMatchObject({
    fired: 0,
    flags: 1,
    limit: 50,
    minimum: 20,
  });
  expect(await preview("errors", "&flag=flag-1")).toMatchObject({ fired: 1, limit: 1 });
});

it("a setting counts from the next look on: of one flag, or of all that have none; what is out of bounds is refused with its path", async () => {
  const flag = await newFlag();
  const put = async (path: string, body: object) => a.api("PUT", `${P}/watches/${path}`, body);
  expect((await put(`errors/flags/${flag}`, { enabled: false })).status).toBe(200);
  await calls(100, { flag, outcome: "error" });
  await turn();
  expect(await alerts()).toEqual([]);
  expect((await put(`errors/flags/${flag}`, { enabled: true })).status).toBe(200);
  await turn();
  expect(await alerts()).toMatchObject([{ type: "incident.watch" }]);
  expect((await put("errors", { enabled: false })).status).toBe(200);
  await turn();
  expect((await incidents())[0], "it has its own").toMatchObject({ resolvedAt: null });
  expect((await a.api("DELETE", `${P}/watches/errors/flags/${flag}`)).status).toBe(200);
  await turn();
  expect(await alerts()).toMatchObject([{ text: `Over: this watch of ${flag} was turned off.` }]);
  expect((await a.api("DELETE", `${P}/watches/errors`)).status).toBe(200);
  const { items } = await jsonOf<{ items: unknown[] }>(await a.api("GET", `${P}/watches`));
  expect(items).toHaveLength(5);
  for (const [body, path] of [
    [{ limit: 1_000 }, "limit"],
    [{ limit: 0 }, "limit"],
    [{ minimum: 1 }, "minimum"],
  ] as const) {
    const refused = await put("errors", body);
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ errors: [{ path }] });
  }
  expect((await put("latency", { limit: 31_000 })).status).toBe(422);
  expect((await put("errors/flags/nobody", { limit: 2 })).status).toBe(404);
  const audit = await jsonOf<{ items: { action: string; target: { key: string } }[] }>(
    await a.api("GET", `${P}/audit`),
  );
  expect(audit.items.filter(({ action }) => action === "watch.edited").map(({ target }) => target.key)).toEqual([
    "errors",
    `errors of ${flag}`,
    "errors",
    `errors of ${flag}`,
    `errors of ${flag}`,
  ]);
});
