/** Since when, by whom and why, as the board, a flag's page, the restore page and the API say it. No browser. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { FakeClock } from "../support/clock.ts";
import { adminCtx, makeToken } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";
import { budgetIdOf } from "./money-world.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const MINUTE_MS = 60_000;
const KILL_AT_100 = [{ atPercent: 100, action: "kill" as const }];
const OPUS = "claude-opus-5-5";
const SONNET = "claude-sonnet-5-5";

let clock: FakeClock;
let world: World;
let pages: Pages;
let bob: string;

/** A night of its own for each case, on one server: days apart, so that budgets and sums begin anew. */
let night = 0;

beforeAll(async () => {
  clock = new FakeClock(Date.parse("2026-11-01T01:00:00Z"));
  world = await startWorld({ instances: 0, clock });
  bob = await makeToken(world.server.deps, { kind: "op", role: "operator", name: "bob" });
});
afterAll(async () => world.close());

beforeEach(async () => {
  night += 1;
  clock.advance(Date.parse(`2026-11-${String(night + 1).padStart(2, "0")}T01:00:00Z`) - clock.nowMs());
  await job();
  pages = await pagesAs(world, world.operator);
  return async () => {
    for (const flag of ["support-chat", "draft-reply", "summarize-ticket"]) {
      await op(`flags/${flag}/restore`, { reason: "next" });
      await op(`flags/${flag}/restore`, { reason: "next" });
    }
    for (const model of [OPUS, SONNET]) await put(`models/${model}`, { blocked: false, reason: "next" });
    for (const name of budgets.splice(0)) {
      await world.api("DELETE", `${PRODUCTION}/budgets/${await budgetIdOf(world, name)}`);
    }
  };
});

const budgets: string[] = [];

async function budget(fields: Parameters<typeof dailyBudget>[0]): Promise<void> {
  const made = dailyBudget({ limitUsd: 1, ladder: KILL_AT_100, ...fields });
  budgets.push(made.name);
  await world.api("POST", `${PRODUCTION}/budgets`, made);
}

async function call(method: string, path: string, body: unknown, token: string): Promise<void> {
  const response = await world.server.api(method, `${PRODUCTION}/${path}`, body, token);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
}
const op = (path: string, body: unknown, token = world.operator) => call("POST", path, body, token);
const put = (path: string, body: unknown, token = bob) => call("PUT", path, body, token);
const spend = (usd: number, flag = "support-chat") =>
  report(world.server.deps, [callFor(usd, { flag, at: clock.nowMs() })]);
const later = (minutes: number) => {
  clock.advance(minutes * MINUTE_MS);
};

async function job(): Promise<void> {
  const served = world.server.deps.snapshots.environmentByKey("production");
  await endDueBudgets(adminCtx(world.server.deps), served?.environmentId ?? "");
}

const row = (flag: string) => pages.part("/e/production", "article", `flag-${flag}`);

/** The row of the board and the flag's page say the same; the board's list of what is wrong as well. */
async function says(words: string): Promise<void> {
  for (const path of ["/e/production", "/e/production/flags/support-chat"]) {
    expect(await pages.text(path)).toContain(words);
  }
}

