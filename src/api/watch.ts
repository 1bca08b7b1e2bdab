/** Watches: what is unusual enough to tell on-call of, for all flags of an environment and for single ones. */
import { z } from "@hono/zod-openapi";
import { LATENCY_BUCKETS_MS } from "../domain/ledger.ts";
import { WATCH_BOUNDS, WATCH_KINDS, type WatchKind, type WatchSetting } from "../domain/watch.ts";
import { nanoUsd, revision, time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

export const watchKindSchema = z.enum(WATCH_KINDS, `must be one of ${WATCH_KINDS.join(", ")}`);

const figure = z.number("must be a number");
export const watchBody = z
  .strictObject({
    enabled: optionalField(z.boolean("must be true or false")),
    limit: optionalField(figure).openapi({
      description:
        "Times the usual (`burn`), times the mean (`largeCall`), percent (`cut`, `errors`), milliseconds (`latency`, one of the bounds that latency is kept by).",
    }),
    minimum: optionalField(figure).openapi({
      description:
        "With less it never tells: USD an hour (`burn`), calls that the mean is of (`largeCall`), answers (`cut`) or attempts (`errors`, `latency`) in the hour.",
    }),
  })
  .openapi("PutWatch");
export type WatchInput = z.infer<typeof watchBody>;

export const watchSchema = z
  .object({
    kind: watchKindSchema,
    /** Null: of all flags that have no setting of their own. */
    flag: z.string().nullable(),
    enabled: z.boolean(),
    limit: z.number(),
    minimum: z.number(),
    /** Null where the default counts. */
    changedBy: z.string().nullable(),
    changedAt: time.nullable(),
  })
  .openapi("Watch");
export type WatchResource = z.infer<typeof watchSchema>;
export const changedWatchSchema = watchSchema.extend({ revision }).openapi("ChangedWatch");

export const MAX_PREVIEW_DAYS = 28;
export const DEFAULT_PREVIEW_DAYS = 7;
const number = z.coerce.number("must be a number");
export const previewQuery = z.strictObject({
  flag: optionalField(z.string()),
  days: optionalField(
    number
      .int("must be a whole number")
      .min(1, "must be 1 or more")
      .max(MAX_PREVIEW_DAYS, `must be at most ${MAX_PREVIEW_DAYS}`),
  ).openapi({ description: `Days back from now; ${DEFAULT_PREVIEW_DAYS} when left out.` }),
  limit: optionalField(number).openapi({ description: "As in force when left out." }),
  minimum: optionalField(number).openapi({ description: "As in force when left out." }),
});
export type PreviewQuery = z.infer<typeof previewQuery>;

export const previewSchema = z
  .object({
    from: time,
    to: time,
    limit: z.number().nullable().openapi({ description: "Null: of each flag its own." }),
    minimum: z.number().nullable(),
    /** Flags whose calls were looked at. */
    flags: z.number(),
    /** How often it would have fired. */
    fired: z.number(),
    /** The newest first, at most 100. */
    episodes: z.array(
      z.object({
        flag: z.string(),
        at: time,
        /** When it last was over the limit; null while it still is. */
        until: time.nullable(),
        /** As at the worst of it. */
        title: z.string(),
        value: nanoUsd.openapi({ description: "As of an incident's `watch`." }),
        against: z.number(),
      }),
    ),
    /** What this cannot tell, in sentences. */
    notes: z.array(z.string()),
  })
  .openapi("WatchPreview");
export type WatchPreview = z.infer<typeof previewSchema>;

/** A fault of these figures for a watch of this kind, with its path. */
export function watchFault(
  kind: WatchKind,
  setting: Pick<WatchSetting, "limit" | "minimum">,
): { path: string; message: string } | null {
  const bounds = WATCH_BOUNDS[kind];
  for (const path of ["limit", "minimum"] as const) {
    const { min, max } = bounds[path];
    const value = setting[path];
    if (!Number.isFinite(value) || value < min || value > max)
      return { path, message: `must be from ${min} to ${max}` };
  }
  if (kind !== "latency" || LATENCY_BUCKETS_MS.some((bound) => bound === setting.limit)) return null;
  return {
    path: "limit",
    message: `must be one of the bounds that latency is kept by: ${LATENCY_BUCKETS_MS.join(", ")} ms`,
  };
}
