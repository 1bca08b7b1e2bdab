/** Somebody is asked until somebody is on it: acknowledged, escalated when nobody is, closed when its cause has ended. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Ctx, Deps } from "../../src/deps.ts";
import type { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { createChannel } from "../../src/services/alerts/channels.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { endDueBudgets } from "../../src/services/budgets/due.ts";
import { raiseBudget } from "../../src/services/budgets/raise.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { escalateDue } from "../../src/services/incidents/escalation.ts";
import { acknowledgeIncident, resolveIncident } from "../../src/services/incidents/incidents.ts";
import { listIncidents } from "../../src/services/incidents/view.ts";
import { listAudit } from "../../src/services/shared/audit.ts";
import { alertsOf, deliveryOf, turns } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { type PagerDuty, ROUTING_KEY, startPagerDuty } from "../support/pagerduty.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

let clock: FakeClock;
let deps: Deps;
let ctx: Ctx;
let second: PagerDuty;
let delivery: AlertDelivery;
let budgetId: string;
let environmentId: string;

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
  const runtime = await startTestServer({ clock });
  deps = runtime.deps;
  ctx = { ...adminCtx(deps), actor: { ...adminCtx(deps).actor, name: "maria" } };
  environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  second = await startPagerDuty();
  delivery = deliveryOf(deps);
  // What the first ones are told is looked up where it is kept: nothing is sent to them.
  for (const name of ["first", "also first"]) {
    const url = "https://hooks.slack.com/services/T000/B000/nowhere";
    await createChannel(ctx, "production", { kind: "slack", name, url });
  }
  await createChannel(ctx, "production", {
    kind: "pagerduty",
    name: "second",
    routingKey: ROUTING_KEY,
    url: second.url,
    escalateAfterMinutes: 15,
  });
  await createFlag(ctx, "production", { key: "support-chat", name: "Support chat" });
  budgetId = (await createBudget(ctx, "production", dailyBudget())).value.id;
  return async () => {
    await delivery.close();
    await second.close();
    await runtime.close();
  };
});

const spend = (usd: number) => report(deps, [callFor(usd, { at: clock.nowMs() })]);
const raise = () =>
  raiseBudget(ctx, "production", budgetId, {
    addUsd: 1_000,
    until: new Date(clock.nowMs() + HOUR_MS),
    reason: "launch",
  });
/** As the job does each second, on two servers at once. */
const escalate = () => Promise.all([escalateDue(ctx, environmentId), escalateDue(ctx, environmentId)]);
const toldTo = async (name: string) =>
  (await alertsOf(deps)).filter(({ channel }) => channel.name === name).map(({ title, type }) => `${type} ${title}`);
const incident = async () => {
  const [newest] = (await listIncidents(ctx, "production")).items;
  if (newest === undefined) throw new Error("there is no incident");
  return newest;
};

describe("an incident that nobody acknowledges", () => {
  it("is told to the channel for escalation after its minutes, once, and so is what follows", async () => {
    await spend(60);
    clock.advance(15 * MINUTE_MS - 1);
    await escalate();
    expect(await toldTo("second")).toEqual([]);
    clock.advance(1);
    await escalate();
    clock.advance(HOUR_MS);
    await escalate();
    const escalated = "incident.escalated Nobody has acknowledged for 15 min: Daily reached 50 % of $100.00";
    expect(await toldTo("second")).toEqual([escalated]);
    expect(await toldTo("first")).toEqual(["incident.step Daily reached 50 % of $100.00"]);
    await spend(25);
    await turns(delivery, clock, 1);
    expect(second.pages).toMatchObject([{ state: "triggered", summaries: [{}, {}] }]);

    const { id } = await incident();
    await acknowledgeIncident(ctx, "production", id);
    await turns(delivery, clock, 1);
    expect(second.pages).toMatchObject([{ state: "acknowledged" }]);
    expect((await toldTo("first")).at(-1)).toBe("incident.acknowledged Daily reached 80 % of $100.00");
    const texts = (await alertsOf(deps)).map(({ text }) => text);
    expect(texts).toContain("Acknowledged by maria: Daily reached 80 % of $100.00.");
    await raise();
    await turns(delivery, clock, 1);
    expect(second.pages).toMatchObject([{ state: "resolved" }]);
    const { items } = await listAudit(ctx, "production");
    expect(items.filter(({ action }) => action.startsWith("incident.")).map(({ action }) => action)).toEqual([
      "incident.resolved",
      "incident.acknowledged",
      "incident.escalated",
    ]);
  });

  it("asks anew, and escalates anew, when it opens again; whom it did not reach hears nothing of its end", async () => {
    await spend(110);
    clock.advance(10 * MINUTE_MS);
    await acknowledgeIncident(ctx, "production", (await incident()).id);
    clock.advance(10 * MINUTE_MS);
    await escalate();
    await raise();
    expect(await toldTo("second")).toEqual([]);
    clock.advance(HOUR_MS);
    await endDueBudgets(ctx, environmentId);
    expect(await incident()).toMatchObject({ acknowledgedAt: null, askedSince: new Date(clock.nowMs()).toISOString() });
    clock.advance(15 * MINUTE_MS);
    await escalate();
    expect(await toldTo("second")).toHaveLength(1);
  });
});

describe("a person who resolves an incident", () => {
  it("is told what ends it while its cause stands, and closes it with its alert once that has ended", async () => {
    await spend(60);
    const { id } = await incident();
    await expect(resolveIncident(ctx, "production", id)).rejects.toThrow(
      "Its cause stands. Raise the budget or restore its flag, or wait for its reset, and it closes.",
    );
    expect(await incident()).toMatchObject({ resolvedAt: null });
    await raise();
    const { value } = await resolveIncident(ctx, "production", id);
    expect(value).toEqual({ id, resolvedAt: (await incident()).resolvedAt });
    expect(await toldTo("first")).toEqual([
      "incident.step Daily reached 50 % of $100.00",
      "incident.resolved Daily reached 50 % of $100.00",
    ]);
  });
});
