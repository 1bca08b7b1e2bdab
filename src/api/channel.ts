/** A channel that gets alerts. Its URL is a secret: shown masked ever after, never quoted. */
import { z } from "@hono/zod-openapi";
import { channelUrlFault } from "./channel-url.ts";
import { CHANNEL_KINDS, MAX_ESCALATE_AFTER_MINUTES, SEVERITIES } from "../domain/channel.ts";
import { isTimeZone } from "../domain/window.ts";
import { MAX_NAME_CHARS } from "../domain/limits.ts";
import { requiredText, revision, time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

/** @see https://www.rfc-editor.org/errata/eid1690 */
const MAX_ADDRESS_CHARS = 254;
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

const addressSchema = z
  .string("must be a text")
  .trim()
  .max(MAX_ADDRESS_CHARS, `must be at most ${MAX_ADDRESS_CHARS} characters`)
  .pipe(z.email("must be one address, such as on-call@example.com"))
  .openapi({ description: "One address; of several people, that of their list.", example: "on-call@example.com" });

const clockSchema = z.string("must be a time").regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time such as 22:00");
const quietHoursSchema = z
  .strictObject({
    from: clockSchema,
    to: clockSchema,
    timezone: z.string("must be a text").refine(isTimeZone, "must be a time zone such as Europe/Berlin"),
  })
  .refine(({ from, to }) => from !== to, { path: ["to"], message: "must be another time than the beginning" })
  .openapi("QuietHours");

/** When a channel is told. */
const toldFields = {
  escalateAfterMinutes: optionalField(
    z
      .number("must be a number")
      .int("must be a whole number")
      .min(1, "must be at least 1")
      .max(MAX_ESCALATE_AFTER_MINUTES, `must be at most ${MAX_ESCALATE_AFTER_MINUTES}`)
      .nullable(),
  ).openapi({
    description:
      "For escalation: told of an incident only when nobody has acknowledged it for so many minutes. Null: told at once.",
  }),
  minSeverity: optionalField(
    z.enum(SEVERITIES, `must be one of ${SEVERITIES.join(", ")}`).openapi({
      description: "Told of nothing that is less bad; `info` when left out: of everything.",
    }),
  ),
  quietHours: optionalField(quietHoursSchema.nullable()).openapi({
    description: "What is not critical waits for their end, and comes as one digest. Null: none.",
  }),
};

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
        ...toldFields,
      }),
      z.strictObject({
        kind: z.literal("pagerduty").openapi({ description: "The Events API v2 of PagerDuty." }),
        name: nameSchema,
        routingKey: routingKeySchema,
        url: optionalField(urlSchema).openapi({
          description: `Where events go; that of accounts outside the EU when left out. Accounts in the EU have the host events.eu.pagerduty.com.`,
        }),
        ...toldFields,
      }),
      z.strictObject({
        kind: z.literal("email").openapi({ description: "E-mail by the server's ANDON_SMTP_URL." }),
        name: nameSchema,
        to: addressSchema,
        ...toldFields,
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
    to: optionalField(addressSchema),
    ...toldFields,
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
    url: z
      .string()
      .openapi({ description: "Masked: its host and last four characters. Of e-mail `mailto:` and the address." }),
    routingKey: z
      .string()
      .nullable()
      .openapi({ description: "Masked: its last four characters. Null unless PagerDuty." }),
    escalateAfterMinutes: z.number().nullable(),
    minSeverity: z.enum(SEVERITIES),
    quietHours: quietHoursSchema.nullable(),
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
