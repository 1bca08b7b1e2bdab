/** The documentation is valid, complete and served by ourselves. */
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  leaseAnswerSchema,
  snapshotSchema,
  usageAnswerSchema,
  usageBatchSchema,
} from "../../src/http/docs/sdk-document.ts";
import { batchOf, callFor, dailyBudget } from "../support/usage.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { isOperatorApi, ROUTES } from "./route-table.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

const operation = z.looseObject({
  "x-andon-needs": z.string(),
  security: z.array(z.looseObject({})),
  responses: z.record(z.string(), z.unknown()),
});
const documentShape = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});
const read = () => expectJson(harness.call("GET", "/openapi.json", { token: null }), documentShape);

describe("the OpenAPI document", () => {
  it("is valid OpenAPI 3.1", async () => {
    const { valid, errors } = await new Validator().validate(await read());
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
  });

  it("lists every route of the operators' and the clients' API, with who may call it", async () => {
    const { paths } = await read();
    const listed = Object.entries(paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, { "x-andon-needs": needs }]) => [
        `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
        needs,
      ]),
    );
    const demanded = Object.entries(ROUTES)
      .filter(([, entry]) => isOperatorApi(entry) || entry.demand === "sdk")
      .map(([name, { demand }]) => [name, demand] as const);
    expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(demanded));
  });

  it("describes the bodies strictly and the problems of each route", async () => {
    const { paths, components } = await read();
    expect(components.schemas["Kill"]).toMatchObject({ required: ["reason"], additionalProperties: false });
    expect(components.schemas["ChainStep"]).toHaveProperty("properties.set");
    const kill = paths["/v1/environments/{env}/flags/{key}/kill"]?.["post"];
    expect(Object.keys(kill?.responses ?? {})).toEqual([
      "200",
      "401",
      "403",
      "404",
      "409",
      "412",
      "413",
      "415",
      "422",
      "503",
    ]);
    expect(kill?.security).toEqual([{ token: [] }]);
  });
});

describe("what is documented of the clients' API", () => {
  it("is what a server answers, field by field", async () => {
    await seed(harness);
    const kill = { body: { reason: "documented" } };
    await expectStatus(harness.call("POST", "/v1/environments/production/flags/support-chat/kill", kill), 200);
    const as = { token: harness.tokens.sdk };
    const snapshot = await expectJson(harness.call("GET", "/sdk/v1/snapshot", as), snapshotSchema);
    expect(snapshot.flags["support-chat"]?.state).toBe("off");
    const batch = batchOf([callFor(1, { flag: "support-chat" })]);
    expect(usageBatchSchema.safeParse(batch).success).toBe(true);
    await expectJson(harness.call("POST", "/sdk/v1/usage", { ...as, body: batch }), usageAnswerSchema);
    const budget = dailyBudget({ enforcement: "reserve" });
    const { id } = await expectJson(
      harness.call("POST", "/v1/environments/production/budgets", { body: budget }),
      z.object({ id: z.string() }),
      201,
    );
    for (const usd of [10, 95, 200]) {
      const wants = [{ budgetId: id, nanoUsd: usd * 1e9, sinceMs: 0 }];
      const asked = { requestId: `r-${usd}`, instance: "host-1", wants, leases: [] };
      await expectJson(harness.call("POST", "/sdk/v1/leases", { ...as, body: asked }), leaseAnswerSchema);
    }
  });
});

describe("the documentation page", () => {
  it("shows what is sent and what is answered, with the shapes written out", async () => {
    const page = await (await harness.call("GET", "/docs", { token: null })).text();
    const of = (path: string) => page.slice(page.indexOf(`<code>${path}</code>`)).split("</details>")[0] ?? "";
    const kill = of("/v1/environments/{env}/flags/{key}/kill");
    expect(kill).toMatch(/<h3>Body<\/h3><pre[^>]*>\{\n {2}reason: string \| null/);
    expect(kill).toContain("until?: string (date-time)");
    expect(kill).toMatch(/200<\/th><td>[^<]*<pre[^>]*>\{\n {2}key: string/);
    expect(of("/sdk/v1/usage")).toContain("requestedModel: string");
    expect(of("/sdk/v1/snapshot")).toContain("blockedModels: string[]");
    expect(page).not.toContain("$ref&quot;: &quot;#/components/schemas/Kill");
  });

  it("is whole without a script or another host, and its policy forbids both", async () => {
    const response = await harness.call("GET", "/docs", { token: null });
    const page = await response.text();
    expect(response.headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'sha256-/);
    expect(page).not.toMatch(/<script|src=|https?:\/\//i);
    for (const name of Object.keys(ROUTES).filter((route) => route.includes(" /v1/"))) {
      expect(page).toContain(name.slice(name.indexOf(" ") + 1).replaceAll(/:(\w+)/g, "{$1}"));
    }
  });
});
