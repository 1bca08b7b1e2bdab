/** A `kill` token only tightens, whatever sequence of calls it makes. */
import * as fc from "fast-check";
import { z } from "zod";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness, STEPS } from "./harness.ts";
import { isOperatorApi, ROUTES, routesWhere } from "./route-table.ts";

const ENV = "/v1/environments/production";
const FLAG = `${ENV}/flags/support-chat`;
const MAX_CALLS = 10;
const RUNS = 25;
const TIMEOUT_MS = 120_000;

const flagShape = z.looseObject({
  switch: z.object({ state: z.string(), until: z.string().nullable(), reason: z.string().nullable() }),
  level: z.object({ level: z.number(), manual: z.object({ until: z.string().nullable() }).nullable() }),
});
const masterShape = z.object({ state: z.string(), until: z.string().nullable() });
const listShape = z.object({ items: z.array(z.looseObject({})) });

interface State {
  flag: z.infer<typeof flagShape>;
  master: z.infer<typeof masterShape>;
}

let harness: Harness;
const clock = new FakeClock();

beforeAll(async () => {
  harness = await startHarness({ clock });
  await seed(harness);
});
afterAll(() => harness.close());

const untilIn = fc
  .option(fc.integer({ min: 1, max: 100 }), { nil: undefined })
  .map((hours) => (hours === undefined ? {} : { until: new Date(clock.nowMs() + hours * 3_600_000).toISOString() }));
const reason = fc.constantFrom("a", "b", "c").map((text) => ({ reason: text }));
const tighten = fc.oneof(
  fc
    .record({
      path: fc.constantFrom(`${FLAG}/kill`, `${ENV}/tags/team-support/kill`, `${ENV}/kill`),
      parts: fc.tuple(reason, untilIn),
    })
    .map(({ path, parts }) => ({ method: "POST", path, body: { ...parts[0], ...parts[1] } })),
  fc
    .tuple(
      reason,
      untilIn,
      fc.oneof(
        fc.integer({ min: 0, max: 2 }).map((level) => ({ level })),
        fc.constantFrom(...STEPS),
        fc.constant({}),
      ),
    )
    .map((parts) => ({
      method: "POST",
      path: `${FLAG}/downgrade`,
      body: Object.assign({}, ...parts) as Record<string, unknown>,
    })),
);
const anything = fc
  .constantFrom(...routesWhere((entry) => isOperatorApi(entry) && entry.demand !== "tighten"))
  .map(({ method, entry }) => ({ method, path: entry.path, body: entry.body }));
const calls = fc.array(fc.oneof({ weight: 4, arbitrary: tighten }, { weight: 1, arbitrary: anything }), {
  minLength: 1,
  maxLength: MAX_CALLS,
});
/** What an operator has done before the token is used. */
const before = fc.record({
  killed: fc.boolean(),
  level: fc.integer({ min: 0, max: 2 }),
  master: fc.boolean(),
  hours: untilIn,
});

describe("a kill token", () => {
  it(
    "never turns anything on, lowers a level, makes an end sooner or edits anything, in any sequence of calls",
    async () => {
      await fc.assert(
        fc.asyncProperty(before, calls, async (start, sequence) => {
          await arrange(start);
          const defined = await definitions();
          let known = await observe();
          for (const { method, path, body } of sequence) {
            const response = await harness.call(method, path, { token: harness.tokens.kill, body });
            expect(response.status).toBeLessThan(500);
            const next = await observe();
            expectNotLoosened(known, next);
            known = next;
          }
          expect(await definitions()).toBe(defined);
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );

  it("may call what tightens, and read nothing but what it may and the environments it is for", () => {
    const allowed = Object.entries(ROUTES).filter(([, { demand }]) => demand === "tighten" || demand === "any");
    expect(allowed.map(([name]) => name)).toEqual([
      "GET /v1/token",
      "GET /v1/environments",
      "GET /v1/environments/:env",
      "POST /v1/environments/:env/flags/:key/kill",
      "POST /v1/environments/:env/flags/:key/downgrade",
      "POST /v1/environments/:env/tags/:tag/kill",
      "POST /v1/environments/:env/kill",
      "POST /v1/triggers/:id",
    ]);
  });
});

async function arrange(start: {
  killed: boolean;
  level: number;
  master: boolean;
  hours: { until?: string };
}): Promise<void> {
  const body = { reason: "arranged" };
  await expectStatus(harness.call("POST", `${ENV}/restore`, { body }), 200);
  // Twice: the first turns it on, the second lifts its level.
  await expectStatus(harness.call("POST", `${FLAG}/restore`, { body }), 200);
  await expectStatus(harness.call("POST", `${FLAG}/restore`, { body }), 200);
  if (start.level > 0)
    await expectStatus(
      harness.call("POST", `${FLAG}/downgrade`, { body: { ...body, ...start.hours, level: start.level } }),
      200,
    );
  if (start.killed)
    await expectStatus(harness.call("POST", `${FLAG}/kill`, { body: { ...body, ...start.hours } }), 200);
  if (start.master) await expectStatus(harness.call("POST", `${ENV}/kill`, { body: { ...body, ...start.hours } }), 200);
}

async function observe(): Promise<State> {
  return {
    flag: await expectJson(harness.call("GET", FLAG), flagShape),
    master: await expectJson(harness.call("GET", `${ENV}/master`), masterShape),
  };
}

/** Everything that people define, without the state that kills and downgrades change. */
async function definitions(): Promise<string> {
  const state = new Set(["switch", "level", "effective", "standing", "version", "updatedAt"]);
  const flag = await expectJson(harness.call("GET", FLAG), flagShape);
  const definition = Object.entries(flag).filter(([field]) => !state.has(field));
  const environments = (await items("/v1/environments")).length;
  const others = await Promise.all([`${ENV}/chains`, `${ENV}/models`, "/v1/tokens"].map(items));
  return JSON.stringify([definition, environments, others]);
}

async function items(path: string): Promise<readonly unknown[]> {
  return (await expectJson(harness.call("GET", path), listShape)).items;
}

function expectNotLoosened(from: State, to: State): void {
  if (from.flag.switch.state === "off") {
    expect(to.flag.switch.state).toBe("off");
    expectNotSooner(from.flag.switch.until, to.flag.switch.until);
    expect(to.flag.switch.reason).toBe(from.flag.switch.reason);
  }
  if (from.master.state === "off") {
    expect(to.master.state).toBe("off");
    expectNotSooner(from.master.until, to.master.until);
  }
  expect(to.flag.level.level).toBeGreaterThanOrEqual(from.flag.level.level);
  if (from.flag.level.manual !== null) {
    expect(to.flag.level.manual).not.toBeNull();
    expectNotSooner(from.flag.level.manual.until, to.flag.level.manual?.until ?? null);
  }
}

/** Null is "until restored", the latest end of all. */
function expectNotSooner(from: string | null, to: string | null): void {
  expect(endMs(to)).toBeGreaterThanOrEqual(endMs(from));
}

function endMs(until: string | null): number {
  return until === null ? Infinity : Date.parse(until);
}
