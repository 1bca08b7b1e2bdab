/**
 * The tables. State of one environment is changed only in a transaction that holds the row lock of its
 * `environments` row and takes the next revision from it; so all changes of an environment are in one order.
 */
import {
  bigint,
  bigserial,
  boolean,
  doublePrecision,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
} from "drizzle-orm/pg-core";
import { sql } from "drizzle-orm";
import type {
  ChainStep,
  FlagLimits,
  OffCause,
  OffMode,
  Rule,
  SwitchState,
} from "../../../sdk-client/src/wire/protocol.ts";
import type { ActorRecord } from "../../domain/actor.ts";
import type { NotCountedBecause, StoppedBy } from "../../domain/fleet.ts";
import type { CauseKind, StandingState } from "../../domain/standing.ts";
import { moment } from "./columns.ts";

/** One row: what identifies this installation. */
export const installation = pgTable("installation", {
  id: integer("id").primaryKey(),
  lineageSalt: text("lineage_salt").notNull(),
  /** Grows with every token change, so that servers notice one in their version check. */
  tokensVersion: bigint("tokens_version", { mode: "number" }).notNull().default(1),
  /** Tells ANDON_SECRET of the server that started last from another one; says nothing of it. */
  secretCheck: text("secret_check"),
  /** The end of the audit of what belongs to no environment. */
  auditSeq: bigint("audit_seq", { mode: "number" }).notNull().default(0),
  auditSeal: text("audit_seal").notNull().default(""),
  createdAt: moment("created_at").notNull().defaultNow(),
});

export const environments = pgTable("environments", {
  id: text("id").primaryKey(),
  key: text("key").notNull().unique(),
  name: text("name").notNull(),
  revision: bigint("revision", { mode: "number" }).notNull().default(1),
  /** Replaced when the history of this environment is seen to have been rewound, see lineage.ts. */
  lineageSalt: text("lineage_salt").notNull().default(""),
  committedAt: moment("committed_at").notNull().defaultNow(),
  masterState: text("master_state").$type<SwitchState>().notNull().default("on"),
  masterReason: text("master_reason"),
  masterBy: text("master_by"),
  masterSince: moment("master_since").notNull().defaultNow(),
  masterUntil: moment("master_until"),
  /** The model behind each name that does not say it. Of the environment's row, which every decision reads already. */
  aliases: jsonb("aliases").$type<Record<string, string>>().notNull().default({}),
  /** The end of its audit: how many rows were sealed, and the seal of the last one. */
  auditSeq: bigint("audit_seq", { mode: "number" }).notNull().default(0),
  auditSeal: text("audit_seal").notNull().default(""),
  createdAt: moment("created_at").notNull().defaultNow(),
});

export const environmentId = () =>
  text("environment_id")
    .notNull()
    .references(() => environments.id, { onDelete: "cascade" });

export const chains = pgTable(
  "chains",
  {
    environmentId: environmentId(),
    name: text("name").notNull(),
    steps: jsonb("steps").$type<ChainStep[]>().notNull(),
    version: integer("version").notNull().default(1),
    createdAt: moment("created_at").notNull().defaultNow(),
    updatedAt: moment("updated_at").notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.name] })],
);

export const flags = pgTable(
  "flags",
  {
    environmentId: environmentId(),
    key: text("key").notNull(),
    name: text("name").notNull(),
    description: text("description").notNull().default(""),
    owner: text("owner").notNull().default(""),
    runbookUrl: text("runbook_url"),
    chain: text("chain"),
    offMode: text("off_mode").$type<OffMode>().notNull().default("error"),
    offMessage: text("off_message"),
    abortInFlight: boolean("abort_in_flight").notNull().default(false),
    clampMaxTokens: boolean("clamp_max_tokens").notNull().default(false),
    chainOnly: boolean("chain_only").notNull().default(false),
    limits: jsonb("limits").$type<FlagLimits>().notNull().default({}),
    maxInputBytes: integer("max_input_bytes"),
    maxOutputTokens: integer("max_output_tokens"),
    tags: text("tags").array().notNull().default([]),
    rules: jsonb("rules").$type<Rule[]>().notNull().default([]),
    rollout: doublePrecision("rollout").notNull().default(100),
    salt: text("salt").notNull(),
    version: integer("version").notNull().default(1),
    // The switch. `cause` and `until` have a value only while it is off. `ramp` stays while it is off, for the end of `until`.
    state: text("state").$type<SwitchState>().notNull().default("on"),
    cause: text("cause").$type<OffCause>(),
    reason: text("reason"),
    by: text("by"),
    since: moment("since").notNull().defaultNow(),
    until: moment("until"),
    ramp: doublePrecision("ramp"),
    // The manual level, stored with the model it means: editing the chain cannot change what on-call meant.
    levelModel: text("level_model"),
    level: integer("level"),
    levelReason: text("level_reason"),
    levelBy: text("level_by"),
    levelSince: moment("level_since"),
    levelUntil: moment("level_until"),
    // What holds, settled by every change that moves it, see domain/standing.ts. Null until the first.
    standing: text("standing").$type<StandingState>(),
    standingSince: moment("standing_since"),
    standingBegan: text("standing_began").$type<CauseKind>(),
    standingModels: jsonb("standing_models").$type<readonly string[]>(),
    standingRevision: bigint("standing_revision", { mode: "number" }),
    createdAt: moment("created_at").notNull().defaultNow(),
    updatedAt: moment("updated_at").notNull().defaultNow(),
  },
  (t) => [
    primaryKey({ columns: [t.environmentId, t.key] }),
    foreignKey({
      columns: [t.environmentId, t.chain],
      foreignColumns: [chains.environmentId, chains.name],
    }),
  ],
);

