/**
 * What the audit keeps of before and after, read back from its JSON. Rows live for ever: what one of them has not got,
 * because it is from before there was such a thing, has a default here.
 */
import { z } from "zod";
import type { ChainStep, FlagLimits, Rule } from "../../sdk-client/src/wire/protocol.ts";
import type { FlagState, StoredFlag } from "./flag.ts";

const moment = z.union([z.iso.datetime().transform((text) => new Date(text)), z.date()]);
const state = z.enum(["on", "off"]);
const text = z.string().nullable();
const object = (value: unknown) => typeof value === "object" && value !== null;

export const flagState: z.ZodType<FlagState> = z.object({
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

/** What people edit of a flag. */
export type Definition = Pick<
  StoredFlag,
  | "name"
  | "description"
  | "owner"
  | "runbookUrl"
  | "chain"
  | "offMode"
  | "offMessage"
  | "abortInFlight"
  | "clampMaxTokens"
  | "chainOnly"
  | "limits"
  | "maxInputBytes"
  | "maxOutputTokens"
  | "rules"
  | "rollout"
> & { tags: string[] };

export const definition: z.ZodType<Definition> = z.object({
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
  // Nor had they limits.
  limits: z.custom<FlagLimits>(object).default({}),
  maxInputBytes: z.number().nullable().default(null),
  maxOutputTokens: z.number().nullable().default(null),
  tags: z.array(z.string()).default([]),
  rules: z.array(z.custom<Rule>(object)),
  rollout: z.number(),
});

export const master = z.object({
  masterState: state,
  masterReason: text,
  masterBy: text,
  masterSince: moment,
  masterUntil: moment.nullable(),
});

/** Null: the model was not blocked. */
export const block = z.object({ reason: text, by: z.string(), since: moment, until: moment.nullable() }).nullable();

export interface Chain {
  steps: ChainStep[];
}
export const chain: z.ZodType<Chain> = z.object({ steps: z.array(z.custom<ChainStep>(object)) });
