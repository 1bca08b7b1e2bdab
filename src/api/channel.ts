/** A channel that gets alerts. Its URL is a secret: shown masked ever after, never quoted. */
import { z } from "@hono/zod-openapi";
import { channelUrlFault } from "./channel-url.ts";
import { CHANNEL_KINDS } from "../domain/channel.ts";
import { MAX_NAME_CHARS } from "../domain/limits.ts";
import { requiredText, revision, time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

const nameSchema = requiredText(MAX_NAME_CHARS, "must say who is reached").openapi({ example: "#on-call" });
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

/** Of an integration "Events API v2" of a service, or of an event orchestration. */
const routingKeySchema = z
  .string("must be a text")
  .trim()
  .superRefine((text, check) => {
    if (/^[A-Za-z0-9_-]{32}$/.test(text)) return;
    // Without the input: a key is a secret.
    check.addIssue({
      code: "custom",
      message: "must be the 32 letters and digits of an integration key",
      input: undefined,
    });
  })
  .openapi({ description: "The integration key of PagerDuty. A secret: shown masked ever after." });

export const createChannelBody = z
  .discriminatedUnion(
    "kind",
    [
      z.strictObject({
        kind: z.enum(["slack", "webhook"]).openapi({
          description: "`slack`: an incoming webhook. `webhook`: any receiver, signed by Standard Webhooks.",
        }),
        name: nameSchema,
        url: urlSchema,
      }),
      z.strictObject({
        kind: z.literal("pagerduty").openapi({ description: "The Events API v2 of PagerDuty." }),
        name: nameSchema,
        routingKey: routingKeySchema,
        url: optionalField(urlSchema).openapi({
          description: `Where events go; that of accounts outside the EU when left out. Accounts in the EU have the host events.eu.pagerduty.com.`,
        }),
      }),
    ],
    `must be one of ${CHANNEL_KINDS.join(", ")}`,
  )
  .openapi("CreateChannel");
export type NewChannel = z.infer<typeof createChannelBody>;

export const updateChannelBody = z
  .strictObject({
    name: optionalField(nameSchema),
    url: optionalField(urlSchema),
    routingKey: optionalField(routingKeySchema),
    newSecret: optionalField(z.boolean("must be true or false")).openapi({
      description: "True: make a new signing secret. The old one ends at once.",
    }),
  })
  .openapi("UpdateChannel");
export type ChannelEdit = z.infer<typeof updateChannelBody>;

export const channelSchema = z
  .object({
    id: z.string(),
    kind: z.enum(CHANNEL_KINDS),
    name: z.string(),
    url: z.string().openapi({ description: "Masked: its host and last four characters." }),
    routingKey: z
      .string()
      .nullable()
      .openapi({ description: "Masked: its last four characters. Null unless PagerDuty." }),
    version: z.number(),
    createdAt: time,
    testedAt: time.nullable(),
    /** What the last test came to, in a sentence. */
    testResult: z.string().nullable(),
    alerts: z.object({ waiting: z.number(), failed: z.number() }),
  })
  .openapi("Channel");
export type ChannelResource = z.infer<typeof channelSchema>;

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
export type ChannelTest = z.infer<typeof channelTestSchema>;
