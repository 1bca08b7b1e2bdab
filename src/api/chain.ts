/** A chain: ordered models that flags use, best first. */
import { z } from "@hono/zod-openapi";
import type { ChainStep } from "../../sdk-client/src/wire/protocol.ts";
import { CHAIN_NAME_PATTERN, MAX_CHAIN_STEPS } from "../domain/limits.ts";
import { chainStepSchema, requireDistinctModels } from "./chain-step.ts";
import { newModelSchema, revision, time, warnings } from "./fields.ts";

const steps: z.ZodArray<z.ZodType<ChainStep>> = z.array(chainStepSchema, "must be a list of steps, best model first");

export const chainNameSchema = z
  .string("must be a text")
  .regex(CHAIN_NAME_PATTERN, "must be 1 to 64 lower-case letters, digits, ., - or _, and start with a letter or digit")
  .openapi({ example: "opus-first" });

export const chainBody = z
  .strictObject({
    newModel: newModelSchema,
    steps: steps
      .min(1, "must have at least one step")
      .max(MAX_CHAIN_STEPS, `must be at most ${String(MAX_CHAIN_STEPS)} steps`)
      .superRefine(requireDistinctModels),
  })
  .openapi("PutChain");

export const chainSchema = z
  .object({
    name: z.string(),
    steps,
    usedBy: z.array(z.string()),
    version: z.number(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi("Chain");
export type ChainResource = z.infer<typeof chainSchema>;

export const changedChainSchema = chainSchema.extend({ revision, warnings }).openapi("ChangedChain");
