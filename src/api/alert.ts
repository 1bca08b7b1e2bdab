/** One alert to one channel, and what a webhook receives of it. */
import { z } from "@hono/zod-openapi";
import type { AccountFault } from "../domain/account-fault.ts";
import type { WatchKind } from "../domain/watch.ts";
import type { Behind } from "../domain/watch-text.ts";
import { CHANNEL_KINDS } from "../domain/channel.ts";
import type { TriggerAction, TriggerSource } from "../domain/trigger.ts";
import { time } from "./fields.ts";
import { pageQuery } from "./list.ts";
import { optionalField } from "./optional-field.ts";

export const ALERT_STATES = ["waiting", "sent", "failed"] as const;
export type AlertState = (typeof ALERT_STATES)[number];

export const alertIdSchema = z.string().regex(/^[1-9]\d{0,14}$/);

export const alertsQuery = pageQuery.extend({
  state: optionalField(z.enum(ALERT_STATES, `must be one of ${ALERT_STATES.join(", ")}`)),
});

export const alertSchema = z
  .object({
    id: z.number(),
    channel: z.object({ id: z.string(), name: z.string(), kind: z.enum(CHANNEL_KINDS) }),
    incidentId: z.string().nullable(),
    type: z.string(),
    title: z.string(),
    text: z.string(),
    state: z.enum(ALERT_STATES),
    /** So far, the one under way included. */
    attempts: z.number(),
    /** Why the last attempt did not deliver it; null also while one is under way. */
    lastError: z.string().nullable(),
    /** Null unless it waits; null also while an attempt is under way. */
    nextAttemptAt: time.nullable(),
    /** The end of the quiet hours that it waits for; null: it waits for none. */
    heldUntil: time.nullable(),
    createdAt: time,
    deliveredAt: time.nullable(),
    failedAt: time.nullable(),
  })
  .openapi("Alert");
export type AlertResource = z.infer<typeof alertSchema>;

/** What a generic webhook receives, signed by Standard Webhooks. `text` is fit to be shown as it is. */
export type AlertPayload =
  | {
      type: "incident.step";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
      budget: { id: string; name: string };
      step: { atPercent: number; action: string };
      flags: string[];
      spentNanoUsd: number;
      limitNanoUsd: number;
    }
  | {
      /** A breaker has taken a model out. */
      type: "incident.breaker";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
      model: string;
      /** Those whose chains go on without it. */
      flags: string[];
      calls: number;
      failures: number;
      instances: number;
    }
  | {
      /** Models without a price were called. `url` leads to where one is added. */
      type: "incident.unpriced";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
      /** `fast`: its fast mode alone has none. `nanoUsd`: what its calls of the last day were counted at; null where that is not known apart. */
      models: { model: string; fast: boolean; calls: number; nanoUsd: number | null }[];
    }
  | {
      /** Claude refuses an account: it is out of money, or its key was revoked. */
      type: "incident.account";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
      fault: AccountFault;
      since: string;
      /** Those whose calls are refused. */
      flags: string[];
      /** The first of those that see it, how many do, and how many run. */
      instances: string[];
      refused: number;
      running: number;
    }
  | {
      /** A watch has found something unusual: an incident opens or grows. `url` leads to it. */
      type: "incident.watch";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
      watch: {
        kind: WatchKind;
        /**
         * What is new. `value`: nano-USD of the last hour (burn), tokens of a call (largeCall), else percent; `against`: the
         * usual of that hour, the mean of a call, or the limit.
         */
        flags: {
          flag: string;
          since: string | null;
          value: number;
          against: number;
          limit: number;
          /** Who or what is behind most of it. */
          behind: Behind[];
        }[];
      };
    }
  | {
      /** Claude's bill differs from what Andon counted. `url` leads to the comparison. */
      type: "incident.drift";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
      /** What is new: by day in UTC and model, or by what is billed beside tokens. */
      differences: {
        day: string;
        kind: "model" | "other";
        name: string;
        providerNanoUsd: number;
        ledgerNanoUsd: number;
      }[];
    }
  | {
      /** An alert of another system pulled the cord. */
      type: "incident.trigger";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
      trigger: { id: string; name: string; source: TriggerSource };
      alert: { title: string; url: string | null };
      action: TriggerAction;
      /** Those that it switched. */
      flags: string[];
    }
  | {
      /** Nobody has acknowledged it for a while; somebody has. */
      type: "incident.escalated" | "incident.acknowledged";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
    }
  | {
      type: "incident.resolved" | "test";
      environment: string;
      incidentId: string | null;
      title: string;
      text: string;
      at: string;
      url: string;
    };
