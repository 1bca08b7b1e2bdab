/** A channel that sleeps: what is critical wakes it, all else waits for the morning and is lost nowhere. */
import { beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { NewChannel } from "../../src/api/channel.ts";
import type { Ctx, Deps } from "../../src/deps.ts";
import type { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { createChannel, updateChannel } from "../../src/services/alerts/channels.ts";
import { createBudget, deleteBudget } from "../../src/services/budgets/budgets.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { escalateDue } from "../../src/services/incidents/escalation.ts";
import { alertsOf, deliveryOf, turns } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { ROUTING_KEY, startPagerDuty } from "../support/pagerduty.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const NIGHT = { from: "22:00", to: "07:00", timezone: "UTC" };
const sentSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  text: z.string(),
  severity: z.string(),
  alerts: z.array(z.looseObject({ type: z.string(), title: z.string() })).optional(),
});

let clock: FakeClock;
let deps: Deps;
let ctx: Ctx;
let receiver: Receiver;
let delivery: AlertDelivery;

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-03-02T22:30:00Z"));
  const runtime = await startTestServer({ clock });
  deps = runtime.deps;
  ctx = adminCtx(deps);
  receiver = await startReceiver();
  delivery = deliveryOf(deps);
  for (const flag of ["support-chat", "draft-reply"]) {
    await createFlag(ctx, "production", { key: flag, name: flag });
    await createBudget(ctx, "production", dailyBudget({ name: `Budget of ${flag}`, scope: { flag } }));
  }
  return async () => {
    await delivery.close();
    await receiver.close();
    await runtime.close();
  };
});

const addWebhook = async (told: Pick<NewChannel, "quietHours" | "minSeverity"> = {}) => {
  const webhook = { kind: "webhook", name: "on-call", url: receiver.url, quietHours: NIGHT, ...told } as const;
  return (await createChannel(ctx, "production", webhook)).value.id;
};
const spend = (flag: string, usd: number) => report(deps, [callFor(usd, { flag, at: clock.nowMs() })]);
const sent = () => receiver.taken().map((body) => sentSchema.parse(JSON.parse(body)));
const titles = () => sent().map(({ title }) => title);
const atSeven = () => clock.advance(Date.parse("2026-03-03T07:00:00Z") - clock.nowMs());

describe("in quiet hours", () => {
  it("what is critical comes at once, with what waited of its incident; all else is one digest in the morning", async () => {
    await addWebhook();
    await spend("support-chat", 60);
    await spend("draft-reply", 60);
    await turns(delivery, clock, 2);
    expect(sent()).toEqual([]);
    expect(await alertsOf(deps)).toMatchObject([0, 1].map(() => ({ heldUntil: "2026-03-03T07:00:00.000Z" })));
    await spend("support-chat", 50);
    await turns(delivery, clock, 2);
    expect(titles()).toEqual([50, 80, 100].map((percent) => `Budget of support-chat reached ${percent} % of $100.00`));
    await spend("draft-reply", 25);
    atSeven();
    receiver.behave({ status: 500 });
    await turns(delivery, clock, 3);
    receiver.behave({ status: 200 });
    await turns(delivery, clock, 10);
    const [digest, ...more] = sent().slice(3);
    expect(more).toEqual([]);
    expect(digest).toMatchObject({
      type: "digest",
      severity: "warning",
      title: "2 alerts were held in quiet hours",
      alerts: [
        { type: "incident.step", title: "Budget of draft-reply reached 50 % of $100.00" },
        { type: "incident.step", title: "Budget of draft-reply reached 80 % of $100.00" },
      ],
    });
    expect(digest?.text.split("\n")[1]).toBe("2026-03-02 22:30 UTC: Budget of draft-reply reached 50 % of $100.00");
    expect((await alertsOf(deps)).every(({ state }) => state === "sent")).toBe(true);
  });

  it("PagerDuty gets in the morning what waited, event by event, so that no page is left open", async () => {
    const pagerduty = await startPagerDuty();
    const channel = { kind: "pagerduty", name: "pager", routingKey: ROUTING_KEY, url: pagerduty.url } as const;
    await createChannel(ctx, "production", { ...channel, quietHours: NIGHT });
    const budget = dailyBudget({ name: "Own", scope: { flag: "draft-reply" }, limitUsd: 1_000 });
    const { value } = await createBudget(ctx, "production", budget);
    await spend("draft-reply", 40);
    await spend("support-chat", 60);
    await deleteBudget(ctx, "production", value.id);
    atSeven();
    await turns(delivery, clock, 3);
    expect(pagerduty.pages).toMatchObject([{ state: "triggered", summaries: [{}] }]);
    await pagerduty.close();
  });

  it("a channel whose quiet hours are taken away gets at once what waited", async () => {
    const id = await addWebhook();
    await spend("support-chat", 60);
    await updateChannel(ctx, "production", id, { quietHours: null });
    await turns(delivery, clock, 1);
    expect(titles()).toEqual(["Budget of support-chat reached 50 % of $100.00"]);
  });

  it("nothing escalates that nobody was told of yet: the minutes begin in the morning", async () => {
    await addWebhook();
    const second = await startReceiver();
    await createChannel(ctx, "production", {
      kind: "webhook",
      name: "second",
      url: second.url,
      escalateAfterMinutes: 15,
    });
    const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
    const escalated = async () => {
      await escalateDue(ctx, environmentId);
      return (await alertsOf(deps)).filter(({ channel }) => channel.name === "second").map(({ title }) => title);
    };
    await spend("support-chat", 60);
    clock.advance(HOUR_MS);
    expect(await escalated()).toEqual([]);
    atSeven();
    expect(await escalated()).toEqual([]);
    clock.advance(15 * MINUTE_MS);
    expect(await escalated()).toEqual([
      "Nobody has acknowledged for 15 min: Budget of support-chat reached 50 % of $100.00",
    ]);
    await second.close();
  });
});

it("a channel from a severity on hears of nothing that is less bad, and of the end of what it heard of", async () => {
  await addWebhook({ quietHours: null, minSeverity: "critical" });
  await spend("draft-reply", 60);
  await spend("support-chat", 110);
  await turns(delivery, clock, 1);
  expect(titles()).toEqual(["Budget of support-chat reached 100 % of $100.00"]);
  await endEveryCause();
  await turns(delivery, clock, 2);
  expect(sent().slice(1)).toMatchObject([{ type: "incident.resolved", severity: "critical" }]);
});

/** The cause of each incident ends: no budget is left. */
async function endEveryCause(): Promise<void> {
  for (const { id } of (await listBudgets(ctx, "production")).items) await deleteBudget(ctx, "production", id);
}
