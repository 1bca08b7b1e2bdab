/** Usage over HTTP: sums by every grouping, in every bucket, within bounds; the recent calls; both as CSV. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { FakeClock } from "../support/clock.ts";
import { batchOf, callFor } from "../support/usage.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const NOW = Date.parse("2026-03-08T15:30:00Z");
const HOUR_MS = 3_600_000;
const ENV = "/v1/environments/production";

const usageShape = z.looseObject({ source: z.string(), items: z.array(z.looseObject({ calls: z.number() })) });
const callsShape = z.looseObject({
  items: z.array(z.looseObject({ id: z.number(), flag: z.string() })),
  nextCursor: z.string().nullable(),
});

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ clock: new FakeClock(NOW) });
  await seed(harness);
  const at = NOW - HOUR_MS;
  const records = [
    callFor(0.1, { at, user: "ada", session: "s-1", latencyMs: 400 }),
    callFor(0.2, { at, user: "ada", outcome: "error", status: 529, errorType: "overloaded_error", latencyMs: 80 }),
    callFor(0.2, { at, user: "ada", attempt: 2, exact: false, latencyMs: 2_500 }),
    callFor(0.4, { at: at - 10 * HOUR_MS, user: "=1+1", latencyMs: 9_000, outcome: "aborted" }),
    callFor(1, { at, flag: "search", model: "claude-opus-5", requestedModel: "claude-opus-5-5" }),
  ];
  await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batchOf(records) }), 200);
});
afterAll(() => harness.close());

const usage = (query = "") => expectJson(harness.call("GET", `${ENV}/usage?${query}`), usageShape);
const csv = async (path: string) => {
  const response = await expectStatus(harness.call("GET", `${ENV}/${path}`, { headers: { accept: "text/csv" } }), 200);
  expect(response.headers.get("content-type")).toBe("text/csv; charset=utf-8");
  return (await response.text()).split("\r\n");
};

const count = async (query: string) =>
  (await expectJson(harness.call("GET", `${ENV}/usage/calls?${query}`), callsShape)).items.length;

describe("sums of usage", () => {
  it("are of the last 24 hours and of everything unless asked otherwise", async () => {
    const { items, ...answer } = await usage();
    expect(answer).toEqual({
      from: "2026-03-07T15:30:00.000Z",
      to: "2026-03-08T15:30:00.000Z",
      bucket: null,
      timezone: "UTC",
      groupBy: [],
      source: "ledger",
      unknown: [],
    });
    expect(items).toMatchObject([{ at: null, calls: 4, attempts: 5, errors: 1, aborted: 1, refused: 0, unpriced: 0 }]);
  });

  it("are found by any spelling of a model", async () => {
    const { items } = await usage("groupBy=flag&model=us.anthropic.claude-opus-5-20260301-v1:0");
    expect(items).toMatchObject([{ flag: "search", calls: 1, costNanoUsd: 1_250_000_000 }]);
    expect((await usage("model=claude-opus-9")).items).toMatchObject([]);
  });

  it("are grouped by flag and model, with exact and estimated cost apart and latency by bucket bounds", async () => {
    const { items } = await usage("groupBy=flag,model");
    expect(items).toMatchObject([
      { flag: "search", model: "claude-opus-5", calls: 1, costNanoUsd: 1_250_000_000 },
      {
        flag: "support-chat",
        model: "claude-opus-5-5",
        calls: 3,
        attempts: 4,
        outputTokens: 45_000,
        tokens: { input: 0, output: 45_000 },
        costNanoUsd: 900_000_000,
        exactNanoUsd: 700_000_000,
        estimatedNanoUsd: 200_000_000,
        p50Ms: 500,
        p95Ms: 10_000,
        p99Ms: 10_000,
      },
    ]);
  });

  it("are in minutes, hours or days of a zone, the shortened day of a clock change included", async () => {
    const { items: hours } = await usage("bucket=hour&flag=support-chat");
    expect(hours).toMatchObject([
      { at: "2026-03-08T04:00:00.000Z", calls: 1 },
      { at: "2026-03-08T14:00:00.000Z", calls: 2 },
    ]);
    const { items: minutes } = await usage("bucket=minute&flag=support-chat&from=2026-03-08T14:00:00Z");
    expect(minutes).toMatchObject([{ at: "2026-03-08T14:30:00.000Z", attempts: 3 }]);
    const days = async (zone: string) =>
      (await usage(`bucket=day&timezone=${zone}&flag=support-chat`)).items.map(({ at, calls }) => [at, calls]);
    // 04:30 in UTC is still Saturday in New York and Sunday in Kathmandu.
    expect(await days("America/New_York")).toEqual([
      ["2026-03-07T05:00:00.000Z", 1],
      ["2026-03-08T05:00:00.000Z", 2],
    ]);
    expect(await days("Asia/Kathmandu")).toEqual([["2026-03-07T18:15:00.000Z", 3]]);
    expect(await days("UTC")).toEqual([["2026-03-08T00:00:00.000Z", 3]]);
  });

  it("of users and sessions speak of the kept recent calls, and say so", async () => {
    const { source, items } = await usage("groupBy=user,session&flag=support-chat");
    expect(source).toBe("recentCalls");
    expect(items).toMatchObject([
      { user: "=1+1", session: "", calls: 1, aborted: 1, tokens: null, unpriced: null },
      { user: "ada", session: "", calls: 1, attempts: 2, errors: 1, exactNanoUsd: 200_000_000, p99Ms: 2_500 },
      { user: "ada", session: "s-1", calls: 1, costNanoUsd: 100_000_000, p50Ms: 400 },
    ]);
  });

  it("come as CSV, in which no id runs as a formula", async () => {
    const [header, ...lines] = await csv("usage?groupBy=user&flag=support-chat");
    expect(header).toMatch(/^user,calls,attempts,errors/);
    expect(lines[0]).toMatch(/^'=1\+1,1,1,0,1,0/);
    expect(lines.at(-1)).toBe("");
    const [, byDay] = await csv("usage?bucket=day&groupBy=flag&flag=search");
    expect(byDay).toMatch(/^2026-03-08T00:00:00.000Z,search,1,1,/);
  });

  it.each([
    ["from=yesterday", "from"],
    ["from=2026-03-09T00:00:00Z", "to"],
    ["from=2026-01-01T00:00:00Z&bucket=minute", "from"],
    ["from=2026-01-01T00:00:00Z&bucket=hour", "from"],
    ["from=2025-01-01T00:00:00Z", "from"],
    ["timezone=Mars", "timezone"],
    ["groupBy=planet", "groupBy.0"],
    ["bucket=week", "bucket"],
    ["flag=%00", "flag"],
    ["lmit=5", "lmit"],
  ])("%s is refused at %s", async (query, path) => {
    const problem = await expectProblem(harness.call("GET", `${ENV}/usage?${query}`), 422);
    expect(problem.errors?.map((error) => error.path)).toEqual([path]);
  });
});

describe("the recent calls", () => {
  it("come newest first, page by page, without any content", async () => {
    const first = await expectJson(harness.call("GET", `${ENV}/usage/calls?limit=2&flag=support-chat`), callsShape);
    const second = await expectJson(
      harness.call("GET", `${ENV}/usage/calls?limit=2&flag=support-chat&cursor=${first.nextCursor ?? ""}`),
      callsShape,
    );
    const ids = [...first.items, ...second.items].map(({ id }) => id);
    expect(ids).toHaveLength(4);
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
    expect(second.nextCursor).toBeNull();
  });

  it("are found by model, outcome, user and session", async () => {
    expect(await count("model=claude-opus-5")).toBe(1);
    // By any of its spellings.
    expect(await count("model=claude-opus-5-20260301")).toBe(1);
    expect(await count("model=claude-opus-9")).toBe(0);
    expect(await count("outcome=error")).toBe(1);
    expect(await count("user=ada")).toBe(3);
    expect(await count("session=s-1&user=ada")).toBe(1);
    expect(await count("flag=nowhere")).toBe(0);
  });

  it("come as CSV", async () => {
    const [header, line] = await csv("usage/calls?outcome=error");
    expect(header).toMatch(/^id,at,flag,model/);
    expect(line).toContain("overloaded_error");
  });

  it("refuse a cursor that is none", async () => {
    await expectProblem(harness.call("GET", `${ENV}/usage/calls?cursor=x`), 422);
  });

  it("are not to be seen from another environment", async () => {
    const { items } = await expectJson(harness.call("GET", "/v1/environments/staging/usage/calls"), callsShape);
    expect(items).toEqual([]);
  });
});
