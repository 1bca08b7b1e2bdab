/** Running clients, and the proof that they applied a revision. */
import { z } from "@hono/zod-openapi";
import { reasonSchema, revision, time } from "./fields.ts";
import { optionalField } from "./optional-field.ts";

const MAX_REVISION_CHARS = 128;

const disconnectedSeconds = z.number().nullable().openapi({
  description:
    "Seconds since its connection was lost without a goodbye: it may still be serving. Null while nothing says so.",
});
const instanceName = z.string().openapi({
  description: "`host-7`; `host-7 (2)` is the second of several processes of that name.",
});
const notCountedSchema = z
  .array(z.object({ token: z.string(), because: z.enum(["new names", "full"]), atLeast: z.number() }))
  .openapi({
    description:
      "Clients that are served and not counted, by token: it makes up too many names, or the environment is full.",
  });

const instanceSchema = z
  .object({
    id: z.string().openapi({ description: "Of this one process, for as long as it is remembered." }),
    instance: instanceName,
    app: z.string().nullable(),
    sdk: z.string().nullable(),
    /** `<lineage>.<n>` it applied; null before its first receipt. */
    revision: z.string().nullable(),
    appliedAt: time.nullable(),
    lastSeen: time,
    state: z.enum(["live", "lost", "silent", "stopped"]),
    /** Only of a stopped one. */
    stoppedBy: z.enum(["goodbye", "successor", "declared"]).nullable(),
    /** Whole seconds since it was last heard of. */
    silentSeconds: z.number(),
    /** It decides by the environment's newest revision. */
    current: z.boolean(),
    disconnectedSeconds,
    local: z
      .array(z.string())
      .nullable()
      .openapi({ description: "What its `ANDON_KILL` holds off: keys of flags, or `*`. Null for nothing." }),
    declaredDead: z.object({ by: z.string(), at: time, secondsAgo: z.number() }).nullable().openapi({
      description: "Who said last that it is dead. One that is not stopped has been heard of since, and counts.",
    }),
  })
  .openapi("Instance");
export type InstanceResource = z.infer<typeof instanceSchema>;

export const instancesSchema = z
  .object({
    /** Those that run or may run first, then the stopped ones; at most 1,000 of each state, and who refuses by `ANDON_KILL`. */
    items: z.array(instanceSchema),
    live: z.number().openapi({ description: "Connected." }),
    lost: z.number().openapi({ description: "Connection lost within the hour; they may still be serving." }),
    silent: z.number(),
    stopped: z.number(),
    current: z.number().openapi({ description: "Connected ones that decide by the newest revision." }),
    local: z.number().openapi({ description: "Of live and lost: under `ANDON_KILL`." }),
    notCounted: notCountedSchema,
    at: time.openapi({ description: "When this was so, by the database's clock." }),
  })
  .openapi("Instances");
export type InstanceList = z.infer<typeof instancesSchema>;

export const deadBody = z.strictObject({ reason: optionalField(reasonSchema) }).openapi("DeclareDead");
export const allDeadBody = z
  .strictObject({
    lostBefore: optionalField(
      z.iso.datetime({ offset: true, error: "must be a time with its zone, such as 2030-01-31T06:00:00Z" }),
    ).openapi({
      example: "2030-01-31T06:00:00Z",
      description: "Only those that were lost by then: `at` of the list that was looked at. Left out: all.",
    }),
    reason: optionalField(reasonSchema),
  })
  .openapi("DeclareAllDead");

export const declaredSchema = z
  .object({
    instances: z.array(instanceName).openapi({ description: "Those that were declared dead; at most 1,000." }),
    declared: z.number().openapi({ description: "How many." }),
    revision,
  })
  .openapi("DeclaredDead");

export const receiptsQuery = z.strictObject({
  revision: optionalField(z.string().max(MAX_REVISION_CHARS, "is not a revision")),
});

const stragglerSchema = z
  .object({
    instance: instanceName,
    app: z.string().nullable(),
    revision: z.string().nullable(),
    lastSeen: time,
    silentSeconds: z.number(),
    disconnectedSeconds,
  })
  .openapi("Straggler");
export type Straggler = z.infer<typeof stragglerSchema>;

export const receiptsSchema = z
  .object({
    revision,
    committedAt: time,
    applied: z.number().openapi({ description: "Connected instances that decide by it or by a later one." }),
    live: z.number().openapi({ description: "All that run or may still run: connected, or lost within the hour." }),
    stragglers: z
      .array(stragglerSchema)
      .openapi({ description: "Of live: have not applied it. At most 1,000 of each." }),
    behind: z.number().openapi({ description: "How many stragglers there are." }),
    lost: z.number().openapi({ description: "Of live: connection lost without a goodbye. Never in applied." }),
    lostInstances: z.array(instanceName),
    local: z.number().openapi({
      description: "Of live: hold off by `ANDON_KILL` what this revision turned on. Never in applied.",
    }),
    localInstances: z.array(instanceName),
    /** Not heard of for a while, and not known to have stopped or to have applied it. */
    silent: z.array(stragglerSchema),
    stopped: z.number(),
    notCounted: notCountedSchema,
    /** Milliseconds from commit to receipt over the instances that ran at the commit; null without any. */
    p50Ms: z.number().nullable(),
    p99Ms: z.number().nullable(),
    lastMs: z.number().nullable(),
  })
  .openapi("Receipts");
export type Receipts = z.infer<typeof receiptsSchema>;
