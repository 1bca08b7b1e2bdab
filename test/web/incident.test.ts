/** What on-call does at 3 AM, in a real browser with three real clients connected: with JavaScript, and without it. */
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WallClock } from "../support/clock.ts";
import { until } from "../support/until.ts";
import { openPage, type OpenPage, signIn } from "./browser.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

let world: World;
let opened: OpenPage;
let page: Page;

/** The wall clock stands still, so that a slow machine does not use up the ten seconds to undo; timers run. */
const clock = new WallClock(Date.now());

beforeAll(async () => {
  world = await startWorld({ clock });
});
afterAll(async () => {
  await world.close();
});

/** By itself, with JavaScript and without it. */
const eventually = (what: string, shown: () => Promise<boolean>) => until(what, shown);

const card = (key: string) => page.locator(`#flag-${key}`);
/** What a row has no room for on a phone. */
const more = (key: string) => card(key).locator(`#more-${key} > summary`).click();
const enabled = (flag: string) => world.clients.map((client) => client.isEnabled(flag));

/** Each test begins with everything on: a failure of one is not one of the next. */
beforeEach(async () => {
  await world.api("POST", `${PRODUCTION}/restore`, { reason: "next test" });
  for (const key of ["draft-reply", "summarize-ticket", "support-chat"]) {
    // Once for the switch, once for the level.
    await world.api("POST", `${PRODUCTION}/flags/${key}/restore`, { reason: "next test" });
    await world.api("POST", `${PRODUCTION}/flags/${key}/restore`, { reason: "next test" });
  }
  await world.api("PUT", `${PRODUCTION}/models/claude-opus-5-5`, { blocked: false, reason: "next test" });
});

