/** What the operator API accepts and answers about channels, alerts and incidents. Times are ISO 8601, UTC. */
import { z } from "@hono/zod-openapi";
import { ALERT_STATES } from "../domain/alert-resources.ts";
import { CHANNEL_KINDS } from "../domain/channel.ts";
import { MAX_NAME_CHARS } from "../domain/limits.ts";
import { channelUrlFault } from "../services/alerts/channel-url.ts";
import { optionalField } from "./optional-field.ts";
import { pageQuery } from "./schemas.ts";

const MAX_ID_CHARS = 64;
const time = z.string().openapi({ format: "date-time" });
const revision = z.string().openapi({ example: "k3f9.42", description: "The environment's revision." });

export const idSchema = z
  .string()
  .max(MAX_ID_CHARS)
  .regex(/^[\w-]+$/);
export const alertIdSchema = z.string().regex(/^[1-9]\d{0,14}$/);

const nameSchema = z
  .string("must be a text")
  .trim()
  .min(1, "must say who is reached")
  .max(MAX_NAME_CHARS, `must be at most ${String(MAX_NAME_CHARS)} characters`)
  .openapi({ example: "#on-call" });
const urlSchema = z
  .string("must be a text")
  .trim()
  .superRefine((text, check) => {
    const message = channelUrlFault(text);
    // Without the input: a URL is a secret.
    if (message !== null) check.addIssue({ code: "custom", message, input: undefined });
  })
  .openapi({
    description: "Where it is reached: https, or http on this machine itself. A secret: shown masked ever after.",
  });

export const createChannelBody = z
  .strictObject({
    kind: z.enum(CHANNEL_KINDS, `must be one of ${CHANNEL_KINDS.join(", ")}`).openapi({
      description: "`slack`: an incoming webhook. `webhook`: any receiver, signed by Standard Webhooks.",
    }),
    name: nameSchema,
    url: urlSchema,
  })
  .openapi("CreateChannel");
export const updateChannelBody = z
  .strictObject({
    name: optionalField(nameSchema),
    url: optionalField(urlSchema),
    newSecret: optionalField(z.boolean("must be true or false")).openapi({
      description: "True: make a new signing secret. The old one ends at once.",
    }),
  })
  .openapi("UpdateChannel");

export const channelSchema = z
  .object({
    id: z.string(),
    kind: z.enum(CHANNEL_KINDS),
    name: z.string(),
    url: z.string().openapi({ description: "Masked: its host and last four characters." }),
    version: z.number(),
    createdAt: time,
    testedAt: time.nullable(),
    testResult: z.string().nullable(),
    alerts: z.object({ waiting: z.number(), failed: z.number() }),
  })
  .openapi("Channel");
export const changedChannelSchema = channelSchema
  .extend({
    secret: z.string().nullable().openapi({
      description: "The signing secret of a webhook, `whsec_…`, when it was made just now; shown this once.",
    }),
    revision,
  })
  .openapi("ChangedChannel");
export const channelTestSchema = z
  .object({ delivered: z.boolean(), text: z.string().openapi({ example: "Delivered in 120 ms." }) })
  .openapi("ChannelTest");

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
    attempts: z.number(),
    lastError: z.string().nullable(),
    nextAttemptAt: time.nullable(),
    createdAt: time,
    deliveredAt: time.nullable(),
    failedAt: time.nullable(),
  })
  .openapi("Alert");

export const incidentsQuery = pageQuery.extend({
  open: optionalField(z.enum(["true", "false"], 'must be "true" or "false"')).openapi({
    description: "`true`: only those whose cause still stands.",
  }),
});
export const incidentSchema = z
  .object({
    id: z.string(),
    title: z.string(),
    budget: z.object({ id: z.string(), name: z.string() }).nullable(),
    flag: z.string().nullable(),
    steps: z.array(z.object({ at: time, atPercent: z.number(), action: z.string(), text: z.string() })),
    openedAt: time,
    acknowledgedAt: time.nullable(),
    acknowledgedBy: z.string().nullable(),
    resolvedAt: time.nullable(),
    alerts: z.object({ sent: z.number(), waiting: z.number(), failed: z.number() }),
  })
  .openapi("Incident");
export const acknowledgedSchema = z
  .object({ id: z.string(), acknowledgedAt: time, acknowledgedBy: z.string(), revision })
  .openapi("Acknowledged");

/** One page of a list; `nextCursor` leads to older ones. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });
