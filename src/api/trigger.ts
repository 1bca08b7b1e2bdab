/** A trigger: what an alert of another system does here. It can turn flags off or step them down, and nothing else. */
import { z } from "@hono/zod-openapi";
import { MAX_CHAIN_STEPS, MAX_NAME_CHARS } from "../domain/limits.ts";
import {
  MAX_EXPIRES_MINUTES,
  MAX_FLAGS_PER_TRIGGER,
  TRIGGER_ACTIONS,
  TRIGGER_RESULTS,
  TRIGGER_SOURCES,
} from "../domain/trigger.ts";
import { flagKeySchema, requiredText, revision, tagSchema, time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

const MIN_SECRET_CHARS = 8;
const MAX_SECRET_CHARS = 200;
const MAX_LEVEL = MAX_CHAIN_STEPS - 1;

const fields = {
  name: requiredText(MAX_NAME_CHARS, "must say which alerts come by it").openapi({ example: "Prometheus" }),
  source: z.enum(TRIGGER_SOURCES, `must be one of ${TRIGGER_SOURCES.join(", ")}`).openapi({
    description: "Whose payload it understands.",
  }),
  action: z.enum(TRIGGER_ACTIONS, `must be one of ${TRIGGER_ACTIONS.join(", ")}`),
  level: optionalField(
    z
      .int("must be a whole number")
      .min(1, "must be 1 or more: a trigger only tightens")
      .max(MAX_LEVEL, `must be at most ${String(MAX_LEVEL)}`)
      .nullable(),
  ).openapi({ description: "Of a downgrade. Null or left out: one step further than now." }),
  flags: optionalField(
    z.array(flagKeySchema).max(MAX_FLAGS_PER_TRIGGER, `must be at most ${String(MAX_FLAGS_PER_TRIGGER)} flags`),
  ).openapi({
    description: "The flags that it pulls. An alert with the label `andon_flag` pulls that one of them alone.",
  }),
  tag: optionalField(tagSchema.nullable()).openapi({
    description: "In place of `flags`: those that have the tag then.",
  }),
  expiresMinutes: optionalField(
    z
      .int("must be a whole number of minutes")
      .min(1, "must be at least 1")
      .max(MAX_EXPIRES_MINUTES, `must be at most ${String(MAX_EXPIRES_MINUTES)}`)
      .nullable(),
  ).openapi({
    description: "What it switched ends by itself after so many minutes. Null or left out: when somebody restores.",
  }),
  paused: optionalField(z.boolean("must be true or false")),
  secret: optionalField(
    z
      .string("must be a text")
      .min(MIN_SECRET_CHARS, `must be at least ${String(MIN_SECRET_CHARS)} characters`)
      .max(MAX_SECRET_CHARS, `must be at most ${String(MAX_SECRET_CHARS)} characters`)
      .nullable(),
  ).openapi({
    description:
      "What the sender signs with (Grafana, PagerDuty; Standard Webhooks for `generic`), where it cannot send a `kill` token. Never shown.",
  }),
} as const;

export const createTriggerBody = z.strictObject(fields).openapi("CreateTrigger");
export type NewTrigger = z.infer<typeof createTriggerBody>;

const { source: _source, name, action, ...optional } = fields;
export const updateTriggerBody = z
  .strictObject({ name: optionalField(name), action: optionalField(action), ...optional })
  .openapi("UpdateTrigger");
export type TriggerEdit = z.infer<typeof updateTriggerBody>;

export const triggerSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    source: z.enum(TRIGGER_SOURCES),
    action: z.enum(TRIGGER_ACTIONS),
    level: z.number().nullable(),
    flags: z.array(z.string()),
    tag: z.string().nullable(),
    expiresMinutes: z.number().nullable(),
    paused: z.boolean(),
    /** Whether signed deliveries are taken. */
    isSigned: z.boolean(),
    /** Where the sender posts to. */
    url: z.string(),
    version: z.number(),
    createdAt: time,
    receivedAt: time.nullable(),
    received: z.string().nullable().openapi({ description: "What came of the last delivery." }),
  })
  .openapi("Trigger");
export type TriggerResource = z.infer<typeof triggerSchema>;
export const changedTriggerSchema = triggerSchema.extend({ revision }).openapi("ChangedTrigger");

/** What a delivery is answered with: 200 whatever came of it, so that no sender gives up on the trigger. */
export const deliveredSchema = z
  .object({
    results: z.array(z.object({ alert: z.string(), result: z.enum(TRIGGER_RESULTS), text: z.string() })),
  })
  .openapi("Delivered");