describe.each([
  { name: "with JavaScript", javaScript: true },
  { name: "with JavaScript off", javaScript: false },
])("$name", ({ javaScript }) => {
  beforeEach(async () => {
    opened = await openPage(world.server, {
      javaScriptEnabled: javaScript,
      viewport: { width: 360, height: 740 },
    });
    page = opened.page;
    await signIn(page, world.server.url, world.operator);
    await page.waitForURL("**/e/production");
  });
  afterEach(async () => {
    expect(opened.complaints).toEqual([]);
    await opened.context.close();
  });

  it("kills in one click, counts the receipts of all instances, takes a reason, and undoes", async () => {
    await page.getByRole("button", { name: "Kill Draft reply" }).click();
    await card("draft-reply").getByText("Off", { exact: true }).waitFor();
    await eventually("all receipts", () => card("draft-reply").getByText("3 of 3").isVisible());
    expect(enabled("draft-reply")).toEqual([false, false, false]);
    expect(await card("draft-reply").innerText()).toContain("by you");
    await more("draft-reply");
    expect(await card("draft-reply").innerText()).toContain("calls that were running may finish");

    await card("draft-reply").getByRole("button", { name: "Bad answers" }).click();
    await card("draft-reply").getByText("— Bad answers").waitFor();

    await card("draft-reply").getByRole("button", { name: /^Undo/ }).click();
    await card("draft-reply").getByText("On", { exact: true }).waitFor();
    await until("the instances are on again", () => enabled("draft-reply").every(Boolean));
  });

  it("kills all flags of a tag with one proof, takes that back at once, and restores", async () => {
    for (const key of ["draft-reply", "summarize-ticket"])
      await world.api("PATCH", `${PRODUCTION}/flags/${key}`, { tags: ["team-support"] });
    await page.goto(`${world.server.url}/e/production/flags/draft-reply`);
    await page.getByRole("link", { name: "team-support" }).click();
    await page.getByRole("heading", { name: "2 flags with the tag team-support" }).waitFor();
    await page.getByLabel("Why (optional)").fill("leak");
    await page.getByRole("button", { name: "Kill all 2 flags" }).click();
    await page.getByText("2 of 2 flags turned off.").waitFor();
    await until("the instances are off", () => enabled("draft-reply").every((on) => !on));
    expect(enabled("summarize-ticket")).toEqual([false, false, false]);
    expect(enabled("support-chat")).toEqual([true, true, true]);
    await eventually("all receipts", async () => {
      if (!javaScript) await page.getByRole("link", { name: "Refresh" }).click();
      return page.getByText("3 of 3").isVisible();
    });
    expect(await page.locator("#tag-flags").innerText()).toMatch(
      /Draft reply: Off.*leak[^]*Summarize ticket: Off.*leak/,
    );
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360);
    await page.getByRole("button", { name: "Undo for all" }).click();
    await page.getByText("Undone: 2 flags as before.").waitFor();
    await until("the instances are on again", () => enabled("draft-reply").every(Boolean));
    await page.getByRole("button", { name: "Kill all 2 flags" }).click();
    await page.getByText("2 of 2 flags turned off.").waitFor();
    await page.getByLabel("Fixed").check();
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await page.getByText("2 of 2 flags restored.").waitFor();
    await until("both are on again", () => [...enabled("draft-reply"), ...enabled("summarize-ticket")].every(Boolean));
  });

  it("restores deliberately: says what it will do, keeps asking until there is a reason", async () => {
    await world.api("POST", `${PRODUCTION}/flags/support-chat/kill`, { reason: "by somebody else" });
    await page.reload();
    await card("support-chat").getByRole("link", { name: "Restore…" }).click();
    await page.getByRole("heading", { name: "Restore Support chat" }).waitFor();
    expect(await page.locator("main").innerText()).toContain("Turns it on, with claude-opus-5-5");
    await page.getByLabel("50 % of users first").check();
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await page.getByText("choose one above or write a few words").waitFor();
    expect(await page.locator("input[value='50']").isChecked()).toBe(true);
    await page.getByLabel("Everybody at once").check();
    await page.getByLabel("False alarm").check();
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await page.getByText("Restored Support chat.").waitFor();
    await until("the instances are on again", () => enabled("support-chat").every(Boolean));
  });

  it("downgrades to a chosen step and restores the quality", async () => {
    await more("summarize-ticket");
    await card("summarize-ticket").getByRole("link", { name: "Downgrade…" }).click();
    await page.getByLabel("claude-haiku-4-5").check();
    await page.getByLabel("Cost", { exact: true }).check();
    await page.getByRole("button", { name: "Downgrade" }).click();
    await card("summarize-ticket").getByText("Downgraded", { exact: true }).waitFor();
    await until("the instances use the step", () =>
      world.clients.every((client) => client.evaluate("summarize-ticket").models[0] === "claude-haiku-4-5"),
    );
    await page.goto(`${world.server.url}/e/production`);
    await more("summarize-ticket");
    await card("summarize-ticket").getByRole("link", { name: "Restore quality…" }).click();
    await page.getByLabel("Fixed", { exact: true }).check();
    await page.getByRole("button", { name: "Restore quality" }).click();
    await card("summarize-ticket").getByText("On", { exact: true }).waitFor();
  });

  it("turns everything off in one click, proves it, and restores it with a reason", async () => {
    await page.getByRole("button", { name: "Turn everything off" }).click();
    await page.getByRole("heading", { name: "Everything is off" }).waitFor();
    const news = page.locator("#master-news");
    await eventually("all receipts", () => news.getByText("3 of 3").isVisible());
    expect(enabled("support-chat")).toEqual([false, false, false]);
    await news.getByRole("link", { name: "Restore…" }).click();
    expect(await page.locator("main").innerText()).toContain("Turns 3 flags on again");
    await page.getByLabel("Or in your own words").fill("it was only a test");
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await page.getByText("The master switch is on again.").waitFor();
    await until("the instances are on again", () => enabled("support-chat").every(Boolean));
  });

  it("blocks a model, says on the board who is downgraded by it, and unblocks it", async () => {
    await page.goto(`${world.server.url}/e/production/models`);
    await page.getByRole("link", { name: "Block claude-opus-5-5" }).click();
    await page.getByLabel("Provider trouble", { exact: true }).check();
    await page.getByRole("button", { name: "Block it" }).click();
    await page.getByText("Blocked claude-opus-5-5.").waitFor();
    await page.goto(`${world.server.url}/e/production`);
    expect(await card("support-chat").innerText()).toMatch(
      /Downgraded to claude-sonnet-5-5 since .* · claude-opus-5-5 is blocked by maria — Provider trouble/,
    );
    expect(await page.locator("#now").innerText()).toContain("3 downgraded");
    await page.goto(`${world.server.url}/e/production/models`);
    await page.getByRole("button", { name: "Unblock claude-opus-5-5" }).click();
    await page.getByText("Unblocked claude-opus-5-5").waitFor();
  });
});

describe("the board without JavaScript", () => {
  beforeEach(async () => {
    opened = await openPage(world.server, { javaScriptEnabled: false });
    page = opened.page;
    await signIn(page, world.server.url, world.operator);
    await page.waitForURL("**/e/production");
  });
  afterEach(async () => {
    await opened.context.close();
  });

  it("takes away an undo that has passed, and then stands still; Refresh is at the proof and stays there", async () => {
    const undo = card("draft-reply").getByRole("button", { name: /^Undo/ });
    await page.getByRole("button", { name: "Kill Draft reply" }).click();
    await undo.waitFor();
    clock.moveTo(clock.nowMs() + 9_500);
    await page.reload();
    await undo.waitFor();
    clock.moveTo(clock.nowMs() + 1_000);
    await undo.waitFor({ state: "detached" });
    await card("draft-reply").getByText("3 of 3").waitFor();
    expect(await page.locator("meta[http-equiv=refresh]").count()).toBe(0);
    for (let times = 0; times < 2; times += 1) {
      const before = page.url();
      await more("draft-reply");
      await card("draft-reply").getByRole("link", { name: "Refresh" }).click();
      await page.waitForURL((url) => url.href !== before && url.hash === "#flag-draft-reply");
    }
  });
});

