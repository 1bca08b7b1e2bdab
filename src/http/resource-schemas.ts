/**
 * What the operator API answers, for its documentation; the compiler holds the handlers to it. Times are ISO 8601, UTC.
 */
import { z } from "@hono/zod-openapi";
import type { ChainStep, Rule } from "../../sdk-client/src/wire/protocol.ts";
import { ROLES, TOKEN_KINDS } from "../domain/actor.ts";
import { chainStepSchema } from "./chain-step-schema.ts";
import { ruleSchema } from "./rule-schema.ts";

// The wire types are read-only, which the inferred ones are not.
const stepSchema: z.ZodType<ChainStep> = chainStepSchema;
const shownRuleSchema: z.ZodType<Rule> = ruleSchema;

const time = z.string().openapi({ format: "date-time" });
const switchState = z.enum(["on", "off"]);
const revision = z.string().openapi({ example: "k3f9.42", description: "The environment's revision." });

const switchSchema = z
  .object({
    state: switchState,
    cause: z.enum(["manual", "trigger", "budget"]).nullable(),
    reason: z.string().nullable(),
    by: z.string().nullable(),
    since: time,
    until: time.nullable(),
    ramp: z.number().nullable(),
  })
  .openapi("Switch");

const levelSchema = z
  .object({
    level: z.number(),
    manual: z
      .object({
        level: z.number(),
        model: z.string(),
        reason: z.string().nullable(),
        by: z.string(),
        since: time,
        until: time.nullable(),
      })
      .nullable(),
  })
  .openapi("Level");

const tripSchema = z
  .object({
    id: z.string(),
    budget: z.object({ id: z.string(), name: z.string() }),
    atPercent: z.number(),
    action: z.enum(["downgrade", "kill"]),
    level: z.number().nullable(),
    model: z.string().nullable(),
    since: time,
    until: time.nullable().openapi({ description: "When it ends by itself; null: when somebody restores." }),
  })
  .openapi("Trip", { description: "What a budget did to the flag by itself." });

const budgetName = z.object({ id: z.string(), name: z.string() });
const causeKind = z.enum([
  "MASTER",
  "KILLED",
  "TRIPPED",
  "NO_MODEL",
  "OVERRIDE",
  "RAISE_ENDED",
  "TRACK",
  "NO_KILL",
  "BLOCK",
  "LEVEL",
  "RAMP",
  "ON",
]);

const standingSchema = z
  .object({
    state: z.enum(["off", "over", "downgraded", "ramping", "on"]),
    since: time.openapi({ description: "The start of the unbroken time in this state." }),
    cause: z
      .object({
        kind: causeKind,
        by: z.string().nullable(),
        reason: z.string().nullable(),
        at: time.nullable(),
        until: time.nullable(),
        budget: budgetName.nullable(),
        atPercent: z.number().nullable(),
        models: z.array(z.string()),
      })
      .openapi({ description: "What decides now, by the order of authority." }),
    heldSince: time.nullable().openapi({ description: "When the deciding cause began, if later than `since`." }),
    began: causeKind.nullable().openapi({ description: "What decided when the state began; null: not known." }),
    over: z
      .object({ budget: budgetName, since: time, spentNanoUsd: z.number(), limitNanoUsd: z.number() })
      .nullable()
      .openapi({ description: "Its budget that is over the limit while it is on." }),
    revision: z.number().nullable().openapi({
      description: "`n` of the revision that turned it on or off, or changed its models; null: not known.",
    }),
  })
  .openapi("Standing", { description: "What holds now, since when, by whom and why." });

