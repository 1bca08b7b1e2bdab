/**
 * What is shown is what is sent: an application asks for a model outside its flag's chain. A real client, a real browser,
 * and the local Claude endpoint, which alone says what was sent.
 */
import Anthropic from "@anthropic-ai/sdk";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { guard } from "../../sdk-client/src/anthropic.ts";
import { ADMIN_TOKEN } from "../support/server.ts";
import { until } from "../support/until.ts";
import { openPage, type OpenPage, signIn } from "./browser.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const DEAR = "claude-fable-5-1";
const flagShape = z.looseObject({ sends: z.array(z.looseObject({ model: z.string(), why: z.string() })) });

let world: World;
let endpoint: ClaudeEndpoint;
let opened: OpenPage;
let page: Page;

beforeAll(async () => {
  [world, endpoint] = await Promise.all([startWorld({ instances: 1 }), startClaudeEndpoint()]);
  opened = await openPage(world.server, { viewport: { width: 360, height: 740 } });
  page = opened.page;
  await signIn(page, world.server.url, ADMIN_TOKEN);
  await page.waitForURL("**/e/production");
});
afterAll(async () => {
  await opened.context.close();
  await Promise.all([world.close(), endpoint.close()]);
});

/** Asks for the model and waits until the server has counted the call. Answers with the model that was sent. */
async function ask(model: string): Promise<string> {
  const [andon] = world.clients;
  if (andon === undefined) throw new Error("no client");
  const claude = new Anthropic({
    apiKey: "test",
    baseURL: endpoint.url,
    middleware: [guard(andon, { flag: "support-chat" })],
  });
  const before = andon.usageStats().acknowledgedRecords;
  await claude.messages.create({ model, max_tokens: 64, messages: [{ role: "user", content: "Why?" }] });
  await until("the call is counted", () => andon.usageStats().acknowledgedRecords > before);
  return endpoint.calls.at(-1)?.model ?? "";
}

const sends = async () =>
  flagShape.parse(await (await world.server.api("GET", `${PRODUCTION}/flags/support-chat`)).json()).sends;
const row = () => page.locator("#flag-support-chat");

it("the row names what is sent, and holding the flag to its chain is previewed, done, and sent", async () => {
  expect(await ask("claude-opus-5-5")).toBe("claude-opus-5-5");
  expect(await sends()).toEqual([]);
  expect(await ask(`${DEAR}-20261001`)).toBe(`${DEAR}-20261001`);
  expect(await sends()).toMatchObject([{ model: `${DEAR}-20261001`, why: "OUTSIDE", attempts: 1 }]);
  await row().getByText(`Asks for ${DEAR}-20261001, outside its chain.`).waitFor();

  await row().getByRole("link", { name: "hold to chain…" }).click();
  await page.getByRole("heading", { name: "Hold Support chat to its chain" }).waitFor();
  const preview = await page.locator("main").innerText();
  expect(preview).toMatch(/\$\d+\.\d\d\/h now, \$\d+\.\d\d\/h then/);
  expect(preview).toContain(`1 call for ${DEAR}-20261001 would go to claude-opus-5-5`);
  await page.getByRole("button", { name: "Hold to chain" }).click();
  await page.getByText("held to its chain: no other model is sent").first().waitFor();
  await until("the client has applied it", () => world.clients[0]?.flag("support-chat")?.chainOnly === true);

  expect(await ask(DEAR)).toBe("claude-opus-5-5");
  expect(await sends()).toEqual([]);
  await page.goto(`${world.server.url}/e/production`);
  await row().getByText("On", { exact: true }).waitFor();
  expect(await row().innerText()).not.toContain("outside its chain");
  await world.api("PATCH", `${PRODUCTION}/flags/support-chat`, { chainOnly: false });
});

it("a model outside the chain is added to it from the row, before the first that costs less", async () => {
  await until("the client has let go", () => world.clients[0]?.flag("support-chat")?.chainOnly === false);
  await ask("claude-sonnet-4-6");
  await page.goto(`${world.server.url}/e/production/flags/support-chat`);
  await page.getByRole("link", { name: "Add it to the chain…" }).click();
  const models = page.locator('input[name$=".model"]');
  const steps = await models.evaluateAll((inputs) => inputs.map((input) => input.getAttribute("value")));
  expect(steps).toEqual(["claude-opus-5-5", "claude-sonnet-4-6", "claude-sonnet-5-5", "claude-haiku-4-5"]);
  await page.getByRole("button", { name: "Save" }).last().click();
  await page.getByText("Saved the chain opus-first.").waitFor();
  expect(await sends()).toEqual([]);
});

it("a row says so when all its calls go further down its chain", async () => {
  await until("the client has the chain", () => world.clients[0]?.chain("support-chat").length === 4);
  await ask("claude-haiku-4-5");
  expect(await sends()).toMatchObject([{ model: "claude-haiku-4-5", why: "LOWER" }]);
  await page.goto(`${world.server.url}/e/production`);
  await row().getByText("All its calls use claude-haiku-4-5, further down its chain.").waitFor();
  await ask("claude-opus-5-5");
  expect(await sends()).toEqual([]);
  expect(opened.complaints).toEqual([]);
});
