/** A lease as operators see it, and the return of what silent clients held. Money is whole nano-USD. */
import { z } from "@hono/zod-openapi";
import { idSchema, nanoUsd, reasonSchema, time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

export const leaseSchema = z
  .object({
    id: z.string(),
    instance: z.string(),
    state: z.enum(["open", "indeterminate"]).openapi({
      description: "`indeterminate`: its client went silent, and nobody knows what it spent of what it held.",
    }),
    grantedNanoUsd: nanoUsd,
    releasedNanoUsd: nanoUsd,
    settledNanoUsd: nanoUsd,
    inFlightNanoUsd: nanoUsd,
    heldNanoUsd: nanoUsd.openapi({ description: "Granted less released less settled." }),
    grantedAt: time,
    renewedAt: time,
  })
  .openapi("Lease");
export type LeaseResource = z.infer<typeof leaseSchema>;

export const returnBody = z
  .strictObject({
    reason: reasonSchema,
    leaseId: optionalField(idSchema).openapi({ description: "One lease; left out: all of the current window." }),
  })
  .openapi("ReturnIndeterminate");
