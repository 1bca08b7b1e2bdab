/** Tokens: made once, shown once, stored as SHA-256, revoked at once on every server. */
import { and, desc, eq, inArray, isNull, sql } from "drizzle-orm";
import { requireScope } from "../../authorize.ts";
import { afterCommit, insertAudit } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read, withTransaction } from "../../transaction.ts";
import { NOTIFY_CHANNEL } from "../../db/listen.ts";
import { environments, installation, tokens } from "../../db/schema/state.ts";
import type { Db, TokenRow } from "../../db/types.ts";
import { type Role, seesEnvironment, type TokenKind } from "../../domain/actor.ts";
import type { Kept } from "../../domain/audit.ts";
import { MAX_ACTIVE_TOKENS } from "../../domain/limits.ts";
import type { Caller, TokenResource } from "../../api/token.ts";
import { AppError, invalid } from "../../errors.ts";
import { one, requireRoom } from "../shared/one.ts";
import { listEnvironments } from "./environments.ts";
import { hashSecret } from "./secret.ts";

const SECRET_BYTES = 30;

export interface NewToken {
  kind: TokenKind;
  name: string;
  /** Required for `op`, refused for the others. */
  role?: Role;
  /** Keys; null for all, which only `op` tokens may have. All other kinds are good for exactly one. */
  environments: string[] | null;
  expiresAt: Date | null;
}

/** Active and revoked tokens, newest first; never a secret. */
export async function listTokens(ctx: Ctx): Promise<{ items: TokenResource[] }> {
  requireScope(ctx.actor, "admin");
  return read(ctx, async (db) => {
    const rows = await db.select().from(tokens).orderBy(desc(tokens.createdAt), desc(tokens.id));
    const keys = await environmentKeys(db);
    return { items: rows.filter((row) => mayManage(ctx, row)).map((row) => tokenResource(ctx, row, keys)) };
  });
}

/** Who asks, and what they may. */
export async function callerOf(ctx: Ctx): Promise<Caller> {
  const { kind, name, role, environmentIds } = ctx.actor;
  // Requests come with tokens; `system` is who changes things without one.
  if (kind === "system") throw new AppError("FORBIDDEN", "Nobody asks.");
  const seen = environmentIds === null ? null : (await listEnvironments(ctx)).items.map(({ key }) => key);
  return { kind, name, role, environments: seen };
}

/** Makes a token. `secret` is the only time it can be read. */
export async function createToken(ctx: Ctx, input: NewToken): Promise<{ token: TokenResource; secret: string }> {
  requireScope(ctx.actor, "admin");
  requireShape(input);
  const secret = `andon_${input.kind}_${ctx.deps.newSecret(SECRET_BYTES)}`;
  const at = new Date(ctx.deps.clock.nowMs());
  const token = await withTransaction(ctx, async (tx) => {
    const environmentIds = await resolveEnvironments(ctx, tx, input.environments);
    const tooMany = `There are ${MAX_ACTIVE_TOKENS} active tokens. Revoke unused ones first.`;
    requireRoom(1 + (await tx.$count(tokens, isNull(tokens.revokedAt))), MAX_ACTIVE_TOKENS, tooMany);
    const rows = await tx
      .insert(tokens)
      .values({
        id: ctx.deps.newId(),
        kind: input.kind,
        name: input.name,
        hash: hashSecret(secret),
        role: input.role ?? null,
        environmentIds,
        createdBy: ctx.actor.name,
        createdAt: at,
        expiresAt: input.expiresAt,
      })
      .returning();
    const row = one(rows, "The token was not written.", "INTERNAL");
    const made = tokenResource(ctx, row, await environmentKeys(tx));
    const { kind, name, role, environments: keys } = made;
    const after = { kind, name, role, environments: keys };
    await recordToken(ctx, tx, row, { action: "token.created", after }, at);
    return made;
  });
  await afterCommit(ctx, () => ctx.deps.tokens.refresh());
  return { token, secret };
}

