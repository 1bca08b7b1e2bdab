/**
 * What a board says on a bad night is what the provider was really sent: a breach, an override above the limit, a blocked
 * model, an application wired outside its chain, a frozen instance and one under ANDON_KILL, among twenty and two hundred
 * flags.
 */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { openPage, type OpenPage, signIn } from "./browser.ts";
import { HAIKU, type NightWorld, OPUS, OUTSIDE, SONNET, startNight, STORY } from "./night-world.ts";
import { PRODUCTION } from "./world.ts";

const NIGHT_MS = 120_000;
const CALM = ["feature-001", "feature-002", "feature-003"];
const KILLED = "feature-000";
const CALLED = [...STORY.map(({ key }) => key), ...CALM, KILLED];
/** Of one call of Opus, 0.4 USD; two rounds of three clients breach a budget of 2 USD. */
const INPUT_TOKENS = 100_000;

describe.each([
  { flags: 20, javaScriptEnabled: true },
  { flags: 200, javaScriptEnabled: false },
])("a night with $flags flags (JavaScript: $javaScriptEnabled)", ({ flags, javaScriptEnabled }) => {
  let world: NightWorld;
  let opened: OpenPage;
  let page: Page;
  let sentSince: Map<string, Set<string>>;

  beforeAll(async () => {
    world = await startNight({ flags });
    sentSince = await stage(world);
    opened = await openPage(world.server, { javaScriptEnabled, viewport: { width: 360, height: 740 } });
    page = opened.page;
    await signIn(page, world.server.url, world.operator);
    await page.waitForURL("**/e/production");
  }, NIGHT_MS);
  afterAll(async () => {
    expect(opened.complaints).toEqual([]);
    await opened.context.close();
    await world.close();
  });

  const row = (key: string) => page.locator(`[data-flag="${key}"]`);
  const text = async (key: string) => (await row(key).textContent()) ?? "";
  const state = (key: string) => row(key).locator(".state");

  it("says off of a flag exactly when nothing of it is sent any more", async () => {
    for (const key of CALLED) {
      const isOff = /^\s*Off/.test((await state(key).textContent()) ?? "");
      expect([key, isOff]).toEqual([key, sentSince.get(key) === undefined]);
    }
    expect(sentSince.has("support-chat")).toBe(false);
    expect(sentSince.has(KILLED)).toBe(false);
  });

  it("names the models that are sent, of every flag that is on", async () => {
    for (const [key, models] of sentSince) {
      const words = await text(key);
      for (const model of models) expect([key, words]).toEqual([key, expect.stringContaining(model)]);
    }
    expect([...(sentSince.get("summaries") ?? [])]).toEqual([SONNET]);
    expect([...(sentSince.get("drafts") ?? [])]).toEqual([HAIKU]);
    expect(await text("translate")).toContain(`Asks for ${OUTSIDE}, outside its chain`);
    expect([...sentSince.values()].some((models) => models.has(OPUS))).toBe(false);
  });

  it("is not green above the limit, and says who let it", async () => {
    expect(await state("research-agent").textContent()).toMatch(/^\s*Over its limit/);
    expect(await text("research-agent")).toContain("maria");
    expect(await page.getByText("All on", { exact: true }).count()).toBe(0);
  });

  it("says why a flag is downgraded: its level, or the block", async () => {
    expect(await text("drafts")).toContain("cheaper tonight");
    expect(await state("summaries").textContent()).toMatch(/^\s*Downgraded to claude-sonnet-5-5/);
    expect(await text("summaries")).toContain("overpriced");
  });

  it("never says that a kill is everywhere while a frozen instance has not applied it", async () => {
    const words = await text(KILLED);
    expect(words).toContain("host-frozen");
    expect(words).not.toContain("✓ all");
    expect(words).toMatch(/4 of 5\s+instances applied it/);
  });

  it("names the instance that holds a flag off by ANDON_KILL", async () => {
    expect(await text("tagging")).toContain("ANDON_KILL");
    expect(await text("tagging")).toContain("host-held");
  });
});

/** Stages the night. Answers with the models that the endpoint received since, by flag. */
async function stage(world: NightWorld): Promise<Map<string, Set<string>>> {
  world.endpoint.behave("*", { kind: "answer", usage: { input: INPUT_TOKENS } });
  for (const key of ["support-chat", "research-agent"]) {
    const ladder = [{ atPercent: 100, action: "kill" }];
    await world.api("POST", `${PRODUCTION}/budgets`, {
      name: `${key}, daily`,
      scope: { flag: key },
      limitUsd: 2,
      ladder,
    });
  }
  await world.startHeld("host-held", "tagging");
  await world.freeze("host-frozen");
  await until("both budgets have tripped", async () => {
    await world.callAll(["support-chat", "research-agent"]);
    return world.clients.every((client) => !client.isEnabled("support-chat") && !client.isEnabled("research-agent"));
  });
  const act = async (path: string, body: object) => {
    const response = await world.server.api("POST", `${PRODUCTION}/flags/${path}`, body, world.operator);
    expect(response.status).toBe(200);
  };
  await act("research-agent/restore", { reason: "a customer waits for it" });
  await act("drafts/downgrade", { model: HAIKU, reason: "cheaper tonight" });
  await world.api("PUT", `${PRODUCTION}/models/${OPUS}`, { blocked: true, reason: "overpriced" });
  await act(`${KILLED}/kill`, { reason: "wrong answers" });
  await until("every client decides by the last change", () =>
    world.clients.every((client) => !client.isEnabled(KILLED) && client.evaluate("summaries").models[0] === SONNET),
  );
  const fromMs = performance.now();
  await world.callAll(CALLED);
  await world.callAll(CALLED);
  await world.counted();
  const sent = new Map<string, Set<string>>();
  for (const { flag, model, atMs } of world.sent) {
    if (atMs >= fromMs) sent.set(flag, (sent.get(flag) ?? new Set()).add(model));
  }
  return sent;
}
