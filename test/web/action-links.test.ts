/** Links in alerts: opening one does nothing, pressing it acts once and in its own name, and nothing else opens it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { createChannel, deleteChannel, listChannels } from "../../src/services/alerts/channels.ts";
import { ACTION_LINK_HOURS } from "../../src/services/alerts/action-links.ts";
import { createBudget, deleteBudget } from "../../src/services/budgets/budgets.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { createFlag, getFlag } from "../../src/services/flags/flags.ts";
import { killFlag, restoreFlag } from "../../src/services/flags/switches.ts";
import { putChain } from "../../src/services/models/chains.ts";
import { listAudit } from "../../src/services/shared/audit.ts";
import { deliveryOf, turns } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { type PagerDuty, ROUTING_KEY, startPagerDuty } from "../support/pagerduty.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { adminCtx, startTestServer, type TestServer } from "../support/server.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const HOUR_MS = 3_600_000;
const PUBLIC_URL = "http://127.0.0.1:4280";
const alertSchema = z.looseObject({
  title: z.string(),
  actions: z.array(z.object({ action: z.enum(["kill", "downgrade", "raise"]), label: z.string(), url: z.string() })),
});
type Kind = z.infer<typeof alertSchema>["actions"][number]["action"];

const clock = new FakeClock(Date.parse("2026-03-02T09:00:00Z"));
let server: TestServer;
let ctx: ReturnType<typeof adminCtx>;
let receiver: Receiver;
let slack: Receiver;
let pagerduty: PagerDuty;
let delivery: AlertDelivery;
let round = 0;
let budgetId: string;
/** By what it does, from the newest alert. */
let links: ReadonlyMap<Kind, string>;

beforeAll(async () => {
  server = await startTestServer({ clock });
  ctx = adminCtx(server.deps);
  delivery = deliveryOf(server.deps);
  [receiver, slack, pagerduty] = await Promise.all([startReceiver(), startReceiver(), startPagerDuty()]);
  const steps = ["claude-opus-5-5", "claude-sonnet-5-5"].map((model) => ({ model }));
  await putChain(ctx, "production", "opus-first", { steps });
  await createFlag(ctx, "production", { key: "support-chat", name: "Support chat", chain: "opus-first" });
  await createChannel(ctx, "production", { kind: "webhook", name: "on-call", url: receiver.url });
  await createChannel(ctx, "production", { kind: "slack", name: "chat", url: slack.url });
  const routed = { kind: "pagerduty", name: "pager", url: pagerduty.url, routingKey: ROUTING_KEY } as const;
  await createChannel(ctx, "production", routed);
});
afterAll(async () => {
  await delivery.close();
  await Promise.all([receiver.close(), slack.close(), pagerduty.close()]);
  await server.close();
});
/** A budget reaches 50 % on a day of its own, and the alert of it has arrived. */
beforeEach(async () => {
  clock.advance(24 * HOUR_MS);
  round += 1;
  const budget = dailyBudget({
    name: `Daily ${round}`,
    ladder: [
      { atPercent: 50, action: "alert" },
      { atPercent: 100, action: "kill" },
    ],
  });
  budgetId = (await createBudget(ctx, "production", budget)).value.id;
  await spend(60);
  links = await arrived();
  return async () => {
    await deleteBudget(ctx, "production", budgetId);
    await restoreFlag(ctx, "production", "support-chat", { reason: "next test" });
    await restoreFlag(ctx, "production", "support-chat", { reason: "next test" });
  };
});

const spend = (usd: number) => report(server.deps, [callFor(usd, { at: clock.nowMs() })]);
async function arrived(): Promise<ReadonlyMap<Kind, string>> {
  await turns(delivery, clock, 1);
  const { actions } = alertSchema.parse(JSON.parse(receiver.taken().at(-1) ?? "{}"));
  return new Map(actions.map(({ action, url }) => [action, url]));
}
const link = (kind: Kind) => {
  const url = links.get(kind);
  if (url === undefined) throw new Error(`there is no link to ${kind}`);
  expect(url.startsWith(`${PUBLIC_URL}/act?link=`)).toBe(true);
  return url.slice(PUBLIC_URL.length);
};
const open = async (path: string, method = "GET") => {
  const response = await server.app.request(path, { method, headers: { accept: "text/html" } });
  return { status: response.status, html: await response.text() };
};
const press = async (path: string, headers: Record<string, string> = {}) => {
  const body = new URLSearchParams({ link: new URL(path, PUBLIC_URL).searchParams.get("link") ?? "" });
  const response = await server.app.request("/act", {
    method: "POST",
    body,
    headers: { origin: PUBLIC_URL, ...headers },
  });
  return { status: response.status, html: await response.text() };
};
const effective = async () => (await getFlag(ctx, "production", "support-chat")).effective;
const newestAudit = async () => (await listAudit(ctx, "production")).items[0];