/** Revokes a token on every server. CONFLICT for the token that asks: nobody locks themselves out by one click. */
export async function revokeToken(ctx: Ctx, id: string): Promise<TokenResource> {
  requireScope(ctx.actor, "admin");
  const at = new Date(ctx.deps.clock.nowMs());
  const token = await withTransaction(ctx, async (tx) => {
    const rows = await tx.select().from(tokens).where(eq(tokens.id, id)).for("update");
    const current = one(
      rows.filter((row) => mayManage(ctx, row)),
      "There is no such token.",
    );
    if (current.id === ctx.actor.id) {
      throw new AppError("CONFLICT", "This is the token you are using. Sign in with another one to revoke it.");
    }
    const keys = await environmentKeys(tx);
    if (current.revokedAt !== null) return tokenResource(ctx, current, keys);
    const revoked = await tx
      .update(tokens)
      .set({ revokedAt: at })
      .where(and(eq(tokens.id, id), isNull(tokens.revokedAt)))
      .returning();
    await recordToken(ctx, tx, current, { action: "token.revoked" }, at);
    return tokenResource(ctx, revoked[0] ?? current, keys);
  });
  await afterCommit(ctx, () => ctx.deps.tokens.refresh());
  return token;
}

/** Tells every server, in the transaction that changed a token, to read the tokens again. */
export async function announceTokens(tx: Db): Promise<void> {
  await tx.update(installation).set({ tokensVersion: sql`${installation.tokensVersion} + 1` });
  await tx.execute(sql`select pg_notify(${NOTIFY_CHANNEL}, 'tokens')`);
}

export type TokenKept = Extract<Kept, { action: "token.created" | "token.revoked" }>;

async function recordToken(ctx: Ctx, tx: Db, row: TokenRow, kept: TokenKept, at: Date): Promise<void> {
  const only = row.environmentIds?.length === 1 ? (row.environmentIds[0] ?? null) : null;
  await insertAudit(ctx, tx, { ...kept, target: row.name }, { environmentId: only, revision: null, at });
  await announceTokens(tx);
}

function requireShape(input: NewToken): void {
  if (input.kind === "op") {
    if (input.role === undefined) throw invalid("role", "an op token has a role: viewer, operator or admin");
    if (input.environments?.length === 0)
      throw invalid("environments", "name at least one environment, or null for all");
    return;
  }
  if (input.role !== undefined) throw invalid("role", `only op tokens have a role, not ${input.kind} tokens`);
  if (input.environments?.length !== 1) {
    throw invalid("environments", `a token of kind ${input.kind} is good for exactly one environment`);
  }
}

async function resolveEnvironments(ctx: Ctx, tx: Db, keys: string[] | null): Promise<string[] | null> {
  if (keys === null) {
    if (ctx.actor.environmentIds !== null) {
      throw new AppError("FORBIDDEN", "Only an admin of all environments makes tokens for all of them.");
    }
    return null;
  }
  const rows = await tx.select().from(environments).where(inArray(environments.key, keys));
  return keys.map((key, index) => {
    const row = rows.find((candidate) => candidate.key === key);
    if (row === undefined || !seesEnvironment(ctx.actor, row.id)) {
      throw invalid(`environments.${index}`, `there is no environment "${key}"`);
    }
    return row.id;
  });
}

/** An admin of some environments manages only tokens that reach no further. */
function mayManage(ctx: Ctx, row: TokenRow): boolean {
  const own = ctx.actor.environmentIds;
  return own === null || (row.environmentIds?.every((id) => own.includes(id)) ?? false);
}

async function environmentKeys(db: Db): Promise<Map<string, string>> {
  const rows = await db.select({ id: environments.id, key: environments.key }).from(environments);
  return new Map(rows.map((row) => [row.id, row.key]));
}

function tokenResource(ctx: Ctx, row: TokenRow, keys: Map<string, string>): TokenResource {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    role: row.role,
    environments: row.environmentIds?.map((id) => keys.get(id) ?? id) ?? null,
    createdBy: row.createdBy,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
    current: row.id === ctx.actor.id,
  };
}
