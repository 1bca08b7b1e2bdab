/** Too much usage to keep: records are summed so that every token and its price survive, within bounds. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  MAX_TOKENS_PER_CLASS,
  NO_USAGE,
  RECORD_FIELDS,
  MAX_RECORDS_PER_BATCH,
  MAX_USAGE_BODY_BYTES,
  type UsageRecord,
} from "../../sdk-client/src/wire/usage-protocol.ts";
import { modelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import { promptTokens } from "../../sdk-client/src/pricing/usage.ts";
import { isUsageRecord } from "../../src/http/sdk/usage-record.ts";
import { UsageBuffer } from "../../sdk-client/src/reporting/buffer.ts";

const thresholds = modelTable({ blocked: [] }).promptThresholds;
const START_MS = Date.UTC(2026, 10, 20);
const QUARTER_HOUR_MS = 900_000;

function makeRecord(changes: Partial<UsageRecord> = {}): UsageRecord {
  return {
    id: "id",
    at: START_MS,
    flag: "chat",
    model: "claude-opus-5-5",
    requestedModel: "claude-opus-5-5",
    outcome: "ok",
    exact: true,
    usage: { ...NO_USAGE, input: 10, output: 1 },
    attempt: 1,
    latencyMs: 100,
    ...changes,
  };
}

function takeAll(buffer: UsageBuffer): UsageRecord[] {
  const all: UsageRecord[] = [];
  while (buffer.size > 0) {
    const batch = buffer.takeBatch();
    expect(batch.length).toBeGreaterThan(0);
    expect(batch.length).toBeLessThanOrEqual(MAX_RECORDS_PER_BATCH);
    expect(Buffer.byteLength(batch.join(","))).toBeLessThan(MAX_USAGE_BODY_BYTES);
    all.push(...batch.map((json): UsageRecord => JSON.parse(json)));
  }
  return all;
}

function total(records: readonly UsageRecord[], pick: (record: UsageRecord) => number): number {
  return records.reduce((sum, record) => sum + pick(record), 0);
}

test("below the bounds records stay as they are, in order", () => {
  const buffer = new UsageBuffer(thresholds);
  const records = Array.from({ length: 2_500 }, (_, index) => makeRecord({ id: String(index), requestId: "r" }));
  for (const record of records) buffer.add({ ...record });
  expect(takeAll(buffer)).toEqual(records);
  expect(buffer.summed).toBe(0);
});

test("beyond the bound the older ones become a sum with its count, its largest prompt and its mean latency", () => {
  const buffer = new UsageBuffer(thresholds, { maxRecords: 4, maxBytes: 1e9, maxSums: 10 });
  for (let n = 1; n <= 5; n += 1) {
    buffer.add(
      makeRecord({ id: `r${n}`, usage: { ...NO_USAGE, input: n }, latencyMs: n * 100, user: "u", at: START_MS + n }),
    );
  }
  const [sum, ...rest] = takeAll(buffer);
  expect(sum).toMatchObject({
    id: "r1",
    count: 3,
    usage: { input: 6 },
    promptTokens: 3,
    latencyMs: 200,
    at: START_MS + 3,
  });
  expect(sum).not.toHaveProperty("user");
  expect(rest.map(({ id }) => id)).toEqual(["r4", "r5"]);
  expect(buffer).toMatchObject({ summed: 3, dropped: 0 });
});

test.each<[string, Partial<UsageRecord>]>([
  ["flag", { flag: "other" }],
  ["model", { model: "claude-sonnet-5-5" }],
  ["requested model", { requestedModel: "claude-sonnet-5-5" }],
  ["outcome", { outcome: "aborted" }],
  ["exactness", { exact: false }],
  ["batch", { batch: true }],
  ["speed", { fast: true }],
  ["place", { geo: "us" }],
  ["kind of work", { part: "advisor" }],
  ["retry", { attempt: 2 }],
  ["what decided them", { revision: "a.1" }],
  ["price threshold of 100,000 tokens", { usage: { ...NO_USAGE, cacheRead: 100_001 } }],
  ["quarter of an hour", { at: START_MS + QUARTER_HOUR_MS }],
])("records that differ in %s are not summed together", (_what, changes) => {
  const buffer = new UsageBuffer(thresholds, { maxRecords: 3, maxBytes: 1e9, maxSums: 10 });
  for (const record of [makeRecord(), makeRecord(changes), makeRecord(), makeRecord()]) buffer.add(record);
  expect(takeAll(buffer)).toHaveLength(4);
});

test("a sum tells what decided its calls as long as there is room for that, and never says it of others", () => {
  const records = ["a.1", "a.2", "a.2", "a.2"].map((revision) => makeRecord({ revision }));
  const roomy = new UsageBuffer(thresholds, { maxRecords: 1, maxBytes: 1e9, maxSums: 2 });
  for (const record of records) roomy.add({ ...record });
  expect(takeAll(roomy)).toMatchObject([{ revision: "a.1" }, { revision: "a.2", count: 2 }, { revision: "a.2" }]);
  const tight = new UsageBuffer(thresholds, { maxRecords: 1, maxBytes: 1e9, maxSums: 1 });
  for (const record of records) tight.add({ ...record });
  const [sum] = takeAll(tight);
  expect(sum).toMatchObject({ count: 3 });
  expect(sum).not.toHaveProperty("revision");
});

test("bytes are bounded too, and texts are cut", () => {
  const buffer = new UsageBuffer(thresholds, { maxRecords: 1e9, maxBytes: 10_000, maxSums: 10 });
  for (let n = 0; n < 1_000; n += 1) buffer.add(makeRecord({ user: "u".repeat(1_000) }));
  expect(buffer.size).toBeLessThan(30);
  const records = takeAll(buffer);
  expect(total(records, ({ count }) => count ?? 1)).toBe(1_000);
  expect(records.at(-1)?.user).toHaveLength(RECORD_FIELDS.user.max);
});

test("what no database could store is replaced, so that the server takes the record", () => {
  const buffer = new UsageBuffer(thresholds);
  const cut = `${"u".repeat(RECORD_FIELDS.user.max - 1)}\u{1f600}`;
  buffer.add(makeRecord({ user: "a\0b\ud800c", session: cut, requestId: "\u{1f600}", attempt: 5_000, latencyMs: 1e9 }));
  const [record] = takeAll(buffer);
  expect(record).toMatchObject({
    user: "a\ufffdb\ufffdc",
    requestId: "\u{1f600}",
    attempt: 1_000,
    latencyMs: 86_400_000,
  });
  expect(record?.session).toBe(`${"u".repeat(RECORD_FIELDS.user.max - 1)}\ufffd`);
});

test("whatever a client keeps, the server takes: both go by one list of fields and bounds", () => {
  const odd = fc.oneof(fc.string({ unit: "binary", minLength: 1, maxLength: 300 }), fc.constant("two\nlines\u0085"));
  const number = fc.oneof(fc.nat(2_000), fc.constant(1e12), fc.double({ min: 0, noNaN: true }));
  const whole = number.map(Math.ceil);
  const record = fc
    .record(
      {
        id: odd,
        flag: odd,
        model: odd,
        requestedModel: odd,
        user: odd,
        session: odd,
        requestId: odd,
        part: odd,
        at: number,
        attempt: whole,
        latencyMs: number,
        firstTokenMs: number,
        status: whole,
        count: whole,
        promptTokens: whole,
      },
      { requiredKeys: [] },
    )
    .map((changes) => makeRecord(changes));
  const faults: unknown[] = [];
  fc.assert(
    fc.property(fc.array(record, { maxLength: 20 }), fc.integer({ min: 1, max: 20 }), (records, maxRecords) => {
      const buffer = new UsageBuffer(thresholds, { maxRecords, maxBytes: 1e9, maxSums: 100 });
      for (const each of records) buffer.add(each);
      const taken = takeAll(buffer);
      expect(taken.filter((each) => !isUsageRecord(each, (fault) => faults.push(fault)))).toEqual([]);
      expect(faults).toEqual([]);
    }),
    { numRuns: 50 },
  );
  const kept = new UsageBuffer(thresholds);
  kept.add(makeRecord({ user: "two\nlines", model: "m".repeat(200), status: 5_000 }));
  expect(takeAll(kept)).toMatchObject([{ user: "two\ufffdlines", model: "m".repeat(128), status: 999 }]);
});

test("where an operator's price has a threshold of its own, calls on either side of it are not summed", () => {
  const rates = { input: 1, output: 1, cacheWrite5m: 1, cacheWrite1h: 1, cacheRead: 1 };
  const long = { abovePromptTokens: 150_000, rates };
  const row = { model: "claude-opus-5-5", validFrom: "2026-01-01", rates, long, usPremium: false };
  const { promptThresholds } = modelTable({ blocked: [], prices: [row] });
  expect(promptThresholds()).toEqual([100_000, 150_000, 200_000]);
  const buffer = new UsageBuffer(promptThresholds, { maxRecords: 1, maxBytes: 1e9, maxSums: 10 });
  for (const input of [120_000, 130_000, 160_000, 170_000, 1]) {
    buffer.add(makeRecord({ usage: { ...NO_USAGE, input } }));
  }
  expect(takeAll(buffer)).toMatchObject([
    { count: 2, promptTokens: 130_000 },
    { count: 2, promptTokens: 170_000 },
    { usage: { input: 1 } },
  ]);
});

test("a sum that would pass what one record may hold is closed, and another begun", () => {
  const buffer = new UsageBuffer(thresholds, { maxRecords: 1, maxBytes: 1e9, maxSums: 10 });
  for (let n = 0; n < 6; n += 1) buffer.add(makeRecord({ usage: { ...NO_USAGE, output: MAX_TOKENS_PER_CLASS / 2 } }));
  const records = takeAll(buffer);
  expect(records.length).toBeGreaterThan(1);
  for (const { usage } of records) expect(usage.output).toBeLessThanOrEqual(MAX_TOKENS_PER_CLASS);
  expect(total(records, ({ usage }) => usage.output)).toBe(3 * MAX_TOKENS_PER_CLASS);
});

test("when sums are too many, longer times are summed; only when that is not enough something is lost, and counted", () => {
  const spread = new UsageBuffer(thresholds, { maxRecords: 1, maxBytes: 1e9, maxSums: 4 });
  for (let n = 0; n < 200; n += 1) spread.add(makeRecord({ at: START_MS + n * QUARTER_HOUR_MS }));
  expect(spread.size).toBeLessThanOrEqual(6);
  expect(spread.dropped).toBe(0);
  expect(total(takeAll(spread), ({ count }) => count ?? 1)).toBe(200);
  const wide = new UsageBuffer(thresholds, { maxRecords: 1, maxBytes: 1e9, maxSums: 4 });
  for (let n = 0; n < 20; n += 1) wide.add(makeRecord({ flag: `flag-${n}` }));
  const kept = total(takeAll(wide), ({ count }) => count ?? 1);
  expect(wide.dropped).toBeGreaterThan(0);
  expect(kept + wide.dropped).toBe(20);
});

test("whatever comes, in whatever order: every attempt and every token is in some sum, on its side of each threshold", () => {
  const tokens = fc.nat(300_000);
  const record = fc
    .record({
      flag: fc.constantFrom("chat", "search"),
      outcome: fc.constantFrom<UsageRecord["outcome"]>("ok", "error"),
      exact: fc.boolean(),
      at: fc.nat(10).map((n) => START_MS + n * 400_000),
      usage: fc.record({
        input: tokens,
        output: tokens,
        cacheWrite5m: tokens,
        cacheWrite1h: tokens,
        cacheRead: tokens,
        webSearches: fc.nat(9),
      }),
    })
    .map((changes) => makeRecord(changes));
  fc.assert(
    fc.property(fc.array(record, { maxLength: 120 }), fc.integer({ min: 1, max: 20 }), (records, maxRecords) => {
      const buffer = new UsageBuffer(thresholds, { maxRecords, maxBytes: 1e9, maxSums: 1_000 });
      for (const each of records) buffer.add({ ...each });
      expect(buffer.size).toBeLessThanOrEqual(maxRecords + 1_000);
      const kept = takeAll(buffer);
      expect(total(kept, ({ count }) => count ?? 1)).toBe(records.length);
      for (const name of ["input", "output", "cacheWrite5m", "cacheWrite1h", "cacheRead", "webSearches"] as const) {
        expect(total(kept, ({ usage }) => usage[name])).toBe(total(records, ({ usage }) => usage[name]));
      }
      for (const threshold of [100_000, 200_000]) {
        const above = (each: UsageRecord): number =>
          (each.promptTokens ?? promptTokens(each.usage)) > threshold ? each.usage.output : 0;
        expect(total(kept, above)).toBe(total(records, above));
      }
    }),
  );
});
