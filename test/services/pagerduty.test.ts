/** One page for each incident at PagerDuty, opened, added to and closed in order, whatever PagerDuty answers meanwhile. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Ctx, Deps } from "../../src/deps.ts";
import type { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { listAlerts, retryAlert } from "../../src/services/alerts/alerts.ts";
import { testChannel } from "../../src/services/alerts/channel-test.ts";
import { createChannel, listChannels, updateChannel } from "../../src/services/alerts/channels.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { raiseBudget } from "../../src/services/budgets/raise.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { listAudit } from "../../src/services/shared/audit.ts";
import { alertsOf, deliveryOf, turns } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { type PagerDuty, ROUTING_KEY, startPagerDuty } from "../support/pagerduty.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const OTHER_KEY = ROUTING_KEY.replaceAll("0", "9");
const HOUR_MS = 3_600_000;

let clock: FakeClock;
let deps: Deps;
let ctx: Ctx;
let pagerduty: PagerDuty;
let delivery: AlertDelivery;
let channelId: string;
let budgetId: string;
let environmentId: string;

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
  const runtime = await startTestServer({ clock });
  deps = runtime.deps;
  ctx = adminCtx(deps);
  environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  pagerduty = await startPagerDuty();
  delivery = deliveryOf(deps);
  const channel = { kind: "pagerduty", name: "on-call", routingKey: ROUTING_KEY, url: pagerduty.url } as const;
  channelId = (await createChannel(ctx, "production", channel)).value.id;
  await createFlag(ctx, "production", { key: "support-chat", name: "Support chat" });
  budgetId = (await createBudget(ctx, "production", dailyBudget())).value.id;
  return async () => {
    await delivery.close();
    await pagerduty.close();
    await runtime.close();
  };
});

const spend = (usd: number) => report(deps, [callFor(usd, { at: clock.nowMs() })]);
const raise = () =>
  raiseBudget(ctx, "production", budgetId, {
    addUsd: 1_000,
    until: new Date(clock.nowMs() + HOUR_MS),
    reason: "launch day",
  });
const did = () => pagerduty.events.map(({ event_action: action }) => action);
const pages = () => pagerduty.pages.map(({ routingKey, state }) => [routingKey, state]);

describe("an incident", () => {
  it("is one page that grows and is closed with it; opened again, it is another page", async () => {
    await spend(60);
    await spend(50);
    await turns(delivery, clock, 1);
    expect(pagerduty.pages).toMatchObject([
      {
        state: "triggered",
        summaries: [50, 80, 100].map((percent) => `Daily reached ${percent} % of $100.00 (production)`),
      },
    ]);
    expect(pagerduty.events.map((event) => ("payload" in event ? event.payload.severity : ""))).toEqual([
      "warning",
      "warning",
      "critical",
    ]);
    expect(pagerduty.events.at(-1)).toMatchObject({
      payload: { custom_details: { text: expect.stringContaining("Turned off: support-chat.") } },
      links: [{ text: "Open the board" }, { text: "Raise Daily by $25.00…" }],
    });
    await raise();
    await turns(delivery, clock, 1);
    expect(pages()).toEqual([[ROUTING_KEY, "resolved"]]);
    clock.advance(HOUR_MS);
    await endDueBudgets(ctx, environmentId);
    await turns(delivery, clock, 1);
    expect(pages()).toEqual([
      [ROUTING_KEY, "resolved"],
      [ROUTING_KEY, "triggered"],
    ]);
  });

  it("never has its resolve overtake its trigger, however often that is refused: no page is left open", async () => {
    pagerduty.ill((body) => (body.includes('"trigger"') ? { status: 500 } : null));
    await spend(60);
    await raise();
    await turns(delivery, clock, 30, 60_000);
    expect(did()).toEqual([]);
    pagerduty.ill(null);
    await turns(delivery, clock, 11, 60_000);
    expect(did()).toEqual(["trigger", "resolve"]);
    expect(pages()).toEqual([[ROUTING_KEY, "resolved"]]);
  });

  it("is closed by the key that opened its page when the channel has another one by then", async () => {
    await spend(110);
    await turns(delivery, clock, 1);
    await updateChannel(ctx, "production", channelId, { routingKey: OTHER_KEY });
    await raise();
    await turns(delivery, clock, 1);
    expect(pages()).toEqual([[ROUTING_KEY, "resolved"]]);
    clock.advance(HOUR_MS);
    await endDueBudgets(ctx, environmentId);
    await turns(delivery, clock, 1);
    expect(pages()).toEqual([
      [ROUTING_KEY, "resolved"],
      [OTHER_KEY, "triggered"],
    ]);
  });
});

describe("an event that PagerDuty", () => {
  it("does not know (400) is not sent again, says what to do, and closes its page when it is retried late", async () => {
    pagerduty.ill({ status: 400 });
    await spend(60);
    await turns(delivery, clock, 60);
    const [failed] = await alertsOf(deps);
    expect(failed).toMatchObject({ state: "failed", attempts: 1 });
    expect(failed?.lastError).toMatch(/^PagerDuty answered 400: .* Check the routing key/);
    pagerduty.ill(null);
    await raise();
    await turns(delivery, clock, 1);
    await retryAlert(ctx, "production", failed?.id ?? 0);
    await turns(delivery, clock, 2);
    expect(did()).toEqual(["resolve", "trigger", "resolve"]);
    expect(pages()).toEqual([[ROUTING_KEY, "resolved"]]);
  });

  it("has no room for (429) is sent again, in order and once", async () => {
    pagerduty.ill({ status: 429 });
    await spend(60);
    await spend(30);
    await turns(delivery, clock, 3);
    expect(did()).toEqual([]);
    pagerduty.ill(null);
    await turns(delivery, clock, 10);
    expect(pagerduty.pages.map(({ summaries }) => summaries.length)).toEqual([2]);
    expect(did()).toEqual(["trigger", "trigger"]);
  });
});

describe("the test of the channel", () => {
  it("opens a page and closes it", async () => {
    const { delivered, text } = await testChannel(ctx, "production", channelId);
    expect(text).toMatch(/^Delivered in \d+ ms\.$/);
    expect(delivered).toBe(true);
    expect(did()).toEqual(["trigger", "resolve"]);
    expect(pages()).toEqual([[ROUTING_KEY, "resolved"]]);
  });

  it("says so when it could not close it", async () => {
    pagerduty.ill((body) => (body.includes('"resolve"') ? { status: 500 } : null));
    expect(await testChannel(ctx, "production", channelId)).toEqual({
      delivered: false,
      text: "The page was opened and could not be closed, close it there: Answered 500.",
    });
  });
});

it("the routing key is in no answer, no alert and no audit entry", async () => {
  await updateChannel(ctx, "production", channelId, { routingKey: OTHER_KEY });
  await spend(60);
  await turns(delivery, clock, 1);
  const channels = await listChannels(ctx, "production");
  expect(channels.items).toMatchObject([{ kind: "pagerduty", routingKey: "…cdef" }]);
  const shown = JSON.stringify([channels, await listAlerts(ctx, "production"), await listAudit(ctx, "production")]);
  expect(shown).toContain("new routing key");
  expect(shown).not.toContain(OTHER_KEY.slice(0, 16));
  expect(shown).not.toContain(ROUTING_KEY.slice(0, 16));
});
