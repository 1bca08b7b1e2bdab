/** A budget breach as on-call lives it, in a real browser with real clients: with JavaScript, and without it. */
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dailyBudget } from "../support/usage.ts";
import { until } from "../support/until.ts";
import { openPage, type OpenPage, signIn } from "./browser.ts";
import { budgetIdOf, type MoneyWorld, spendUntilNight, startMoneyWorld } from "./money-world.ts";
import { PRODUCTION } from "./world.ts";

/** A browser and three clients on a busy machine. */
const BROWSER_MS = 60_000;

let world: MoneyWorld;
let opened: OpenPage;
let page: Page;

const card = (key: string) => page.locator(`#flag-${key}`);
const incident = () => page.locator(".incident").filter({ hasText: "Support chat" });
/** What there is no room for with several incidents. */
const more = () => incident().locator("details.more > summary").click();
const enabled = (flag: string) => world.clients.map((client) => client.isEnabled(flag));

async function eventually(what: string, shown: () => Promise<boolean>, javaScript: boolean): Promise<void> {
  await until(what, async () => {
    if (await shown()) return true;
    if (!javaScript) await page.reload();
    return false;
  });
}

async function openBoard(token: string, options: Parameters<typeof openPage>[1] = {}): Promise<void> {
  opened = await openPage(world.server, options);
  page = opened.page;
  await signIn(page, world.server.url, token);
  await page.waitForURL("**/e/production");
}

describe.each([
  { name: "with JavaScript", javaScript: true },
  { name: "with JavaScript off", javaScript: false },
])("$name, on a phone", { timeout: BROWSER_MS }, ({ javaScript }) => {
  beforeEach(async () => {
    world = await startMoneyWorld();
    await spendUntilNight(world);
    await openBoard(world.operator, { javaScriptEnabled: javaScript, viewport: { width: 360, height: 740 } });
  });
  afterEach(async () => {
    expect(opened.complaints).toEqual([]);
    await opened.context.close();
    await world.close();
  });

  it("shows the trip by itself with its proof, takes the acknowledgement, and restores past the steps crossed", async () => {
    expect(await card("support-chat").innerText()).toContain("$154.30 of $200");
    await world.spend(world.call("support-chat", 60));
    await eventually("the trip", () => incident().getByText("was turned off by budget").isVisible(), javaScript);
    await eventually("all receipts", () => card("support-chat").getByText("3 of 3").isVisible(), javaScript);
    await card("support-chat").locator("details.more > summary").click();
    await more();
    expect(await incident().innerText()).toContain("3 of 3");
    expect(enabled("support-chat")).toEqual([false, false, false]);
    expect(await card("support-chat").innerText()).toMatch(/Off since 02:41|Off since 01:41 UTC/);
    expect(await card("support-chat").innerText()).toContain("budget Support chat, daily reached");
    expect((await card("support-chat").innerText()).replaceAll(/\s+/g, " ")).toContain(
      "limit reached · resets 00:00 Berlin",
    );

    await incident()
      .getByRole("button", { name: /^Acknowledge/ })
      .click();
    await incident().getByText("by maria").waitFor();
    expect(
      await incident()
        .getByRole("button", { name: /^Acknowledge/ })
        .count(),
    ).toBe(0);

    await card("support-chat").getByRole("link", { name: "Restore…" }).click();
    await page.getByRole("heading", { name: "Restore Support chat" }).waitFor();
    const text = await page.locator("main").innerText();
    expect(text).toContain("Turns it on, with claude-opus-5-5");
    expect(text).toContain("its steps at 80 % and 100 % no longer count until it resets 00:00 Berlin");
    expect(text).toContain("No higher step is left");
    await page.getByLabel("Fixed", { exact: true }).check();
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await page.getByText("Restored Support chat.").waitFor();
    await until("the instances are on again", () => enabled("support-chat").every(Boolean));
    expect(await card("support-chat").innerText()).toContain("Over its limit");
  });

  it("raises a budget: keeps what was typed until all is there, and ends the trip", async () => {
    await world.spend(world.call("support-chat", 60));
    await eventually("the trip", () => incident().getByText("was turned off by budget").isVisible(), javaScript);
    await more();
    await incident().getByRole("link", { name: "Raise budget" }).click();
    await page.getByText("It is overspent by $14.30").waitFor();
    await page.getByLabel("Add, in USD").fill("$100");
    await page.getByRole("button", { name: "Raise", exact: true }).click();
    await page.getByText("must say why").waitFor();
    expect(await page.getByLabel("Add, in USD").inputValue()).toBe("$100");
    await page.getByLabel("Why?").fill("the import is wanted");
    await page.getByRole("button", { name: "Raise", exact: true }).click();
    await page.getByText("Raised Support chat, daily: $214.30 of $300 spent.").waitFor();
    await until("the instances are on again", () => enabled("support-chat").every(Boolean));
    expect(await card("support-chat").innerText()).toContain("$214.30 of $300");
    await page.goto(`${world.server.url}/e/production/budgets`);
    expect(await page.locator("main").innerText()).toContain("the import is wanted");
  });

  it("shows what a flag costs in charts with a clock of the budget's zone, and the figures as a table", async () => {
    await page.goto(`${world.server.url}/e/production/flags/support-chat`);
    const chart = page.locator("#money svg[role=img]:visible").first();
    expect(await chart.textContent()).toContain("limit $200: kill");
    expect(await chart.textContent()).toContain("00:00");
    await page.getByText("The figures", { exact: true }).click();
    const rows = page.getByRole("region", { name: "Figures of the charts" }).getByRole("row");
    expect(await rows.nth(1).innerText()).toMatch(/^00:00\s/);
    const text = await page.locator("#money").innerText();
    expect(text).toContain("bulk-import-77");
    expect(text).toContain("$154.30 exact");
  });
});