it("are in the messages of every kind of channel, for what can be done now", async () => {
  expect([...links.keys()]).toEqual(["kill", "downgrade", "raise"]);
  const event = pagerduty.events.at(-1);
  const labels = ["Open the board", "Kill support-chat…", "Downgrade support-chat…", `Raise Daily ${round} by $25.00…`];
  expect(event !== undefined && "links" in event ? event.links?.map(({ text }) => text) : []).toEqual(labels);
  for (const label of labels) expect(slack.taken().at(-1)).toContain(`|${label}>`);
  await spend(50);
  expect([...(await arrived()).keys()]).toEqual(["raise"]);
});

describe("the link to kill", () => {
  it("does nothing when it is opened, as a preview does: it asks", async () => {
    for (const method of ["GET", "HEAD", "GET"]) expect((await open(link("kill"), method)).status).toBe(200);
    const { html } = await open(link("kill"));
    expect(html).toContain("Turns support-chat off for everybody, until somebody restores it.");
    expect(html).toContain('<form method="post" action="/act">');
    expect(await effective()).toMatchObject({ state: "on" });
  });

  it("acts once when it is pressed, in its own name; pressed or opened again it says so and leads to the board", async () => {
    const done = await press(link("kill"));
    expect(done).toMatchObject({ status: 200, html: expect.stringContaining("Killed support-chat.") });
    expect(await effective()).toMatchObject({ state: "off", reason: "KILLED" });
    expect(await newestAudit()).toMatchObject({
      action: "flag.killed",
      actor: { kind: "kill", name: "link from on-call" },
      reason: `by a link in an alert: Daily ${round} reached 50 % of $100.00`,
    });
    await restoreFlag(ctx, "production", "support-chat", { reason: "fixed" });
    for (const again of [await press(link("kill")), await open(link("kill"))]) {
      expect(again.status).toBe(410);
      expect(again.html).toContain("This link was used already.");
      expect(again.html).toMatch(/<a class="button main" href="\/">\s*Open the board/);
    }
    expect(await effective()).toMatchObject({ state: "on" });
  });

  it("can never enable: a flag that was killed by hand stays off by every link that tightens", async () => {
    await killFlag(ctx, "production", "support-chat", { reason: "by hand", until: null });
    for (const kind of ["kill", "downgrade"] as const) await press(link(kind));
    expect(await effective()).toMatchObject({ state: "off", reason: "KILLED" });
  });

  it("is good for some hours", async () => {
    clock.advance(ACTION_LINK_HOURS * HOUR_MS);
    for (const late of [await press(link("kill")), await open(link("kill"))]) {
      expect(late).toMatchObject({ status: 410, html: expect.stringContaining("This link has expired.") });
    }
    expect(await effective()).toMatchObject({ state: "on" });
  });

  it("is refused from another site, altered, or signed for something else", async () => {
    expect((await press(link("kill"), { origin: "https://elsewhere.test" })).status).toBe(403);
    const [head = "", claims = "", signature = ""] = (link("kill").split("link=")[1] ?? "").split(".");
    const other = Buffer.from(Buffer.from(claims, "base64url").toString().replace('"kill"', '"raise"')).toString(
      "base64url",
    );
    const unsigned = Buffer.from('{"alg":"none"}').toString("base64url");
    for (const forged of [`${head}.${other}.${signature}`, `${unsigned}.${claims}.`, "x", ""]) {
      expect((await press(`/act?link=${forged}`)).status).toBe(410);
    }
    const asSession = { cookie: `andon_session=${head}.${claims}.${signature}` };
    expect((await server.app.request("/e/production", { headers: asSession })).status).toBe(303);
    expect(await effective()).toMatchObject({ state: "on" });
  });
});

it("the link to downgrade goes one step down", async () => {
  await press(link("downgrade"));
  expect(await effective()).toMatchObject({ state: "downgraded", model: "claude-sonnet-5-5" });
});

it("the link to raise adds a quarter of the limit until the window ends, once for all who press at once", async () => {
  await spend(45);
  expect(await effective()).toMatchObject({ state: "off" });
  expect((await open(link("raise"))).html).toContain(`Adds $25.00 to budget Daily ${round} until`);
  const pressed = await Promise.all([1, 2, 3].map(() => press(link("raise"))));
  expect(pressed.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 410, 410]);
  const { items } = await listBudgets(ctx, "production");
  const budget = items.find(({ id }) => id === budgetId);
  expect(budget?.raises).toMatchObject([{ addUsd: 25, until: budget?.now.windowEndsAt, by: "link from on-call" }]);
  expect(await effective()).toMatchObject({ state: "on" });
});

it("links of a channel that was deleted are not valid any more", async () => {
  const { items } = await listChannels(ctx, "production");
  const own = items.find(({ name }) => name === "on-call");
  await deleteChannel(ctx, "production", own?.id ?? "");
  expect(await press(link("kill"))).toMatchObject({
    status: 410,
    html: expect.stringContaining("This link is not valid."),
  });
  expect(await effective()).toMatchObject({ state: "on" });
});
