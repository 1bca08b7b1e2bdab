/** Flag keys that applications ask for and nobody has made: told on the board, by the API and the command, and made from there. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { Andon } from "../../sdk-client/src/andon.ts";
import { pruneRecentCalls } from "../../src/services/usage/prune.ts";
import { SILENT } from "../support/guard-world.ts";
import { WallClock } from "../support/clock.ts";
import { ADMIN_TOKEN, makeToken } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";
import { until } from "../support/until.ts";
import { openPage, type OpenPage, signIn } from "./browser.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const listShape = z.looseObject({
  items: z.array(
    z.looseObject({ key: z.string(), meant: z.string().nullable(), app: z.string().nullable(), isKey: z.boolean() }),
  ),
  isFull: z.boolean(),
});

const clock = new WallClock(Date.parse("2026-11-21T01:41:00Z"));
let world: World;
let opened: OpenPage;
let page: Page;

beforeAll(async () => {
  world = await startWorld({ instances: 0, clock });
  opened = await openPage(world.server, { viewport: { width: 360, height: 740 } });
  page = opened.page;
  await signIn(page, world.server.url, ADMIN_TOKEN);
  await page.waitForURL("**/e/production");
});
afterAll(async () => {
  await opened.context.close();
  await world.close();
});

const unknown = async () =>
  listShape.parse(await (await world.server.api("GET", `${PRODUCTION}/unknown-flags`)).json());

it("a misspelt key of a running application is named with the flag that is meant, and made from there", async () => {
  const token = await makeToken(world.server.deps, { kind: "sdk" });
  const connect = async (app: string): Promise<Andon> => {
    const client = new Andon({ url: world.server.url, token, app, instance: `${app}-1`, logger: SILENT });
    await client.ready();
    return client;
  };
  const andon = await connect("shop");
  const other = await connect("other");
  andon.isEnabled("suport-chat");
  andon.isEnabled("support-chat");
  // Evaluations travel with the usage of a call, else every quarter of a minute.
  andon.report({ flag: "support-chat", model: "claude-haiku-4-5", usage: { input: 1 } });
  await until("the server heard of it", async () => (await unknown()).items.length > 0);
  expect((await unknown()).items).toMatchObject([
    { key: "suport-chat", meant: "support-chat", app: "shop", isKey: true },
  ]);
  const line = page.locator("#unknown");
  await line.getByText("Applications ask for 1 flag that nobody has made").waitFor();
  expect(await line.innerText()).toMatch(/suport-chat \(did you mean support-chat\?\), last .* by shop/);

  await line.getByRole("link", { name: "Make the flag suport-chat" }).click();
  expect(await page.getByLabel("Key").inputValue()).toBe("suport-chat");
  expect(await page.getByLabel("Name", { exact: true }).inputValue()).toBe("Suport chat");
  await page.getByRole("button", { name: "Create flag" }).click();
  await page.locator("#flag-suport-chat").waitFor();
  expect((await unknown()).items).toEqual([]);
  expect(await page.getByText("that nobody has made").count()).toBe(0);
  await Promise.all([andon.close(), other.close()]);
  expect(opened.complaints).toEqual([]);
});

it("keys that are made up have a bound, are never a flag's, and are forgotten when nobody asks for them", async () => {
  const made = Array.from({ length: 120 }, (_, n) => callFor(0.01, { flag: `User 42/${n}`, at: clock.nowMs() }));
  await report(world.server.deps, made);
  await report(
    world.server.deps,
    made.map((call) => ({ ...call, id: `${call.id}-2` })),
  );
  const { items, isFull } = await unknown();
  expect(items).toHaveLength(50);
  expect(isFull).toBe(true);
  expect(items.every(({ isKey, meant }) => !isKey && meant === null)).toBe(true);
  await page.goto(`${world.server.url}/e/production`);
  await page.getByText("Applications ask for 50 flags or more that nobody has made").waitFor();
  await pruneRecentCalls(world.server.deps);
  const slip = callFor(0.01, { flag: "summarise-ticket", at: clock.nowMs() });
  await report(world.server.deps, [slip]);
  await report(
    world.server.deps,
    made.map((call) => ({ ...call, id: `${call.id}-3` })),
  );
  expect((await unknown()).items, "a slip gets a place among them, and is told first").toHaveLength(50);
  expect((await unknown()).items[0]).toMatchObject({ key: "summarise-ticket", meant: "summarize-ticket" });
  clock.moveTo(clock.nowMs() + 61 * 60_000);
  await report(world.server.deps, [callFor(0.01, { flag: "drafts-reply", at: clock.nowMs() })]);
  await pruneRecentCalls(world.server.deps);
  await report(world.server.deps, [callFor(0.01, { flag: "drafts-reply", at: clock.nowMs() })]);
  expect((await unknown()).items).toMatchObject([{ key: "drafts-reply", meant: "draft-reply" }]);
});

it("deleting a flag says what becomes of its budgets, before it is done and after", async () => {
  await world.api(
    "POST",
    `${PRODUCTION}/budgets`,
    dailyBudget({ name: "Summaries", scope: { flag: "summarize-ticket" } }),
  );
  const path = `${world.server.url}/e/production/flags/summarize-ticket`;
  await page.goto(path);
  await page.getByText("Delete this flag…").click();
  await page.getByText("Its budget Summaries stays: it goes on counting calls under this key").waitFor();
  await page.getByRole("button", { name: "Delete summarize-ticket" }).click();
  await page.getByText("Deleted the flag summarize-ticket. Its budget Summaries stays").waitFor();
  await world.api("POST", `${PRODUCTION}/flags`, { key: "summarize-ticket", name: "Again" });
  const deleted = await world.server.api("DELETE", `${PRODUCTION}/flags/summarize-ticket`);
  expect(await deleted.json()).toMatchObject({ budgets: [{ name: "Summaries" }] });
});
