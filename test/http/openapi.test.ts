/** The documentation is valid, complete and served by ourselves. */
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { expectJson, type Harness, startHarness } from "./harness.ts";
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

  it("lists every route of the operator API, with who may call it", async () => {
    const { paths } = await read();
    const listed = Object.entries(paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, { "x-andon-needs": needs }]) => [
        `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
        needs,
      ]),
    );
    const demanded = Object.entries(ROUTES)
      .filter(([, entry]) => isOperatorApi(entry))
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

describe("the documentation page", () => {
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
