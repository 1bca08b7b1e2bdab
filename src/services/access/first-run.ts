/**
 * What a new installation starts with: its identity, two environments and an admin who signs in by link. Safe to run at
 * every start and by several servers at once.
 */
import { and, count, eq, isNull, ne, sql } from "drizzle-orm";
import type { Deps, Ctx } from "../../deps.ts";
import { insertAudit } from "../../change.ts";
import { environments, installation, revisions, tokens } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { systemActor } from "../../domain/actor.ts";
import { hashSecret } from "./secret.ts";
import { announceTokens, type TokenKept } from "./tokens.ts";

/** The identity that the first sign-in link is for. */
export const FIRST_ADMIN_ID = "admin";
/** The identity of ANDON_ADMIN_TOKEN. */
export const ENVIRONMENT_ADMIN_ID = "admin-from-environment";

const SALT_BYTES = 16;
const FIRST_ENVIRONMENTS = [
  { key: "production", name: "Production" },
  { key: "staging", name: "Staging" },
] as const;

/** Creates what is missing, in one transaction. True when this was the first run of this database. */
export async function firstRun(deps: Deps): Promise<boolean> {
  const ctx = systemCtx(deps);
  return deps.db.transaction(async (tx) => {
    const created = await tx
      .insert(installation)
      .values({ id: 1, lineageSalt: deps.newSecret(SALT_BYTES) })
      .onConflictDoNothing()
      .returning({ id: installation.id });
    if (created.length === 0) return false;
    const at = new Date(deps.clock.nowMs());
    for (const [index, { key, name }] of FIRST_ENVIRONMENTS.entries()) {
      const id = deps.newId();
      // Lists are ordered by creation: production comes first.
      const createdAt = new Date(at.getTime() + index);
      const rows = await tx
        .insert(environments)
        .values({ id, key, name, masterSince: at, createdAt, committedAt: sql`clock_timestamp()` })
        .returning();
      const committedAt = rows[0]?.committedAt ?? at;
      await tx.insert(revisions).values({ environmentId: id, revision: 1, committedAt });
      await insertAudit(
        ctx,
        tx,
        { action: "environment.created", target: key, after: { key, name } },
        { environmentId: id, revision: 1, at },
      );
    }
    await tx
      .insert(tokens)
      .values({ id: FIRST_ADMIN_ID, kind: "op", name: "admin", role: "admin", createdBy: "first run", createdAt: at });
    await recordToken(ctx, tx, "admin", adminMade("admin"));
    return true;
  });
}

/** Makes the token of ANDON_ADMIN_TOKEN good, or revokes it when the variable is gone. */
export async function applyAdminToken(deps: Deps, token: string | null): Promise<void> {
  const ctx = systemCtx(deps);
  const name = "ANDON_ADMIN_TOKEN";
  await deps.db.transaction(async (tx) => {
    const isOurs = eq(tokens.id, ENVIRONMENT_ADMIN_ID);
    const at = new Date(deps.clock.nowMs());
    if (token === null) {
      const [known] = await tx.select().from(tokens).where(isOurs).for("update");
      if (known === undefined || known.revokedAt !== null) return;
      await tx.update(tokens).set({ revokedAt: at }).where(isOurs);
      await recordToken(ctx, tx, name, { action: "token.revoked" });
      return;
    }
    const hash = hashSecret(token);
    const values = { kind: "op", name, hash, role: "admin", createdBy: "environment", createdAt: at } as const;
    // Whatever is unique in it: another server may start at the same moment, and waits here for this one or is waited for.
    const made = await tx
      .insert(tokens)
      .values({ id: ENVIRONMENT_ADMIN_ID, ...values })
      .onConflictDoNothing()
      .returning({ id: tokens.id });
    if (made.length === 0) {
      const [known] = await tx.select().from(tokens).where(isOurs).for("update");
      if (known === undefined) throw new Error(`${name} has the secret of another token: give it one of its own`);
      if (known.hash === hash && known.revokedAt === null) return;
      await tx
        .update(tokens)
        .set({ ...values, revokedAt: null })
        .where(isOurs);
    }
    await recordToken(ctx, tx, name, adminMade(name));
  });
}

/** True while nobody but the first identity could sign in as admin: a newcomer who lost the link needs another. */
export async function hasNoOtherAdmin(db: Db): Promise<boolean> {
  const rows = await db
    .select({ n: count() })
    .from(tokens)
    .where(
      and(eq(tokens.kind, "op"), eq(tokens.role, "admin"), isNull(tokens.revokedAt), ne(tokens.id, FIRST_ADMIN_ID)),
    );
  return (rows[0]?.n ?? 0) === 0;
}

function systemCtx(deps: Deps): Ctx {
  return { actor: systemActor("first-run", "server start"), requestId: deps.newId(), deps };
}

function adminMade(name: string): TokenKept {
  return { action: "token.created", after: { kind: "op", name, role: "admin" } };
}

async function recordToken(ctx: Ctx, tx: Db, name: string, kept: TokenKept): Promise<void> {
  const at = new Date(ctx.deps.clock.nowMs());
  await insertAudit(ctx, tx, { ...kept, target: name }, { environmentId: null, revision: null, at });
  await announceTokens(tx);
}