export const flagSchema = z
  .object({
    key: z.string(),
    name: z.string(),
    description: z.string(),
    owner: z.string(),
    runbookUrl: z.string().nullable(),
    chain: z.string().nullable(),
    steps: z.array(stepSchema),
    offMode: z.enum(["error", "message"]),
    offMessage: z.string().nullable(),
    abortInFlight: z.boolean(),
    clampMaxTokens: z.boolean(),
    chainOnly: z.boolean(),
    rules: z.array(shownRuleSchema),
    rollout: z.number(),
    switch: switchSchema,
    level: levelSchema,
    trips: z.array(tripSchema),
    effective: z.object({
      state: z.enum(["on", "downgraded", "ramping", "off"]),
      reason: z.enum(["ON", "MASTER", "KILLED", "TRIPPED", "NO_MODEL"]),
      model: z.string().nullable(),
      models: z.array(z.string()),
      step: z
        .number()
        .nullable()
        .openapi({ description: "The effective step: where in its chain calls start now; null when off." }),
      blocked: z.array(z.string()).openapi({ description: "Models of its chain that are blocked." }),
    }),
    standing: standingSchema,
    sends: z
      .array(
        z.object({
          model: z.string(),
          why: z.enum(["OUTSIDE", "PASSED", "LOWER"]).openapi({
            description: "Outside the chain; a step that is passed now; or lower than where calls start, alone.",
          }),
          attempts: z.number(),
          nanoUsd: z.number(),
          newestAt: time,
          newestInstance: z.string(),
        }),
      )
      .openapi({
        description:
          "Models of calls begun since their instance applied the state in force (15 minutes at most) that its chain does not account for. Empty in the answer to a change.",
      }),
    evaluated: z
      .object({ at: time, on: z.number(), off: z.number() })
      .nullable()
      .openapi({ description: "How often clients evaluated it, and when one last told so; null: never." }),
    version: z.number(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi("Flag");

export const unknownFlagsSchema = z
  .object({
    items: z.array(
      z.object({
        key: z.string(),
        askedAt: time,
        instance: z.string(),
        app: z.string().nullable(),
        meant: z.string().nullable().openapi({ description: "The flag that may be meant." }),
        isKey: z.boolean().openapi({ description: "False when no flag can have this key." }),
      }),
    ),
    isFull: z.boolean().openapi({ description: "True when there may be others, which there was no room for." }),
  })
  .openapi("UnknownFlags");

export const chainSchema = z
  .object({
    name: z.string(),
    steps: z.array(stepSchema),
    usedBy: z.array(z.string()),
    version: z.number(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi("Chain");

export const modelResourceSchema = z
  .object({
    model: z.string(),
    blocked: z.boolean(),
    reason: z.string().nullable(),
    by: z.string().nullable(),
    since: time.nullable(),
    until: time.nullable(),
    usedBy: z.array(z.string()),
  })
  .openapi("Model");

export const aliasesSchema = z
  .object({ aliases: z.record(z.string(), z.string()), revision })
  .openapi("Aliases", { description: "The model behind each name that does not say it." });

const warnings = z.array(z.string()).openapi({ description: "What is taken, and may not be meant." });

export const masterSchema = z
  .object({
    state: switchState,
    reason: z.string().nullable(),
    by: z.string().nullable(),
    since: time,
    until: time.nullable(),
  })
  .openapi("Master");

export const environmentSchema = z
  .object({ key: z.string(), name: z.string(), revision, master: masterSchema, createdAt: time })
  .openapi("Environment");

export const tokenSchema = z
  .object({
    id: z.string(),
    kind: z.enum(TOKEN_KINDS),
    name: z.string(),
    role: z.enum(ROLES).nullable(),
    environments: z.array(z.string()).nullable(),
    createdBy: z.string(),
    createdAt: time,
    expiresAt: time.nullable(),
    revokedAt: time.nullable(),
    current: z.boolean(),
  })
  .openapi("Token");
export const createdTokenSchema = tokenSchema
  .extend({ secret: z.string().openapi({ description: "The token itself, shown this once." }) })
  .openapi("CreatedToken");

export const auditSchema = z
  .object({
    id: z.number(),
    environment: z.string().nullable(),
    revision: z.number().nullable(),
    at: time,
    actor: z.object({ kind: z.enum([...TOKEN_KINDS, "system"]), id: z.string(), name: z.string() }),
    action: z.string(),
    target: z.object({ kind: z.string(), key: z.string() }),
    reason: z.string().nullable(),
    before: z.unknown(),
    after: z.unknown(),
    revertible: z.boolean(),
    reverts: z.number().nullable().openapi({ description: "The entry whose change this one took back; null: none." }),
  })
  .openapi("AuditEntry");

const auditId = z
  .number()
  .nullable()
  .openapi({ description: "Names this change for a revert; null when nothing changed." });

export const changedFlagSchema = flagSchema.extend({ revision }).openapi("ChangedFlag");
export const switchedFlagSchema = flagSchema.extend({ revision, auditId }).openapi("SwitchedFlag");
export const changedChainSchema = chainSchema.extend({ revision, warnings }).openapi("ChangedChain");
export const changedModelSchema = modelResourceSchema.extend({ revision, auditId, warnings }).openapi("ChangedModel");
export const masterWithRevisionSchema = masterSchema.extend({ revision }).openapi("MasterWithRevision");
export const switchedMasterSchema = masterSchema.extend({ revision, auditId }).openapi("SwitchedMaster");
export const revertedSchema = z
  .object({ target: z.object({ kind: z.string(), key: z.string() }), revision })
  .openapi("Reverted");
export const deletedSchema = z.object({ revision }).openapi("Deleted");
export const deletedFlagSchema = z
  .object({ budgets: z.array(z.object({ id: z.string(), name: z.string() })), revision })
  .openapi("DeletedFlag");

/** A list of one environment's resources at a revision. */
export const listOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), revision });

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
    revision: z.string().nullable(),
    appliedAt: time.nullable(),
    lastSeen: time,
    state: z.enum(["live", "lost", "silent", "stopped"]),
    stoppedBy: z.enum(["goodbye", "successor", "declared"]).nullable(),
    silentSeconds: z.number(),
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
export const instancesSchema = z
  .object({
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
export const declaredSchema = z
  .object({
    instances: z.array(instanceName).openapi({ description: "Those that were declared dead; at most 1,000." }),
    declared: z.number().openapi({ description: "How many." }),
    revision,
  })
  .openapi("DeclaredDead");

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
    silent: z.array(stragglerSchema),
    stopped: z.number(),
    notCounted: notCountedSchema,
    p50Ms: z.number().nullable(),
    p99Ms: z.number().nullable(),
    lastMs: z.number().nullable(),
  })
  .openapi("Receipts");
