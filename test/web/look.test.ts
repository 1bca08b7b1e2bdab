/** Found in one look: what burns comes first and stays where it is, on a phone with twenty flags and with two hundred. */
import { sql } from "drizzle-orm";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { dailyBudget } from "../support/usage.ts";
import { until } from "../support/until.ts";
import { openPage, type OpenPage, signIn } from "./browser.ts";
import { type MoneyWorld, startMoneyWorld } from "./money-world.ts";
import { PRODUCTION } from "./world.ts";

const PHONE = { width: 360, height: 740 };
const MINUTE_MS = 60_000;
const FEW = 20;
const MANY = 200;

let world: MoneyWorld;
let opened: OpenPage;
let page: Page;

/** `Zebra` is over its limit and was let go on; `Yak` was turned off: both would be last by name. */
beforeAll(async () => {
  world = await startMoneyWorld({ instances: 1 });
  await addFlags(3, FEW - 2);
  for (const [key, name, owner] of [
    ["yak", "Yak", "the night team"],
    ["zebra", "Zebra", ""],
  ] as const) {
    await world.api("POST", `${PRODUCTION}/flags`, { key, name, owner, chain: "opus-first" });
    await world.api("POST", `${PRODUCTION}/budgets`, dailyBudget({ name: `${name}, daily`, scope: { flag: key } }));
  }
  world.clock.moveTo(world.clock.nowMs() + MINUTE_MS);
  await world.spend(
    world.call("yak", 120, { session: "bulk-import-77" }),
    world.call("zebra", 90, { user: "nightly", session: "a" }),
    world.call("zebra", 60, { user: "nightly", session: "b" }),
    world.call("zebra", 30, { user: "somebody", session: "c" }),
  );
  await world.api("POST", `${PRODUCTION}/flags/zebra/restore`, { reason: "the evaluation is wanted" });
});
afterAll(async () => {
  await world.close();
});
afterEach(async () => {
  expect(opened.complaints).toEqual([]);
  await opened.context.close();
});

async function addFlags(from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 1) {
    const name = `Feature ${String(n).padStart(3, "0")}`;
    await world.api("POST", `${PRODUCTION}/flags`, { key: `feature-${n}`, name, chain: "opus-first" });
  }
}

async function open(options: Parameters<typeof openPage>[1] = {}, path = "/e/production"): Promise<void> {
  opened = await openPage(world.server, options);
  page = opened.page;
  await signIn(page, world.server.url, world.operator);
  await page.waitForURL("**/e/production");
  if (path !== "/e/production") await page.goto(`${world.server.url}${path}`);
}

const row = (key: string) => page.locator(`[data-flag="${key}"]`);
/** Keys of the rows that are shown, from the top. */
async function shown(): Promise<string[]> {
  const rows = await page.locator("[data-flag]:visible").all();
  return Promise.all(rows.map(async (one) => (await one.getAttribute("data-flag")) ?? ""));
}

/** Above the bar of the master switch, without a scroll. */
async function expectOnFirstScreen(key: string): Promise<void> {
  const box = await row(key).boundingBox();
  const master = await page.locator("#master").boundingBox();
  expect(box?.y, key).toBeGreaterThanOrEqual(0);
  expect((box?.y ?? Infinity) + (box?.height ?? 0), key).toBeLessThanOrEqual(master?.y ?? 0);
}

describe.each([
  { name: "with JavaScript", javaScriptEnabled: true },
  { name: "with JavaScript off", javaScriptEnabled: false },
])("$name", ({ javaScriptEnabled }) => {
  it("shows a stranger with a phone both flags that burn, who drives them, and rows of one height", async () => {
    await open({ javaScriptEnabled, viewport: PHONE });
    expect((await shown()).slice(0, 2)).toEqual(["zebra", "yak"]);
    await expectOnFirstScreen("zebra");
    await expectOnFirstScreen("yak");
    expect(await row("zebra").getAttribute("data-state")).toBe("over");
    const news = page.getByRole("region", { name: "Open incidents" });
    expect(await news.innerText()).toMatch(/Zebra is on over its limit[\s\S]*83 % from user nightly/);
    expect(await news.innerText()).toMatch(/Yak was turned off by budget[\s\S]*100 % from session bulk-import-77/);
    const rows = await page.locator("[data-flag]").all();
    const heights = await Promise.all(rows.map(async (one) => (await one.boundingBox())?.height ?? 0));
    expect(Math.max(...heights) - Math.min(...heights)).toBeLessThanOrEqual(2);
  });

  it("finds flags by name, key, owner and state, keeps that in the address, and says what to do when none is like it", async () => {
    await open({ javaScriptEnabled, viewport: PHONE });
    const look = async (text: string, state = "") => {
      await page.getByRole("searchbox").fill(text);
      await page.locator("#find-state").selectOption(state);
      if (!javaScriptEnabled) await page.getByRole("button", { name: "Find" }).click();
    };
    const finds = async (what: string, keys: readonly string[]) =>
      until(what, async () => (await shown()).toSorted().join() === keys.join());
    const first = [3, 4, 5, 6, 7, 8, 9].map((n) => `feature-${n}`);
    await look("feature 00");
    await finds("by name", first);
    expect(new URL(page.url()).searchParams.get("q")).toBe("feature 00");
    await page.reload();
    await finds("the same after a reload", first);
    expect(await page.getByRole("searchbox").inputValue()).toBe("feature 00");
    await look("night team");
    await finds("by owner", ["yak"]);
    await look("draft-re");
    await finds("by key", ["draft-reply"]);
    await look("", "over");
    await finds("by state", ["zebra"]);
    await look("<nothing>", "off");
    await page.getByText("No flag is like this.").waitFor();
    expect(await shown()).toEqual([]);
    await page.getByRole("link", { name: "show all flags" }).click();
    await until("all are shown", async () => (await shown()).length === FEW);
  });
});

