/** A channel that takes nothing is seen on the board and beside the channel while its alerts still wait. No browser. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { deliveryOf, turns, writeAlert } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const clock = new FakeClock(Date.parse("2026-11-20T05:20:00Z"));
let world: World;
let pages: Pages;
let receiver: Receiver;
let delivery: AlertDelivery;

beforeAll(async () => {
  [world, receiver] = await Promise.all([startWorld({ instances: 0, clock }), startReceiver()]);
  pages = await pagesAs(world, world.operator);
  delivery = deliveryOf(world.server.deps);
  await world.api("POST", `${PRODUCTION}/channels`, { kind: "webhook", name: "on-call", url: receiver.url });
  await world.api("POST", `${PRODUCTION}/budgets`, dailyBudget({ limitUsd: 100 }));
});
afterAll(async () => {
  await delivery.close();
  await receiver.close();
  await world.close();
});

async function spend(usd: number): Promise<void> {
  await report(world.server.deps, [callFor(usd, { at: clock.nowMs() })]);
}

const NOT_THROUGH = /\d+ alerts? ha\w+ not got through/;

describe("a dead channel", () => {
  it("is told of on the incident's card from its first refusal, with how long and why, and beside the channel", async () => {
    receiver.behave({ status: 500 });
    await spend(60);
    expect(await pages.text("/e/production")).not.toMatch(NOT_THROUGH);
    await turns(delivery, clock, 1);
    expect(await pages.text("/e/production")).toContain("1 alert has not got through for 1 s: Answered 500.");
    await turns(delivery, clock, 6, 60_000);
    await spend(25);
    await turns(delivery, clock, 1);
    expect(await pages.text("/e/production")).toContain("2 alerts have not got through for 6 min: Answered 500.");
    expect(await pages.text("/e/production")).toContain("Nobody has acknowledged for 6 min");
    expect(await pages.html("/e/production")).toContain('href="/e/production/alerts?state=waiting"');
    expect(await pages.text("/e/production/channels")).toContain(
      "Has taken no alert since 05:20 UTC: Answered 500. 2 waiting",
    );
  });

  it("has its alerts listed in the order in which they are tried, the oldest with its error first", async () => {
    const text = await pages.text("/e/production/alerts?state=waiting");
    expect(text.indexOf("Daily reached 50 %")).toBeGreaterThan(0);
    expect(text.indexOf("Daily reached 50 %")).toBeLessThan(text.indexOf("Daily reached 80 %"));
    const all = await pages.text("/e/production/alerts");
    expect(all.indexOf("Daily reached 50 %")).toBeGreaterThan(all.indexOf("Daily reached 80 %"));
  });

  it("is told from one that does not take one alert, and neither is told of any more once all were taken", async () => {
    receiver.behave((body) => ({ status: body.includes("reached 50") ? 500 : 200 }));
    await turns(delivery, clock, 12, 60_000);
    await writeAlert(world.server.deps, "another");
    await turns(delivery, clock, 1);
    expect(await pages.text("/e/production/channels")).toContain(
      "Takes other alerts, but has not taken 1 since 05:20 UTC: Answered 500.",
    );
    receiver.behave({ status: 200 });
    await turns(delivery, clock, 12, 60_000);
    expect(await pages.text("/e/production")).not.toMatch(NOT_THROUGH);
    expect(await pages.text("/e/production/channels")).not.toContain("waiting");
    expect(await pages.text("/e/production/channels")).not.toContain("05:20 UTC");
  });
});
