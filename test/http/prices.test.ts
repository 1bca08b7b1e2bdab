/** Prices over HTTP: added and corrected without a release, used by the ledger at once, and carried by snapshots. */
import { beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { batchOf, callFor } from "../support/usage.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const RATES = { input: 1, output: 8, cacheWrite5m: 1.25, cacheWrite1h: 2, cacheRead: 0.1 };
const BODY = { usdPerMillion: RATES, usPremium: true, reason: "published today" };
const NEW = "/v1/prices/claude-next-9/2026-01-01";

const listShape = z.object({
  items: z.array(z.looseObject({ model: z.string(), validFrom: z.string(), source: z.string() })),
});
const usageShape = z.looseObject({
  items: z.array(z.looseObject({ costNanoUsd: z.number(), unpriced: z.number() })),
});
const snapshotShape = z.looseObject({ revision: z.string(), prices: z.array(z.looseObject({ model: z.string() })) });

let harness: Harness;

beforeEach(async () => {
  harness = await startHarness();
  await seed(harness);
  return () => harness.close();
});

const list = async () => (await expectJson(harness.call("GET", "/v1/prices"), listShape)).items;
const snapshot = () =>
  expectJson(harness.call("GET", "/sdk/v1/snapshot", { token: harness.tokens.sdk }), snapshotShape);
const call = (model: string) => {
  const record = callFor(0, { model, requestedModel: model });
  record.usage.output = 1_000_000;
  return expectStatus(
    harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: batchOf([record]) }),
    200,
  );
};
const usage = async () =>
  (await expectJson(harness.call("GET", "/v1/environments/production/usage"), usageShape)).items[0];

const models = async () => new Set((await snapshot()).prices.map(({ model }) => model));

describe("the price list", () => {
  it("has the built-in rows in USD per million tokens", async () => {
    const row = (await list()).find(({ model }) => model === "claude-sonnet-4-5");
    expect(row).toMatchObject({
      usdPerMillion: { input: 3, output: 15, cacheWrite5m: 3.75, cacheWrite1h: 6, cacheRead: 0.3 },
      long: { abovePromptTokens: 200_000, usdPerMillion: { input: 6, output: 22.5 } },
      source: "builtIn",
      addedBy: null,
    });
  });

  it("takes a new model, by which the ledger prices the very next call", async () => {
    await call("claude-next-9");
    expect(await usage()).toMatchObject({ unpriced: 1 });
    expect((await usage())?.costNanoUsd).toBeGreaterThan(8_000_000_000);
    const before = (await usage())?.costNanoUsd ?? 0;
    await expectStatus(harness.call("PUT", NEW, { body: BODY }), 200);
    await call("claude-next-9");
    expect(await usage()).toMatchObject({ unpriced: 1, costNanoUsd: before + 8_000_000_000 });
    expect((await list()).filter(({ source }) => source === "added")).toMatchObject([
      { model: "claude-next-9", validFrom: "2026-01-01", usdPerMillion: RATES },
    ]);
  });

  it("lets a built-in row be corrected, and go back to what it was", async () => {
    const haiku = (await list()).find(({ model }) => model === "claude-haiku-4-5");
    const path = `/v1/prices/claude-haiku-4-5/${haiku?.validFrom ?? ""}`;
    await expectStatus(harness.call("PUT", path, { body: BODY }), 200);
    expect((await list()).filter(({ model }) => model === "claude-haiku-4-5")).toMatchObject([
      { source: "added", usdPerMillion: RATES },
    ]);
    await expectStatus(harness.call("DELETE", path), 204);
    expect((await list()).find(({ model }) => model === "claude-haiku-4-5")).toEqual(haiku);
    await expectProblem(harness.call("DELETE", path), 404);
  });

  it("is a new revision of every environment, with the reason in the audit", async () => {
    const before = await snapshot();
    await expectStatus(harness.call("PUT", NEW, { body: BODY }), 200);
    expect((await snapshot()).revision).not.toBe(before.revision);
    const audit = z.looseObject({ items: z.array(z.looseObject({ action: z.string() })) });
    for (const key of ["production", "staging"]) {
      const { items } = await expectJson(harness.call("GET", `/v1/environments/${key}/audit?limit=1`), audit);
      expect(items).toMatchObject([
        { action: "price.added", target: { kind: "price", key: "claude-next-9" }, reason: "published today" },
      ]);
    }
  });

  it("travels in the snapshot: what chains use and what operators priced", async () => {
    const ofChain = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"];
    expect(await models()).toEqual(new Set(ofChain));
    await expectStatus(harness.call("PUT", NEW, { body: BODY }), 200);
    expect(await models()).toEqual(new Set([...ofChain, "claude-next-9"]));
  });

  const REFUSED = [
    [{ usdPerMillion: { ...RATES, input: -1 } }, "usdPerMillion.input"],
    [{ usdPerMillion: { ...RATES, output: 1_001 } }, "usdPerMillion.output"],
    [{ usdPerMillion: { ...RATES, cacheRead: 0.000_000_1 } }, "usdPerMillion.cacheRead"],
    [{ usdPerMillion: { input: 1, output: 2 } }, "usdPerMillion.cacheWrite5m"],
    [{ aliases: ["claude-haiku-4-5-20251001"] }, "aliases.0"],
    [{ aliases: [""] }, "aliases.0"],
    [{ usPremium: "yes" }, "usPremium"],
    [{ long: { abovePromptTokens: -1, usdPerMillion: RATES } }, "long.abovePromptTokens"],
    [{ reason: "" }, "reason"],
    [{ rates: RATES }, "rates"],
  ] as const;
  it("refuses a faulty row with the path of each fault", async () => {
    for (const [fields, path] of REFUSED) {
      const problem = await expectProblem(harness.call("PUT", NEW, { body: { ...BODY, ...fields } }), 422);
      expect({ fields, paths: problem.errors?.map((error) => error.path) }).toEqual({
        fields,
        paths: expect.arrayContaining([path]),
      });
    }
    for (const validFrom of ["yesterday", "2026-02-30", "2026-01-01T00:00:00"]) {
      const path = `/v1/prices/claude-next-9/${encodeURIComponent(validFrom)}`;
      const problem = await expectProblem(harness.call("PUT", path, { body: BODY }), 422);
      expect(problem.errors?.map((error) => error.path)).toEqual(["validFrom"]);
    }
  });

  it("is changed by admins of all environments only", async () => {
    await expectProblem(harness.call("PUT", NEW, { body: BODY, token: harness.tokens.otherAdmin }), 403);
    await expectProblem(harness.call("DELETE", NEW, { token: harness.tokens.otherAdmin }), 403);
    await expectStatus(harness.call("GET", "/v1/prices", { token: harness.tokens.viewer }), 200);
  });
});
