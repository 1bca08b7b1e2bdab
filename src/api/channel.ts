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

export const createChannelBody = z
  .strictObject({
    kind: z.enum(CHANNEL_KINDS, `must be one of ${CHANNEL_KINDS.join(", ")}`).openapi({
      description: "`slack`: an incoming webhook. `webhook`: any receiver, signed by Standard Webhooks.",
    }),
    name: nameSchema,
    url: urlSchema,
  })
  .openapi("CreateChannel");
export type NewChannel = z.infer<typeof createChannelBody>;

export const updateChannelBody = z
  .strictObject({
    name: optionalField(nameSchema),
    url: optionalField(urlSchema),
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