describe("the board and the flag's page", () => {
  it("the proof of a row is of what holds: who applied a flag's restore has not applied the later kill of all", async () => {
    const { instances, snapshots } = world.server.deps;
    await op("flags/draft-reply/kill", { reason: "x" });
    await op("flags/draft-reply/restore", { reason: "fixed" });
    const served = snapshots.environmentByKey("production");
    if (served === undefined) throw new Error("production is not served");
    const { environmentId, lineage, n } = served;
    const labels = { app: "shop", sdk: "andon/1", local: null };
    instances.seen({ environmentId, tokenId: "t", instance: "host-1", boot: "", ...labels, applied: { lineage, n } });
    await instances.flush();
    expect(await row("draft-reply")).toContain("1 of 1 instance applied it");
    await op("kill", { reason: "key leaked" });
    expect(await row("draft-reply")).toContain("0 of 1 instance applied it");
    await op("restore", { reason: "next" });
    await world.server.deps.db.execute("delete from instances");
  });

  it("restored over the limit: amber, since the restore, who let it, how much of what; nothing is all on", async () => {
    await budget({});
    await spend(1.1);
    later(30);
    await op("flags/support-chat/restore", { reason: "customers wait" });
    await says(`Over its limit on ${OPUS} since 01:30 UTC · maria restored it over budget Daily — customers wait`);
    await spend(28);
    clock.advance(1_000);
    const board = await pages.text("/e/production");
    expect(board).toContain("1 over its limit");
    expect(board).not.toContain("All on");
    expect(board).toContain("$29.10 of $1");
    expect(board).toContain("29 times its limit");
    expect(await pages.html("/e/production")).toContain('class="card flag over"');
  });

  it("a kill by hand over a trip: off since the trip, held by hand since the kill", async () => {
    await budget({});
    await spend(1);
    later(60);
    await op("flags/support-chat/kill", { reason: "leak" });
    const words = "since 01:00:00 UTC (budget), held by hand since 02:00:00 UTC by maria — leak";
    await says(`Off ${words}`);
    expect(await pages.text("/e/production/flags/support-chat/restore")).toContain(`Off ${words}. Is it over?`);
  });

  it("a level by hand and then a block: the block decides, the level is when it began", async () => {
    await op("flags/support-chat/downgrade", { model: SONNET, reason: "slow" });
    later(60);
    await put(`models/${SONNET}`, { blocked: true, reason: "outage" });
    await says(
      `Downgraded to claude-haiku-4-5 since 01:00 UTC (by hand), held by the block of ${SONNET} since 02:00 UTC by bob — outage`,
    );
    expect(await pages.text("/e/production/flags/support-chat")).toContain(
      `bob moved support-chat : ${SONNET} was blocked: outage`.replace(" :", ":"),
    );
  });

  it("without a chain each request names its model: what of those is refused while a model is blocked is said", async () => {
    await world.api("POST", `${PRODUCTION}/flags`, { key: "free", name: "Free", chain: null });
    expect(await row("free")).toContain("On the model each request names ·");
    await put(`models/${OPUS}`, { blocked: true, reason: "outage" });
    expect(await row("free")).toContain(
      `On the model each request names, if it can be read and is not ${OPUS}: blocked ·`,
    );
    await put(`models/${OPUS}`, { blocked: false, reason: "over" });
    expect(await row("free")).toContain("On the model each request names ·");
    await world.api("DELETE", `${PRODUCTION}/flags/free`);
  });

  it("an override, more money, and a later block: the block, and not the last change of the switch", async () => {
    await budget({});
    await spend(1);
    later(30);
    await op("flags/support-chat/restore", { reason: "customers wait" });
    const until = new Date(clock.nowMs() + 600 * MINUTE_MS).toISOString();
    await op(`budgets/${await budgetIdOf(world, "Daily")}/raise`, { addUsd: 9, until, reason: "launch" });
    later(30);
    await put(`models/${OPUS}`, { blocked: true, reason: "outage" });
    await says(`Downgraded to ${SONNET} since 02:00 UTC · ${OPUS} is blocked by bob — outage`);
  });

  it("a raise that ended, under a ladder that only alerts: over since then, and whose raise it was", async () => {
    await budget({ ladder: [{ atPercent: 100, action: "alert" }] });
    const until = new Date(clock.nowMs() + 60 * MINUTE_MS).toISOString();
    await op(`budgets/${await budgetIdOf(world, "Daily")}/raise`, { addUsd: 9, until, reason: "launch" });
    await spend(5);
    later(60);
    await job();
    await says(`Over its limit on ${OPUS} since 02:00 UTC · the raise of budget Daily by maria has ended`);
  });

  it("what can still be spent: a forecast that says so, at the trip the bound, for whom it is unknown, or that nothing stops it", async () => {
    const unknown = "unknown: 1 instance not reporting";
    await budget({ name: "Daily" });
    await spend(0.5);
    later(1);
    expect(await row("support-chat")).toContain(`forecast: at most $1.00 in the end; ${unknown}`);
    await spend(1.5);
    later(1);
    const most = `at most $2.00 in the end; ${unknown}`;
    expect(await row("support-chat")).toContain(` · ${most}`);
    for (const page of ["/e/production", "/e/production/incidents"]) {
      const text = await pages.text(page);
      expect(text).toContain(`$2.00 of $1 today, ${most}`);
      expect(text).toContain(`At most $2.00 in the end, by the calls that were running when it tripped; ${unknown}.`);
    }
    await op("flags/support-chat/restore", { reason: "demo" });
    later(1);
    expect(await row("support-chat")).toContain("nothing stops it: on-call lets it run");
    await budget({ name: "Paused", scope: { flag: "draft-reply" }, paused: true });
    await spend(2, "draft-reply");
    later(1);
    expect((await row("draft-reply")).match(/nothing stops it/g)).toHaveLength(1);
  });

  it("a budget that only tracks, at 29 times its limit", async () => {
    await budget({ enforcement: "track" });
    await spend(29);
    await says(`Over its limit on ${OPUS} since 01:00 UTC · budget Daily only tracks`);
  });

  it("a budget of all flags is told once, on top, and on no row; the master switch is amber too", async () => {
    await budget({ name: "Everything", scope: {}, enforcement: "track" });
    await spend(3);
    const html = await pages.html("/e/production");
    expect(html).not.toContain('class="card flag over"');
    expect(html).toContain('class="card incident over"');
    const board = await pages.text("/e/production");
    // The tally, the sentence on top and the incident.
    expect(board.match(/over its limit/g)).toHaveLength(3);
    expect(board).toContain("Everything over its limit");
    expect(board).toMatch(
      /Budget Everything is over its limit since 01:00 UTC: \$3\.00 of \$1 today · budget Everything only tracks/,
    );
    expect(board).not.toContain("All on");
  });

  it("an incident says what is spent now; the mark that it alerted at is told as that, and names no title", async () => {
    await budget({ name: "Everything", scope: {}, enforcement: "track", limitUsd: 2 });
    await spend(2);
    later(15);
    await spend(1.1);
    later(1);
    await spend(0.5);
    clock.advance(1_000);
    const card = await pages.part("/e/production", "article", 'incident-[^"]*');
    expect(card).toContain("Everything is over its limit");
    expect(card).toContain("$3.60 of $2 today · reached 150 %, 01:15 UTC");
    const list = await pages.text("/e/production/incidents");
    expect(list).toContain("Everything is over its limit Open $3.60 of $2 today · reached 150 %, 01:15 UTC");
    expect(card + list).not.toContain("is over 150 % of");
  });

  it("the flag's page takes one reading: its budget and its charts never name two sums", async () => {
    await budget({ limitUsd: 2 });
    await pages.text("/e/production");
    await spend(0.5);
    // The board's figures are kept for a second, which does not pass here.
    const page = await pages.text("/e/production/flags/support-chat");
    expect(page).toContain("$0.50 of $2");
    expect(page).toContain("$0.50 exact");
  });

  it("a budget over its limit whose flag somebody killed is not told as spending: off since when, by whom", async () => {
    await budget({ ladder: [{ atPercent: 100, action: "alert" }] });
    await spend(2);
    later(10);
    const html = () => pages.html("/e/production/budgets");
    expect(await html()).toContain('class="fill-over"');
    await op("flags/support-chat/kill", { reason: "leak" });
    expect(await pages.text("/e/production/budgets")).toContain(
      "Over its limit; the flag is off since 01:10 UTC by maria — leak.",
    );
    expect(await html()).not.toContain('class="fill-over"');
    await op("flags/support-chat/restore", { reason: "next" });
    expect(await pages.text("/e/production/budgets")).not.toContain("the flag is off");
  });

  it("a downgrade shows what it would save before it is pressed: the burn of the board, by kind of token at each model", async () => {
    const page = (flag: string) => pages.text(`/e/production/flags/${flag}/downgrade`);
    expect(await page("draft-reply")).toContain("No calls in the last 5 minutes");
    expect(await page("draft-reply")).not.toContain("now $");
    later(1);
    await spend(1);
    const { usage } = callFor(0);
    const cached = { ...usage, cacheRead: 5_000_000 };
    await report(world.server.deps, [callFor(1, { at: clock.nowMs(), usage: cached })]);
    expect(await pages.text("/e/production")).toContain("$24/h");
    const opus = await page("support-chat");
    expect(opus).toContain("Estimated from 2 calls of the last 5 minutes");
    expect(opus).toContain("step 2 of the chain: now $24/h → about $12/h");
    expect(opus).toContain("step 3 of the chain: now $24/h → about $9.00/h");
    await op("flags/support-chat/downgrade", { model: SONNET, reason: "slow" });
    expect(await page("support-chat")).toContain("back up to full quality: now $24/h → at most $24/h");
    await op("flags/support-chat/kill", { reason: "leak" });
    expect(await page("support-chat")).toContain("It is off now, so it burns nothing on any step.");
  });

  it("under a dark master: since that, by whom, and what is left when it is lifted", async () => {
    await op("kill", { reason: "attack" }, bob);
    await says("Off since 01:00 UTC by the master switch, bob — attack · its own switch is on");
    expect(await pages.text("/e/production/flags/support-chat")).toContain(
      "bob turned everything off in production: attack",
    );
    await op("restore", { reason: "over" });
  });
});
