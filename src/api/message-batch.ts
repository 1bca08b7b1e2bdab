/** A message batch that clients told of, and what came of canceling it. */
import { z } from "@hono/zod-openapi";
import { BATCH_STATES, CANCEL_OUTCOMES } from "../../sdk-client/src/wire/usage-protocol.ts";
import { flagKeySchema, nanoUsd, reasonSchema, revision, time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

export const messageBatchesQuery = z.strictObject({
  flag: optionalField(flagKeySchema),
  running: optionalField(z.enum(["true", "false"], 'must be "true" or "false"')).openapi({
    description: "`true`: only those that run, as far as clients have told.",
  }),
});

export const messageBatchSchema = z
  .object({
    id: z.string().openapi({ description: "The provider's id." }),
    flag: z.string(),
    state: z.enum(BATCH_STATES).openapi({
      description: "`settled`: all its results have been read, and nothing is left of its estimate.",
    }),
    instance: z.string().openapi({ description: "Who submitted it, or was the last to find it running." }),
    requests: z.number(),
    submittedAt: time,
    estimatedNanoUsd: nanoUsd.openapi({ description: "The most that it could cost, as counted at its submission." }),
    standingNanoUsd: nanoUsd.openapi({ description: "What of the estimate still counts: its results tell the rest." }),
    cancel: z
      .object({
        askedAt: time,
        askedBy: z.string().nullable(),
        outcome: z.enum(CANCEL_OUTCOMES).nullable().openapi({
          description:
            "Null until a client has told what came of it. `unknown`: no key of those asked knows the batch.",
        }),
        detail: z.string().nullable(),
        at: time.nullable(),
        orderedTo: z
          .string()
          .nullable()
          .openapi({ description: "The instance that was told to ask the provider last." }),
      })
      .nullable(),
  })
  .openapi("MessageBatch");
export type MessageBatchResource = z.infer<typeof messageBatchSchema>;

export const messageBatchesAnswer = z.object({ items: z.array(messageBatchSchema) }).openapi("MessageBatches");

export const cancelBatchesBody = z.strictObject({ reason: optionalField(reasonSchema) }).openapi("CancelBatches");

export const cancelBatchesAnswer = z
  .object({ asked: z.number().openapi({ description: "Batches that clients are now told to cancel." }), revision })
  .openapi("BatchesAsked");
