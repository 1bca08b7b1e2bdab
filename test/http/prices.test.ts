/** Prices over HTTP: added and corrected without a release, used by the ledger at once, and carried by snapshots. */
import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { modelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import { priceUsage } from "../../sdk-client/src/pricing/price.ts";
import { parseSnapshot } from "../../sdk-client/src/wire/parse-snapshot.ts";
import { batchOf, callFor } from "../support/usage.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const RATES = { input: 1, output: 8, cacheWrite5m: 1.25, cacheWrite1h: 2, cacheRead: 0.1 };
const BODY = { usdPerMillion: RATES, usPremium: true, reason: "published today" };
const LONG = { abovePromptTokens: 100_000, usdPerMillion: { ...RATES, input: 2, output: 12 } };
const CORRECTED = { input: 3, output: 15, cacheWrite5m: 3.75, cacheWrite1h: 6, cacheRead: 0.3 };
const NEW = "/v1/prices/claude-next-9/2026-01-01";

const listShape = z.object({
  items: z.array(
    z.looseObject({ model: z.string(), validFrom: z.string(), source: z.string(), note: z.string().nullable() }),
  ),
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

  it("counts a row without a date from now on, for one environment or all, and names the revision that it made", async () => {
    const answer = z.looseObject({ revision: z.string(), validFrom: z.string(), warnings: z.array(z.string()) });
    const path = "/v1/environments/production/prices";
    const put = await expectJson(harness.call("PUT", `${path}/claude-next-9`, { body: BODY }), answer);
    expect(put).toMatchObject({ reason: "published today", addedBy: expect.any(String), inForce: true, counted: null });
    expect(put.revision).toBe((await snapshot()).revision);
    expect(put.warnings).toEqual(['No price, chain or call knows the model "claude-next-9" yet.']);
    expect(Math.abs(Date.parse(put.validFrom) - Date.now())).toBeLessThan(60_000);
    const here = await expectJson(harness.call("GET", path), listShape);
    expect(here.items).toEqual(await list());
    await expectStatus(
      harness.call("PUT", "/v1/prices/claude-next-9", { body: { ...BODY, validFrom: "2027-01-01" } }),
      200,
    );
    expect((await list()).filter(({ model }) => model === "claude-next-9")).toMatchObject([
      { validFrom: "2027-01-01", inForce: false },
      { validFrom: put.validFrom, inForce: true },
    ]);
  });

  it("marks what no provider has published", async () => {
    const notes = (await list()).flatMap(({ model, note }) => (note === null ? [] : [[model, note]]));
    expect(notes).toEqual([
      ["claude-fable-5-2", expect.stringMatching(/^From third parties/)],
      ["claude-mythos-5-2", expect.stringMatching(/^Assumed/)],
    ]);
  });

  it("says what calls before a correction were counted at, and leaves them so", async () => {
    await call("claude-next-9");
    await call("claude-opus-5-5");
    const before = await expectJson(harness.call("GET", "/v1/environments/production/usage?groupBy=model"), usageShape);
    const validFrom = new Date(Date.now() - 3_600_000).toISOString();
    const put = async (model: string, usdPerMillion: object) => {
      const answer = z.looseObject({ counted: z.unknown() });
      const body = { ...BODY, usdPerMillion, validFrom };
      return (await expectJson(harness.call("PUT", `/v1/prices/${model}`, { body }), answer)).counted;
    };
    expect(
      await put("claude-opus-5-5", { input: 4, output: 21, cacheWrite5m: 5, cacheWrite1h: 8, cacheRead: 0.2 }),
    ).toMatchObject({
      attempts: 1,
      countedNanoUsd: 20_000_000_000,
      atThisPriceNanoUsd: 21_000_000_000,
    });
    expect(await put("claude-next-9", RATES)).toMatchObject({ attempts: 1, atThisPriceNanoUsd: 8_000_000_000 });
    expect(await put("gemini-12", RATES), "nobody calls it").toBeNull();
    const after = await expectJson(harness.call("GET", "/v1/environments/production/usage?groupBy=model"), usageShape);
    expect(after.items).toEqual(before.items);
  });

  it("keeps what a correction does not give, says so, and asks before fast mode, long prompts or names are gone", async () => {
    const shape = z.looseObject({ warnings: z.array(z.string()), aliases: z.array(z.string()) });
    const put = (model: string, fields: object) => {
      const { input, output, cacheWrite5m, cacheWrite1h, cacheRead } = CORRECTED;
      const usdPerMillion = { input, output, cacheWrite5m, cacheWrite1h, cacheRead };
      return harness.call("PUT", `/v1/prices/${model}`, { body: { usdPerMillion, reason: "corrected", ...fields } });
    };
    const opus = (await list()).find(({ model }) => model === "claude-opus-5-5");
    const kept = await expectJson(put("claude-opus-5-5", {}), shape);
    expect(kept).toMatchObject({ usdPerMillion: CORRECTED, fastUsdPerMillion: opus?.["fastUsdPerMillion"] });
    expect(kept.warnings).toEqual(["What fast mode cost was not given and stays as it was."]);
    const sonnet = (await list()).find(({ model }) => model === "claude-sonnet-4-5");
    const path = `claude-sonnet-4-5/${sonnet?.validFrom ?? ""}`;
    const { long, aliases, usPremium, regionalPremium } = { ...sonnet };
    expect(await expectJson(put(path, {}), shape)).toMatchObject({ long, aliases, usPremium, regionalPremium });
    await expectStatus(
      harness.call("PUT", NEW, { body: { ...BODY, usdPerMillion: CORRECTED, aliases: ["next-9"] } }),
      200,
    );
    const removed: [model: string, fields: object, path: string, message: RegExp][] = [
      [
        "claude-opus-5-5",
        { fastUsdPerMillion: null },
        "fastUsdPerMillion",
        /would count at the dearest rate\. If that is/,
      ],
      [path, { long: null }, "long", /long prompts would count as short ones/],
      ["claude-next-9/2026-01-01", { aliases: [] }, "aliases", /loses next-9, which would have no price/],
    ];
    for (const [model, fields, at, message] of removed) {
      const { errors } = await expectProblem(put(model, fields), 422);
      expect(errors).toEqual([{ path: at, message: expect.stringMatching(message), confirm: "unusual" }]);
    }
    const gone = await expectJson(put("claude-opus-5-5", { fastUsdPerMillion: null, unusual: true }), shape);
    expect(gone).toMatchObject({ fastUsdPerMillion: null, warnings: [] });
  });

  it("asks whether a slip of a known name, or of the decimal point, is meant so", async () => {
    const refused = async (path: string, fields: object) => {
      const problem = await expectProblem(harness.call("PUT", path, { body: { ...BODY, ...fields } }), 422);
      return problem.errors?.map(({ path: at, confirm }) => [at, confirm]);
    };
    const slip = "/v1/prices/claude-opus-5-6";
    const free = { input: 0, output: 0, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0 };
    expect(await refused(slip, {})).toEqual([["model", "newModel"]]);
    await expectStatus(harness.call("PUT", slip, { body: { ...BODY, newModel: true } }), 200);
    const rows: [fields: object, path: string][] = [
      [{ usdPerMillion: free }, "usdPerMillion"],
      [{ usdPerMillion: { ...RATES, output: 0.8 } }, "usdPerMillion.output"],
      [{ usdPerMillion: { ...RATES, cacheRead: 1.5 } }, "usdPerMillion.cacheRead"],
      [{ usdPerMillion: { ...RATES, cacheWrite1h: 1 } }, "usdPerMillion.cacheWrite1h"],
      [{ fastUsdPerMillion: { ...RATES, output: 4 } }, "fastUsdPerMillion.output"],
      [{ long: { abovePromptTokens: 1, usdPerMillion: { ...RATES, input: 0.5 } } }, "long.usdPerMillion.input"],
      [{ validFrom: "2062-01-01" }, "validFrom"],
    ];
    for (const [fields, path] of rows) {
      expect(await refused("/v1/prices/claude-next-9", fields), path).toEqual([[path, "unusual"]]);
    }
    const opus = { input: 40, output: 20, cacheWrite5m: 5, cacheWrite1h: 8, cacheRead: 0.2 };
    expect(await refused("/v1/prices/claude-sonnet-5", { usdPerMillion: { ...opus, output: 200 } })).toEqual([
      ["usdPerMillion.input", "unusual"],
      ["usdPerMillion.output", "unusual"],
    ]);
    await expectStatus(
      harness.call("PUT", "/v1/prices/claude-next-9", { body: { ...BODY, usdPerMillion: free, unusual: true } }),
      200,
    );
  });

  it("is what server and client price by, so that they price the same call alike after a correction", async () => {
    const correction = {
      ...BODY,
      fastUsdPerMillion: { ...RATES, input: 3, output: 21 },
      long: LONG,
      aliases: ["next-9"],
    };
    await expectStatus(harness.call("PUT", NEW, { body: correction }), 200);
    const dearer = { input: 7, output: 33, cacheWrite5m: 9, cacheWrite1h: 15, cacheRead: 0.7 };
    const path = "/v1/prices/claude-sonnet-5-5/2026-10-07";
    await expectStatus(harness.call("PUT", path, { body: { ...BODY, usdPerMillion: dearer, unusual: true } }), 200);
    const sent = parseSnapshot(
      await (await harness.call("GET", "/sdk/v1/snapshot", { token: harness.tokens.sdk })).json(),
    );
    if (!sent.ok) throw new Error(sent.problem);
    const table = modelTable({ blocked: [], prices: sent.snapshot.prices }).prices();
    const used = {
      input: 90_001,
      output: 1_003,
      cacheWrite5m: 7,
      cacheWrite1h: 11,
      cacheRead: 13_001,
      webSearches: 1,
    };
    const kinds = [{}, { batch: true }, { fast: true }, { geo: "us" }, { geo: "cloud:europe-west1" }];
    for (const model of [
      "claude-next-9",
      "next-9",
      "claude-sonnet-5-5",
      "anthropic/claude-sonnet-5.5",
      "nobody-knows",
    ]) {
      for (const kind of kinds) {
        const record = callFor(0, { model, requestedModel: model, usage: used, flag: `f${randomUUID()}`, ...kind });
        const sentAt = batchOf([record]);
        await expectStatus(harness.call("POST", "/sdk/v1/usage", { token: harness.tokens.sdk, body: sentAt }), 200);
        const counted = await expectJson(
          harness.call("GET", `/v1/environments/production/usage?flag=${record.flag}`),
          usageShape,
        );
        const client = priceUsage(table, { model, atMs: record.at, usage: used, ...kind });
        expect(counted.items[0], `${model} ${JSON.stringify(kind)}`).toMatchObject({ costNanoUsd: client.costNanoUsd });
      }
    }
  });

  const REFUSED = [
    [{ usdPerMillion: { ...RATES, input: -1 } }, "usdPerMillion.input"],
    [{ usdPerMillion: { ...RATES, output: 1_001 } }, "usdPerMillion.output"],
    [{ usdPerMillion: { ...RATES, cacheRead: 0.000_000_1 } }, "usdPerMillion.cacheRead"],
    [{ usdPerMillion: { input: 1, output: 2 } }, "usdPerMillion.cacheWrite5m"],
    [{ aliases: ["claude-haiku-4-5-20251001"] }, "aliases.0"],
    [{ aliases: ["next-9", "claude-haiku-4-5"] }, "aliases.1"],
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