describe("what a board says of money", () => {
  beforeAll(async () => {
    world = await startMoneyWorld({ instances: 0 });
  });
  afterEach(async () => {
    expect(opened.complaints).toEqual([]);
    await opened.context.close();
  });
  afterAll(async () => {
    await world.close();
  });

  it("invents no figures before the first call", async () => {
    await openBoard(world.operator);
    expect(await card("support-chat").innerText()).toContain("no calls yet");
    expect(await page.locator("main").innerText()).not.toContain("$0");
  });

  it("sums up the environment, and offers a viewer no button that would fail", async () => {
    await spendUntilNight(world);
    await openBoard(world.viewer);
    expect(await page.locator(".master").innerText()).toMatch(/\$342 today · \$506\/h, last 5 min/);
    expect(await page.locator("main").innerText()).toContain("limit not reached today");
    expect(
      await page
        .locator("main")
        .getByRole("link", { name: /Raise|Restore/ })
        .count(),
    ).toBe(0);
    expect(await page.locator("main").getByRole("button").count()).toBe(0);
    for (const path of ["budgets", "incidents", "alerts", "channels"]) {
      await page.goto(`${world.server.url}/e/production/${path}`);
      const pressed = page.locator("main").getByRole("button");
      expect(await pressed.count(), path).toBe(0);
      expect(await page.locator("main").getByRole("link", { name: /…$/ }).count(), path).toBe(0);
    }
    const id = await budgetIdOf(world, "Support chat, daily");
    for (const path of ["raise", "delete", ""]) {
      const answer = await page.goto(`${world.server.url}/e/production/budgets/${id}/${path}`.replace(/\/$/, ""));
      expect(answer?.status(), path).toBe(403);
    }
  });

  it("shows the budgets that all flags spend from", async () => {
    const shared = () => page.locator("#shared-budgets");
    await openBoard(world.operator);
    expect(await shared().count()).toBe(0);
    const incidents = page.getByRole("region", { name: "Open incidents" }).getByRole("heading");
    // What was switched is told before what was only reached, though that is newer.
    await world.spend(world.call("draft-reply", 130));
    await page.getByRole("link", { name: "1 new incident" }).click();
    await incidents.getByText("Drafts, daily reached 50 %").waitFor();
    expect(await incidents.first().innerText()).toBe("Summarize ticket was downgraded by budget Summaries, daily");
    const zone = { timezone: "Europe/Berlin" };
    await world.api(
      "POST",
      `${PRODUCTION}/budgets`,
      dailyBudget({ ...zone, name: "Everything", scope: {}, limitUsd: 500, ladder: [] }),
    );
    await world.api(
      "POST",
      `${PRODUCTION}/budgets`,
      dailyBudget({ ...zone, name: "Opus", scope: { model: "claude-opus-5-5" }, limitUsd: 5_000 }),
    );
    await shared().getByRole("link", { name: "Opus" }).waitFor();
    expect(await shared().innerText()).toMatch(/Everything\s+\$471\.\d\d of \$500 today/);
    expect(await shared().getByRole("img").first().getAttribute("aria-label")).toMatch(/^94 % spent: .* of \$500$/);
    // The nearest to its limit is first.
    expect(await shared().getByRole("link").allInnerTexts()).toEqual(["Everything", "Opus"]);
    // What is paused stops nothing, and a flag whose users are held alone is not without a budget.
    await world.api("PATCH", `${PRODUCTION}/budgets/${await budgetIdOf(world, "Everything")}`, { paused: true });
    await shared().getByText("paused: nothing stops it").waitFor();
    await world.api("POST", `${PRODUCTION}/flags`, { key: "translate", name: "Translate" });
    const ofUsers = dailyBudget({ name: "Each user", scope: { flag: "translate", user: "each" }, limitUsd: 5 });
    await world.api("POST", `${PRODUCTION}/budgets`, ofUsers);
    await card("translate").getByText("no budget of its own but for single users or sessions").waitFor();
    expect(await card("support-chat").innerText()).not.toContain("single users");
  });

  it("keeps open what a reader of a flag's page has opened while it updates itself", async () => {
    await openBoard(world.viewer);
    await page.goto(`${world.server.url}/e/production/flags/support-chat`);
    await page.getByText("The figures", { exact: true }).click();
    await world.spend(world.call("support-chat", 1));
    await page.getByText("$155.30 exact").waitFor();
    expect(await page.locator("#figures").getAttribute("open")).not.toBeNull();
  });
});
