/** Every page fits a phone, can be pressed by a thumb, and passes an accessibility check in the dark and in the light. */
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ADMIN_TOKEN } from "../support/server.ts";
import { openPage, signIn } from "./browser.ts";
import { budgetIdOf, type MoneyWorld, spendUntilNight, startMoneyWorld } from "./money-world.ts";
import { PRODUCTION } from "./world.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const THUMB_PX = 44;
/** For all pages, on a busy machine. */
const PAGES_MS = 240_000;
const PATHS = [
  "/e/production",
  "/e/staging",
  "/e/production/flags/draft-reply",
  "/e/production/flags/support-chat/edit",
  "/e/production/tags/team-support",
  "/e/production/flags/new",
  "/e/production/flags/draft-reply/restore",
  "/e/production/flags/support-chat/downgrade",
  "/e/production/flags/support-chat",
  "/e/production/flags/support-chat/restore",
  "/e/production/budgets",
  "/e/staging/budgets",
  "/e/production/budgets/new",
  "/e/production/incidents",
  "/e/staging/incidents",
  "/e/production/alerts",
  "/e/staging/alerts",
  "/e/production/channels",
  "/e/production/triggers",
  "/e/staging/triggers",
  "/e/production/triggers/new",
  "/e/production/chains",
  "/e/production/chains/opus-first",
  "/e/production/models",
  "/e/production/prices",
  "/e/production/prices?model=claude-opus-5-5",
  "/e/production/usage",
  "/e/production/usage?by=user&span=month",
  "/e/production/instances",
  "/e/production/audit",
  "/e/production/tokens",
  "/environments/new",
];

let world: MoneyWorld;
let paths: string[] = [];

beforeAll(async () => {
  world = await startMoneyWorld();
  await world.api("PATCH", `${PRODUCTION}/flags/support-chat`, {
    name: "Support chat with a name that is a good deal longer than anybody would wish for",
    tags: ["team-support"],
    rules: [{ name: "no trials", then: "off", when: [{ attribute: "plan", operator: "in", value: ["trial"] }] }],
  });
  await world.api("PATCH", `${PRODUCTION}/flags/draft-reply`, { tags: ["team-support"] });
  await world.api("POST", `${PRODUCTION}/flags/draft-reply/kill`, { reason: "x".repeat(200) });
  await world.api("POST", `${PRODUCTION}/flags/support-chat/downgrade`, { level: 1, reason: "Cost" });
  // Nobody listens there: the alerts are shown as not delivered.
  const dead = { kind: "slack", name: "#on-call", url: "http://127.0.0.1:9/hooks/secret" };
  await world.api("POST", `${PRODUCTION}/channels`, dead);
  await world.api("POST", `${PRODUCTION}/triggers`, {
    name: "A trigger with a long name, of the team that watches",
    source: "datadog",
    action: "downgrade",
    flags: ["draft-reply", "support-chat"],
    level: 1,
    expiresMinutes: 90,
  });
  await spendUntilNight(world);
  await world.spend(world.call("support-chat", 60, { user: "a-user-with-a-long-id-0123456789@customer.example" }));
  const id = await budgetIdOf(world, "Support chat, daily");
  await world.api("POST", `${PRODUCTION}/budgets/${id}/raise`, {
    addUsd: 1,
    until: new Date(world.clock.nowMs() + 60_000).toISOString(),
    reason: "r".repeat(200),
  });
  await world.api("POST", `${PRODUCTION}/budgets`, {
    name: "Each user of drafts",
    scope: { flag: "draft-reply", user: "each", session: "each" },
    limitUsd: 1,
  });
  const named = { user: "a-user-with-a-long-id-0123456789@customer.example", session: "0198e2d4-77ab-7c31-a1b2-c3d4" };
  await world.spend(world.call("draft-reply", 2, named));
  const lift = `/lift?${new URLSearchParams(named).toString()}`;
  const each = await budgetIdOf(world, "Each user of drafts");
  paths = [
    ...PATHS,
    ...["", "/raise", "/delete"].map((page) => `/e/production/budgets/${id}${page}`),
    `/e/production/budgets/${each}${lift}`,
  ];
});
afterAll(async () => {
  await world.close();
});

/** Buttons that are smaller than a thumb, by their text. Run in the page. */
const SMALL_BUTTONS = `[...document.querySelectorAll("button, a.button, summary, input:not([type=hidden]), select")]
  .filter((one) => one.checkVisibility() && !one.closest(".first-submit"))
  .map((one) => (one.closest("label.choice, label.chip") ?? one))
  .filter((one) => { const box = one.getBoundingClientRect(); return box.height < ${THUMB_PX} || box.width < ${THUMB_PX}; })
  .map((one) => one.outerHTML.slice(0, 120))`;

/** Buttons that a table cuts: whoever does not know that it scrolls sees half of them. Run in the page. */
const CUT_BUTTONS = `[...document.querySelectorAll(".scroll :is(button, a.button)")]
  .filter((one) => one.getBoundingClientRect().right > one.closest(".scroll").getBoundingClientRect().right)
  .map((one) => one.outerHTML.slice(0, 120))`;

/** Rules of WCAG 2.2 AA that are broken, each with the first place. Run in the page. */
const BROKEN_RULES = `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] })
  .then((result) => result.violations.map((one) => one.id + ": " + one.nodes[0].html.slice(0, 160)))`;

/** Opens every page in turn, as an admin. */
async function visitAll(
  options: Parameters<typeof openPage>[1],
  look: (page: Page, path: string) => Promise<void>,
): Promise<string[]> {
  const { page, context, complaints } = await openPage(world.server, options);
  await signIn(page, world.server.url, ADMIN_TOKEN);
  await page.waitForURL("**/e/production");
  for (const path of paths) {
    await page.goto(`${world.server.url}${path}`);
    await look(page, path);
  }
  await context.close();
  return complaints;
}

it("every page fits 360 px without scrolling sideways, with buttons of 44 px", { timeout: PAGES_MS }, async () => {
  const complaints = await visitAll({ viewport: { width: 360, height: 740 } }, async (page, path) => {
    expect
      .soft(await page.evaluate("document.documentElement.scrollWidth"), `width of ${path}`)
      .toBeLessThanOrEqual(360);
    expect.soft(await page.evaluate(SMALL_BUTTONS), `small buttons of ${path}`).toEqual([]);
    expect.soft(await page.evaluate(CUT_BUTTONS), `cut buttons of ${path}`).toEqual([]);
  });
  expect(complaints).toEqual([]);
});

it("every page breaks no rule of WCAG AA, in the dark and in the light", { timeout: PAGES_MS }, async () => {
  // The checker is put into the page by the test, which the policy of the page rightly forbids.
  // High enough that no button is half behind the bar of the master switch, which a scroll mends.
  await visitAll({ bypassCSP: true, viewport: { width: 1280, height: 2_400 } }, async (page, path) => {
    await page.addScriptTag({ path: AXE });
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      expect.soft(await page.evaluate(BROKEN_RULES), `rules broken by ${path} in the ${colorScheme}`).toEqual([]);
    }
  });
});
