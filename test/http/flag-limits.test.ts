/** Limits and caps of a flag: defined over the API, told to clients by the snapshot, audited, taken back. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { parseSnapshot } from "../../sdk-client/src/wire/parse-snapshot.ts";
import { expectProblem } from "./problem-shape.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";

const ENV = "/v1/environments/production";
const FLAG = `${ENV}/flags/support-chat`;
const LIMITS = {
  flag: { concurrent: 200, tokensPerDay: 5_000_000_000 },
  user: { concurrent: 2, requestsPerMinute: 20 },
};

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
  await seed(harness);
});
afterAll(() => harness.close());

const shape = z.looseObject({
  limits: z.unknown(),
  maxInputBytes: z.number().nullable(),
  maxOutputTokens: z.number().nullable(),
});
const edit = (body: unknown) => expectJson(harness.call("PATCH", FLAG, { body }), shape);
const told = async () => {
  const parsed = parseSnapshot(
    await expectJson(harness.call("GET", "/sdk/v1/snapshot", { token: harness.tokens.sdk }), z.unknown()),
  );
  if (!parsed.ok) throw new Error(parsed.problem);
  expect(parsed.warnings).toEqual([]);
  const { limits, maxInputBytes, maxOutputTokens } = parsed.snapshot.flags["support-chat"] ?? {};
  return { limits, maxInputBytes, maxOutputTokens };
};

it("a flag has no limits until it is given some; they reach clients as they are, and go again", async () => {
  const none = { limits: {}, maxInputBytes: null, maxOutputTokens: null };
  expect(await expectJson(harness.call("GET", FLAG), shape)).toMatchObject(none);
  expect(await told()).toEqual({});
  expect(await edit({ limits: LIMITS, maxInputBytes: 100_000, maxOutputTokens: 4_096 })).toMatchObject({
    limits: LIMITS,
  });
  expect(await told()).toEqual({ limits: LIMITS, maxInputBytes: 100_000, maxOutputTokens: 4_096 });
  const audit = await expectJson(
    harness.call("GET", `${ENV}/audit?kind=flag&key=support-chat&limit=1`),
    z.looseObject({ items: z.array(z.looseObject({ id: z.number(), after: shape })) }),
  );
  expect(audit.items[0]?.after).toMatchObject({ limits: LIMITS, maxInputBytes: 100_000 });
  await expectStatus(harness.call("POST", `${ENV}/audit/${String(audit.items[0]?.id)}/revert`, { body: {} }), 200);
  expect(await expectJson(harness.call("GET", FLAG), shape)).toMatchObject(none);
  expect(await told()).toEqual({});
});

it.each([
  ["a limit of nothing", { limits: { user: { concurrent: 0 } } }, "limits.user.concurrent"],
  ["half a call", { limits: { flag: { requestsPerMinute: 1.5 } } }, "limits.flag.requestsPerMinute"],
  ["more than can be counted", { limits: { session: { tokensPerDay: 1e15 } } }, "limits.session.tokensPerDay"],
  ["a limit that there is not", { limits: { flag: { perHour: 3 } } }, "limits.flag"],
  ["no bytes at all", { maxInputBytes: 0 }, "maxInputBytes"],
  ["a text", { maxOutputTokens: "many" }, "maxOutputTokens"],
])("%s is refused, by its path", async (_, body, path) => {
  const problem = await expectProblem(await harness.call("PATCH", FLAG, { body }), 422);
  expect(JSON.stringify(problem)).toContain(`"path":"${path}`);
});