export const modelBlocks = pgTable(
  "model_blocks",
  {
    environmentId: environmentId(),
    model: text("model").notNull(),
    reason: text("reason"),
    by: text("by").notNull(),
    since: moment("since").notNull().defaultNow(),
    until: moment("until"),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.model] })],
);

/** Models that a breaker has taken out, and the closed breakers of those that it had; see domain/breaker.ts. */
export const modelBreakers = pgTable(
  "model_breakers",
  {
    environmentId: environmentId(),
    /** The name that models are compared by. */
    model: text("model").notNull(),
    state: text("state").$type<"open" | "probing" | "overridden" | "closed">().notNull(),
    /** When it was taken out. */
    since: moment("since").notNull(),
    /** Of the state; while probing also when its share was set. */
    stateSince: moment("state_since").notNull(),
    /** The revision that began the probing, or closed it: only calls that were decided by it or later count. */
    countsFrom: bigint("counts_from", { mode: "number" }).notNull().default(0),
    /** Of `open`. */
    probeAt: moment("probe_at"),
    /** Of `probing`: that share of the calls that would use it does. */
    probeShare: doublePrecision("probe_share"),
    /** How many times in a row its probes have failed. */
    rounds: integer("rounds").notNull().default(0),
    // What it was taken out for.
    calls: integer("calls").notNull(),
    failures: integer("failures").notNull(),
    instances: integer("instances").notNull(),
    failingInstances: integer("failing_instances").notNull(),
    // Of `overridden`.
    overriddenBy: text("overridden_by"),
    overrideReason: text("override_reason"),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.model] })],
);

export const tokens = pgTable("tokens", {
  id: text("id").primaryKey(),
  kind: text("kind").$type<"sdk" | "op" | "kill" | "web">().notNull(),
  name: text("name").notNull(),
  /** SHA-256 of the token in hex. Null for an identity that only signs in by link. */
  hash: text("hash").unique(),
  role: text("role").$type<"viewer" | "operator" | "admin">(),
  /** Ids of the environments it is good for; null: all. */
  environmentIds: jsonb("environment_ids").$type<string[]>(),
  createdBy: text("created_by").notNull(),
  createdAt: moment("created_at").notNull().defaultNow(),
  expiresAt: moment("expires_at"),
  revokedAt: moment("revoked_at"),
  /** Sessions that began before are over; null: none but those in `ended_sessions`. */
  sessionsFrom: moment("sessions_from"),
});

/** Sessions that were signed out of before their cookie ran out; kept until it has. */
export const endedSessions = pgTable(
  "ended_sessions",
  {
    id: text("id").primaryKey(),
    tokenId: text("token_id").notNull(),
    expiresAt: moment("expires_at").notNull(),
  },
  (t) => [index("ended_sessions_of_token").on(t.tokenId), index("ended_sessions_expiry").on(t.expiresAt)],
);

/** One-time sign-in links: only the SHA-256 of the link's secret is kept. */
export const signInLinks = pgTable("sign_in_links", {
  hash: text("hash").primaryKey(),
  tokenId: text("token_id")
    .notNull()
    .references(() => tokens.id, { onDelete: "cascade" }),
  createdAt: moment("created_at").notNull().defaultNow(),
  expiresAt: moment("expires_at").notNull(),
  usedAt: moment("used_at"),
});