describe("a board that stays open", () => {
  it("keeps its order, tells what is new in a bar, and puts it in its place when that is pressed", async () => {
    await open({ viewport: PHONE });
    const before = await shown();
    await world.api("POST", `${PRODUCTION}/budgets`, dailyBudget({ name: "New", scope: { flag: "feature-9" } }));
    await world.spend(world.call("feature-9", 130));
    const bar = page.getByRole("link", { name: "1 new incident" });
    await bar.waitFor();
    await row("feature-9").getByText("Off", { exact: true }).waitFor();
    expect(await shown()).toEqual(before);
    await bar.click();
    expect((await shown()).slice(0, 3).toSorted()).toEqual(["feature-9", "yak", "zebra"]);
    expect(await page.getByRole("region", { name: "Open incidents" }).innerText()).toContain(
      "Feature 009 was turned off",
    );
    expect(await bar.isVisible()).toBe(false);
  });

  it("focuses the search with /, and lets a flag be found and killed by keys alone", async () => {
    await open();
    await page.keyboard.press("/");
    await page.keyboard.type("feature 012");
    expect(await shown()).toEqual(["feature-12"]);
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    await page.keyboard.press("Shift+K");
    await row("feature-12").getByText("Off", { exact: true }).waitFor();
    // What was pressed stays, though another state is looked for now.
    expect(await shown()).toEqual(["feature-12"]);
  });

  it("does not press what it has moved under a thumb, says so in place, and moves nothing while it is pressed", async () => {
    await open({ viewport: PHONE });
    const kill = page.getByRole("button", { name: "Kill Zebra" });
    const box = await kill.boundingBox();
    if (box === null) throw new Error("no button to press");
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    // Somebody else acts meanwhile: the page waits with it.
    await world.api("POST", `${PRODUCTION}/kill`, { reason: "drill" });
    await until("the page was told", () => page.evaluate("waitingForRelease.length > 0"));
    expect((await kill.boundingBox())?.y).toBe(box.y);
    // What it cannot help, as a font that comes late, is no press of what is there then.
    await page.evaluate(`document.querySelector("#live").style.paddingTop = "90px"`);
    await page.mouse.up();
    await page.getByText("The list moved. Press again").waitFor();
    const flag = await (await world.server.api("GET", `${PRODUCTION}/flags/zebra`)).text();
    expect(flag).toContain('"switch":{"state":"on"');
    await world.api("POST", `${PRODUCTION}/restore`, { reason: "drill" });
  });
});

describe("with two hundred flags", () => {
  it("still shows on the first screen of a phone what burns", async () => {
    // One by one through the API takes a minute; the last one is, so that all is told.
    await world.server.deps.db.execute(sql`
      insert into flags select copy.* from flags, generate_series(${FEW}::int, ${MANY - 2}::int) as n,
        lateral jsonb_populate_record(flags, jsonb_build_object('key', 'feature-' || n, 'name', 'Feature ' || n)) as copy
      where flags.key = 'draft-reply'`);
    await addFlags(MANY - 1, MANY);
    // What the tests above have done is no news any more.
    world.clock.moveTo(world.clock.nowMs() + 3 * MINUTE_MS);
    await open({ viewport: PHONE });
    await expectOnFirstScreen("zebra");
    expect(await page.locator("[data-flag]").count()).toBe(MANY);
    await expectOnFirstScreen((await shown())[1] ?? "");
  });
});