describe("the board without JavaScript, searched", () => {
  it("a press, its undo and Refresh keep what is looked for", async () => {
    opened = await openPage(world.server, { javaScriptEnabled: false });
    page = opened.page;
    await signIn(page, world.server.url, world.operator);
    await page.waitForURL("**/e/production");
    const isSearched = () => page.waitForURL((url) => url.searchParams.get("q") === "draft");
    await page.getByRole("searchbox").fill("draft");
    await page.getByRole("button", { name: "Find" }).click();
    await isSearched();
    await page.getByRole("button", { name: "Kill Draft reply" }).click();
    await card("draft-reply").getByText(/^Off/).first().waitFor();
    await isSearched();
    expect(await card("support-chat").isVisible()).toBe(false);
    await card("draft-reply").getByRole("button", { name: /^Undo/ }).click();
    await page.getByText("Undone: draft-reply is as it was before.").waitFor();
    await isSearched();
    await page.locator(".banner").getByRole("link", { name: "Refresh" }).click();
    await isSearched();
    await opened.context.close();
  });
});

describe.each([
  { name: "with JavaScript", javaScriptEnabled: true },
  { name: "without JavaScript", javaScriptEnabled: false },
])("a page that the searched board leads to, $name", ({ javaScriptEnabled }) => {
  it("leads back to what is looked for, when it is done, refused or left", async () => {
    opened = await openPage(world.server, { javaScriptEnabled });
    page = opened.page;
    await signIn(page, world.server.url, world.operator);
    await page.waitForURL("**/e/production");
    await page.goto(`${world.server.url}/e/production?q=draft`);
    const isSearched = () =>
      page.waitForURL((url) => url.pathname === "/e/production" && url.searchParams.get("q") === "draft");
    await card("draft-reply").getByLabel("More of Draft reply").click();
    await card("draft-reply").getByRole("link", { name: "Downgrade…" }).click();
    await page.getByRole("link", { name: "Cancel" }).click();
    await isSearched();
    await card("draft-reply").getByLabel("More of Draft reply").click();
    await card("draft-reply").getByRole("link", { name: "Downgrade…" }).click();
    await page.getByRole("button", { name: "Downgrade" }).click();
    await isSearched();
    await card("draft-reply").getByLabel("More of Draft reply").click();
    await card("draft-reply").getByRole("link", { name: "Restore quality…" }).click();
    await page.getByRole("button", { name: "Restore quality" }).click();
    await page.getByText("choose one above or write a few words").waitFor();
    await page.getByLabel("Fixed").check();
    await page.getByRole("button", { name: "Restore quality" }).click();
    await isSearched();
    expect(await card("support-chat").isVisible()).toBe(false);
    await opened.context.close();
  });
});

describe("the live board", () => {
  beforeEach(async () => {
    opened = await openPage(world.server);
    page = opened.page;
    await signIn(page, world.server.url, world.operator);
    await page.waitForURL("**/e/production");
  });
  afterEach(async () => {
    expect(opened.complaints).toEqual([]);
    await opened.context.close();
  });

  it("shows what others do by itself, and keeps focus, open details and typed text", async () => {
    await page.getByRole("button", { name: "Kill Draft reply" }).click();
    await card("draft-reply").getByText("Other…").click();
    await card("draft-reply").getByLabel("In your own words").fill("half a sentence");
    await world.api("POST", `${PRODUCTION}/flags/support-chat/kill`, { reason: "by somebody else" });
    await card("support-chat").getByText("by somebody else").waitFor();
    const words = card("draft-reply").getByLabel("In your own words");
    expect(await words.inputValue()).toBe("half a sentence");
    expect(await words.evaluate("document.activeElement.id")).toBe("words-draft-reply");
  });

  it("takes a nervous double click for one kill, not for a kill and an undo", async () => {
    await page.getByRole("button", { name: "Kill Support chat" }).click();
    const undo = card("support-chat").getByRole("button", { name: /^Undo/ });
    const box = await undo.boundingBox();
    if (box === null) throw new Error("the undo is not on the page");
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await card("support-chat").getByText("3 of 3").waitFor();
    expect(enabled("support-chat")).toEqual([false, false, false]);
    await undo.click();
    await card("support-chat").getByText("On", { exact: true }).waitFor();
  });

  it("moves between flags and kills the one in focus by keys", async () => {
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("Shift+K");
    await card("summarize-ticket").getByText("Off", { exact: true }).waitFor();
    await card("summarize-ticket").getByRole("button", { name: /^Undo/ }).click();
    await card("summarize-ticket").getByText("On", { exact: true }).waitFor();
  });

  it("says that the connection is lost instead of looking live", async () => {
    await opened.context.setOffline(true);
    await page.getByText(/Connection lost: last updated \d+ s ago/).waitFor();
    await opened.context.setOffline(false);
    await page.getByText(/Connection lost/).waitFor({ state: "detached" });
    opened.complaints.length = 0;
  });
});
