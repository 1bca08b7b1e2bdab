/** `POST /sdk/v1/usage`: what a client may send, what is rejected and how, and that a retry never counts twice. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { MAX_USAGE_BODY_BYTES, USAGE_PATH } from "../../sdk-client/src/wire/usage-protocol.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "../http/harness.ts";
import { expectProblem } from "../http/problem-shape.ts";
import { FakeClock } from "../support/clock.ts";
import { batchOf, callFor } from "../support/usage.ts";

const NOW = Date.parse("2026-03-02T09:00:30Z");
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const answerShape = z.strictObject({
  accepted: z.number(),
  duplicate: z.boolean(),
  rejected: z.array(z.object({ index: z.number(), path: z.string(), message: z.string() })),
  revision: z.string(),
});
const usageShape = z.looseObject({
  source: z.string(),
  items: z.array(z.looseObject({ calls: z.number(), attempts: z.number(), costNanoUsd: z.number() })),
});

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness({ clock: new FakeClock(NOW) });
  await seed(harness);
});
afterAll(() => harness.close());

const post = (body: unknown) => harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body });
const report = (body: unknown) => expectJson(post(body), answerShape);
const call = (fields: Parameters<typeof callFor>[1] = {}) => callFor(0.01, { at: NOW, ...fields });
const usage = (query: string) =>
  expectJson(harness.call("GET", `/v1/environments/production/usage?${query}`), usageShape);

describe("a usage batch", () => {
  it("is counted once, however often it is sent", async () => {
    const batch = batchOf([call({ flag: "once" }), call({ flag: "once", exact: false })]);
    expect(await report(batch)).toMatchObject({ accepted: 2, duplicate: false, rejected: [] });
    expect(await report(batch)).toMatchObject({ accepted: 2, duplicate: true, rejected: [] });
    const [row] = (await usage("flag=once")).items;
    expect(row).toMatchObject({ calls: 2, exactNanoUsd: 10_000_000, estimatedNanoUsd: 10_000_000 });
  });

  it("is known by its id alone: other records under it are a duplicate, and a record's id does not join batches", async () => {
    const record = call({ flag: "batches" });
    const batch = batchOf([record]);
    await report(batch);
    const other = batchOf([call({ flag: "batches" }), call({ flag: "batches" })], batch.batchId);
    expect(await report(other)).toMatchObject({ accepted: 1, duplicate: true });
    expect((await usage("flag=batches")).items).toMatchObject([{ calls: 1 }]);
    expect(await report(batchOf([record]))).toMatchObject({ accepted: 1, duplicate: false });
    expect((await usage("flag=batches")).items).toMatchObject([{ calls: 2 }]);
  });

  it("is counted once when it is sent many times in parallel", async () => {
    const batch = batchOf([call({ flag: "parallel" })]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => report(batch)));
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect((await usage("flag=parallel")).items).toMatchObject([{ calls: 1, costNanoUsd: 10_000_000 }]);
  });

  it.each([
    ["ten minutes behind", -10 * MINUTE_MS],
    ["ten minutes ahead", 10 * MINUTE_MS],
    ["two days behind", -48 * HOUR_MS],
  ])("of a client whose clock is %s counts as of when it was, though it waited a while", async (what, offMs) => {
    const flag = what.replaceAll(" ", "-");
    const batch = batchOf([call({ flag, at: NOW + offMs - 2 * MINUTE_MS })]);
    const headers = { "andon-sent": String(NOW + offMs) };
    await expectStatus(harness.call("POST", USAGE_PATH, { token: harness.tokens.sdk, body: batch, headers }), 200);
    const span = "from=2026-03-02T08:58:00Z&to=2026-03-02T08:59:00Z";
    expect((await usage(`flag=${flag}&${span}`)).items).toMatchObject([{ calls: 1 }]);
  });

  it("loses only its faulty records, named by index and path; a retry gets the same answer", async () => {
    const good = call({ flag: "partly" });
    const batch = batchOf([good]);
    const records: unknown[] = [
      good,
      { ...call(), model: "x".repeat(129) },
      { ...call(), usage: { ...call().usage, output: -1 } },
      { ...call(), usage: { ...call().usage, input: 1.5 } },
      { ...call(), outcome: "fine" },
      { ...call(), attempt: 0 },
      { ...call(), user: "a\0b" },
      { ...call(), session: "\ud800" },
      { ...call(), latencyMs: "fast" },
      { ...call(), exact: 1 },
      { ...call(), at: Number.MAX_SAFE_INTEGER },
      { ...call(), flag: "two\nlines" },
      { ...call(), usage: null },
      { ...call(), status: 1_000 },
      { ...call(), geo: "x".repeat(257) },
      { ...call(), count: 0 },
      { ...call(), id: "" },
      "not a record",
      null,
      { ...call({ flag: "partly" }), aFieldOfTomorrow: true },
    ];
    const answer = await report({ ...batch, records });
    expect(answer.accepted).toBe(2);
    expect(answer.rejected.map(({ index, path }) => [index, path])).toEqual([
      [1, "model"],
      [2, "usage.output"],
      [3, "usage.input"],
      [4, "outcome"],
      [5, "attempt"],
      [6, "user"],
      [7, "session"],
      [8, "latencyMs"],
      [9, "exact"],
      [10, "at"],
      [11, "flag"],
      [12, "usage"],
      [13, "status"],
      [14, "geo"],
      [15, "count"],
      [16, "id"],
      [17, ""],
      [18, ""],
    ]);
    expect(answer.rejected.every(({ message }) => message.length > 0)).toBe(true);
    expect(await report({ ...batch, records })).toMatchObject({ duplicate: true, rejected: answer.rejected });
    expect((await usage("flag=partly")).items).toMatchObject([{ calls: 2 }]);
  });

  it("counts a record that is in it twice once", async () => {
    const record = call({ flag: "twice" });
    expect(await report(batchOf([record, record]))).toMatchObject({ accepted: 1 });
    expect((await usage("flag=twice")).items).toMatchObject([{ calls: 1 }]);
  });

  it("may be empty, and counts the attempts that a summed record stands for", async () => {
    expect(await report(batchOf([]))).toMatchObject({ accepted: 0, duplicate: false });
    await report(batchOf([call({ flag: "summed", count: 40 })]));
    expect((await usage("flag=summed")).items).toMatchObject([{ calls: 40, attempts: 40, costNanoUsd: 10_000_000 }]);
  });

  it("counts what an answer used beside its own model as money, not as an attempt", async () => {
    await report(batchOf([call({ flag: "parts" }), call({ flag: "parts", part: "advisor" })]));
    expect((await usage("flag=parts")).items).toMatchObject([{ calls: 1, attempts: 1, costNanoUsd: 20_000_000 }]);
  });

  it("is refused whole when its envelope is faulty", async () => {
    const cases: [unknown, string][] = [
      [{ instance: "i", records: [] }, "batchId"],
      [{ batchId: "b", records: [] }, "instance"],
      [{ batchId: "b", instance: "i" }, "records"],
      [{ batchId: "b".repeat(129), instance: "i", records: [] }, "batchId"],
      [{ batchId: "b", instance: "i", records: Array.from({ length: 1_001 }, () => 0) }, "records"],
      [[], ""],
      ["{", ""],
    ];
    for (const [body, path] of cases) {
      const problem = await expectProblem(post(body), 422);
      expect(problem.errors?.map((error) => error.path)).toContain(path);
    }
  });

  it("is refused when it is too large, before it is read", async () => {
    await expectProblem(post(" ".repeat(MAX_USAGE_BODY_BYTES + 1)), 413);
  });
});

describe("a record's time", () => {
  it("is its own while it is plausible, also from yesterday; a wrong clock counts as now", async () => {
    const flag = "clocks";
    await report(
      batchOf([
        call({ flag, at: NOW - 20 * HOUR_MS }),
        call({ flag, at: NOW + 30_000 }),
        call({ flag, at: NOW - 48 * HOUR_MS }),
        call({ flag, at: NOW + HOUR_MS }),
        call({ flag, at: 0 }),
      ]),
    );
    const span = "from=2026-03-01T12:00:00Z&to=2026-03-02T12:00:00Z";
    const { items } = await usage(`flag=${flag}&bucket=minute&${span}`);
    const minutes = items.map((item) => [item["at"], item.calls]);
    expect(minutes).toEqual([
      ["2026-03-01T13:00:00.000Z", 1],
      ["2026-03-02T09:00:00.000Z", 3],
      ["2026-03-02T09:01:00.000Z", 1],
    ]);
  });
});

describe("a flag that does not exist", () => {
  it("is money of the environment all the same", async () => {
    expect(await report(batchOf([call({ flag: "Misspelt Flag" })]))).toMatchObject({ accepted: 1, rejected: [] });
    expect((await usage("flag=Misspelt%20Flag")).items).toMatchObject([{ calls: 1, costNanoUsd: 10_000_000 }]);
  });
});

describe("an unknown model", () => {
  it("is marked and counted at the dearest rate, never at nothing", async () => {
    const record = call({ flag: "unknown", model: "claude-next-9", requestedModel: "claude-next-9" });
    const known = call({ flag: "known", id: randomUUID() });
    await report(batchOf([record, known]));
    const [unknown] = (await usage("flag=unknown")).items;
    const [priced] = (await usage("flag=known")).items;
    expect(unknown).toMatchObject({ unpriced: 1 });
    expect(priced).toMatchObject({ unpriced: 0 });
    expect(unknown?.costNanoUsd ?? 0).toBeGreaterThan(priced?.costNanoUsd ?? 0);
  });
});
