/**
 * Reads back the `before` and `after` that the audit stored as JSON. Key order is that of the writers, so that two
 * values can be compared by their text.
 */
import { z } from "zod";
import type { ChainStep, Rule } from "../../sdk-client/src/wire/protocol.ts";
import type { FlagState } from "./flag.ts";

const moment = z.union([z.iso.datetime().transform((text) => new Date(text)), z.date()]);
const state = z.enum(["on", "off"]);
const text = z.string().nullable();

const flagStateSchema = z.object({
  state,
  cause: z.enum(["manual", "trigger", "budget"]).nullable(),
  reason: text,
  by: text,
  since: moment,
  until: moment.nullable(),
  ramp: z.number().nullable(),
  levelModel: text,
  level: z.number().nullable(),
  levelReason: text,
  levelBy: text,
  levelSince: moment.nullable(),
  levelUntil: moment.nullable(),
});

const definitionSchema = z.object({
  name: z.string(),
  description: z.string(),
  owner: z.string(),
  runbookUrl: text,
  chain: text,
  offMode: z.enum(["error", "message"]),
  offMessage: text,
  abortInFlight: z.boolean(),
  clampMaxTokens: z.boolean(),
  // Entries from before flags could be held to their chain have none.
  chainOnly: z.boolean().default(false),
  rules: z.array(z.custom<Rule>((value) => typeof value === "object" && value !== null)),
  rollout: z.number(),
});

const masterSchema = z.object({
  masterState: state,
  masterReason: text,
  masterBy: text,
  masterSince: moment,
  masterUntil: moment.nullable(),
});

const blockSchema = z.object({ reason: text, by: z.string(), since: moment, until: moment.nullable() }).nullable();
const stepsSchema = z.object({
  steps: z.array(z.custom<ChainStep>((value) => typeof value === "object" && value !== null)),
});

export type ChainSteps = z.infer<typeof stepsSchema>;

export const parseFlagState = (value: unknown): FlagState => flagStateSchema.parse(value);
export const parseDefinition = (value: unknown) => definitionSchema.parse(value);
export const parseMaster = (value: unknown) => masterSchema.parse(value);
export const parseBlock = (value: unknown) => blockSchema.parse(value);
export const parseSteps = (value: unknown): ChainSteps => stepsSchema.parse(value);
