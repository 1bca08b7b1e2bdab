/**
 * The Events API v2 of PagerDuty on this machine: it takes what the documentation says it takes, answers 400 to anything
 * else, and keeps the pages that the events open, acknowledge and close, by routing key.
 * @see https://developer.pagerduty.com/docs/send-alert-event
 */
import { z } from "zod";
import { type Behaviour, type Receiver, startReceiver } from "./receiver.ts";

const MAX_EVENT_BYTES = 512 * 1024;

const about = { routing_key: z.string().length(32), dedup_key: z.string().min(1).max(255) };
const eventSchema = z.discriminatedUnion("event_action", [
  z.strictObject({
    event_action: z.literal("trigger"),
    ...about,
    client: z.string().optional(),
    client_url: z.url().optional(),
    links: z.array(z.strictObject({ href: z.url(), text: z.string() })).optional(),
    payload: z.strictObject({
      summary: z.string().min(1).max(1_024),
      source: z.string().min(1),
      severity: z.enum(["critical", "error", "warning", "info"]),
      timestamp: z.iso.datetime().optional(),
      component: z.string().optional(),
      group: z.string().optional(),
      class: z.string().optional(),
      custom_details: z.record(z.string(), z.unknown()).optional(),
    }),
  }),
  z.strictObject({ event_action: z.enum(["acknowledge", "resolve"]), ...about }),
]);
export type PagerDutyEvent = z.infer<typeof eventSchema>;

export interface PagerDuty extends Receiver {
  /** What it took, in order. */
  events: PagerDutyEvent[];
  /** Every page that was ever opened: a trigger after a resolve opens another. */
  pages: { key: string; routingKey: string; state: "triggered" | "acknowledged" | "resolved"; summaries: string[] }[];
  /** Answers like this instead until it is called with null. */
  ill(behaviour: Behaviour | ((body: string) => Behaviour | null) | null): void;
}

const well = (_body: string): Behaviour | null => null;

export const ROUTING_KEY = "0123456789abcdef0123456789abcdef";

export async function startPagerDuty(): Promise<PagerDuty> {
  const receiver = await startReceiver();
  const events: PagerDutyEvent[] = [];
  const pages: PagerDuty["pages"] = [];
  let illness = well;

  function take(body: string): Behaviour {
    const parsed = body.length > MAX_EVENT_BYTES ? null : eventSchema.safeParse(JSON.parse(body));
    if (parsed?.success !== true) {
      const errors = parsed === null ? ["too large"] : parsed.error.issues.map(({ message }) => message);
      return {
        status: 400,
        body: JSON.stringify({ status: "invalid event", message: "Event object is invalid", errors }),
      };
    }
    const event = parsed.data;
    events.push(event);
    const { dedup_key: key, routing_key: routingKey } = event;
    const open = pages.find((page) => page.key === key && page.routingKey === routingKey && page.state !== "resolved");
    if (event.event_action === "trigger") {
      const { summary } = event.payload;
      if (open === undefined) pages.push({ key, routingKey, state: "triggered", summaries: [summary] });
      else open.summaries.push(summary);
    } else if (open !== undefined) open.state = event.event_action === "resolve" ? "resolved" : "acknowledged";
    return { status: 202, body: JSON.stringify({ status: "success", message: "Event processed", dedup_key: key }) };
  }
  receiver.behave((body) => illness(body) ?? take(body));

  return {
    ...receiver,
    events,
    pages,
    ill: (behaviour) => {
      illness = typeof behaviour === "function" ? behaviour : () => behaviour;
    },
  };
}