export const audit = pgTable(
  "audit",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    /** Null for what belongs to no environment (tokens good for all of them). */
    environmentId: text("environment_id").references(() => environments.id, {
      onDelete: "cascade",
    }),
    revision: bigint("revision", { mode: "number" }),
    at: moment("at").notNull().defaultNow(),
    actor: jsonb("actor").$type<ActorRecord>().notNull(),
    action: text("action").notNull(),
    targetKind: text("target_kind").notNull(),
    target: text("target").notNull(),
    reason: text("reason"),
    before: jsonb("before").$type<unknown>(),
    after: jsonb("after").$type<unknown>(),
    requestId: text("request_id").notNull(),
    /** The entry whose change this one took back. */
    reverts: bigint("reverts", { mode: "number" }),
    // Its place in the chain of its environment, see audit-seal.ts. Null for rows from before there were seals.
    seq: bigint("seq", { mode: "number" }),
    sealText: text("seal_text"),
    sealKey: text("seal_key"),
    seal: text("seal"),
  },
  (t) => [
    index("audit_environment_id_id").on(t.environmentId, t.id),
    index("audit_environment_id_revision").on(t.environmentId, t.revision),
    index("audit_target").on(t.environmentId, t.targetKind, t.target, t.id),
  ],
);

export const instances = pgTable(
  "instances",
  {
    environmentId: environmentId(),
    instance: text("instance").notNull(),
    /** Tells processes of one name apart; "" for clients that do not send it. */
    boot: text("boot").notNull().default(""),
    app: text("app"),
    sdk: text("sdk"),
    lineage: text("lineage"),
    /** The newest `n` it applied in `lineage`; null before its first receipt. */
    revision: bigint("revision", { mode: "number" }),
    appliedAt: moment("applied_at"),
    firstSeen: moment("first_seen").notNull().defaultNow(),
    lastSeen: moment("last_seen").notNull().defaultNow(),
    /** Set when the instance said that it stopped, or when a new process took its name after its connection was lost. */
    stoppedAt: moment("stopped_at"),
    stoppedBy: text("stopped_by").$type<StoppedBy>(),
    /** The last time that a person said that it is dead. It stays for as long as the row. */
    declaredDeadAt: moment("declared_dead_at"),
    declaredDeadBy: text("declared_dead_by"),
    /** When it was heard of after that all the same. */
    returnedAt: moment("returned_at"),
    /** When its connection was lost; null once it is heard of again. */
    disconnectedAt: moment("disconnected_at"),
    /** What its `ANDON_KILL` holds off: keys of flags, or `*`; null for nothing. */
    local: text("local").array(),
  },
  (t) => [
    primaryKey({ columns: [t.environmentId, t.instance, t.boot] }),
    // Without the columns that a sighting or a receipt changes: those writes touch no index.
    index("instances_running")
      .on(t.environmentId)
      .where(sql`stopped_at is null`),
    index("instances_stopped")
      .on(t.environmentId, t.stoppedAt)
      .where(sql`stopped_at is not null`),
    // Asked with every batch of sightings, and nearly always empty.
    index("instances_declared_dead")
      .on(t.environmentId)
      .where(sql`declared_dead_at is not null and returned_at is null`),
  ],
);

/** Clients that are served and not counted: `atLeast` names of one token, of the last moments. */
export const instancesNotCounted = pgTable(
  "instances_not_counted",
  {
    environmentId: environmentId(),
    tokenId: text("token_id")
      .notNull()
      .references(() => tokens.id, { onDelete: "cascade" }),
    because: text("because").$type<NotCountedBecause>().notNull(),
    atLeast: integer("at_least").notNull(),
    seenAt: moment("seen_at").notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.tokenId] })],
);

/** When an instance was first seen to have applied a revision. Kept for the newest revisions, longer than the instance. */
export const receipts = pgTable(
  "receipts",
  {
    environmentId: environmentId(),
    lineage: text("lineage").notNull(),
    revision: bigint("revision", { mode: "number" }).notNull(),
    instance: text("instance").notNull(),
    boot: text("boot").notNull().default(""),
    appliedAt: moment("applied_at").notNull(),
    /** Of the instance: only those that ran at the commit are timed. */
    firstSeen: moment("first_seen").notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.lineage, t.revision, t.instance, t.boot] })],
);

/** When each of the newest revisions was committed: what receipts are timed against. */
export const revisions = pgTable(
  "revisions",
  {
    environmentId: environmentId(),
    revision: bigint("revision", { mode: "number" }).notNull(),
    committedAt: moment("committed_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.environmentId, t.revision] })],
);
