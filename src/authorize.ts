/**
 * Who may do it. Every verb begins here: the role, then the environment, whose absence and invisibility look the same.
 */
import { eq } from "drizzle-orm";
import { environments } from "./db/schema/state.ts";
import type { EnvironmentRow } from "./db/types.ts";
import type { Ctx } from "./deps.ts";
import { type Actor, hasRole, type Need, type Role, seesEnvironment } from "./domain/actor.ts";
import { ENVIRONMENT_KEY_PATTERN } from "./domain/limits.ts";
import { AppError } from "./errors.ts";
import { readFor } from "./transaction.ts";

/** Throws FORBIDDEN when the actor's kind or role does not suffice. */
export function requireScope(actor: Actor, need: Need): void {
  if (actor.kind === "system") return;
  if (need === "tighten" && actor.kind === "kill") return;
  const role: Role = need === "tighten" ? "operator" : need;
  if (actor.kind !== "op") {
    throw new AppError(
      "FORBIDDEN",
      `A token of kind "${actor.kind}" may not do this; it needs an op token with role ${role}.`,
    );
  }
  if (!hasRole(actor.role, role)) {
    throw new AppError("FORBIDDEN", `This needs the role ${role}; this token has ${actor.role ?? "none"}.`);
  }
}

/**
 * The environment by its key. NOT_FOUND also for one the actor may not see, so that keys cannot be probed; then
 * FORBIDDEN when the role does not suffice.
 */
export async function requireEnvironment(ctx: Ctx, key: string, need: Need): Promise<EnvironmentRow> {
  // What is no key is not asked for: the database refuses some texts (NUL) with an error of its own.
  const rows = ENVIRONMENT_KEY_PATTERN.test(key)
    ? await readFor(ctx, need, (db) => db.select().from(environments).where(eq(environments.key, key)).limit(1))
    : [];
  const environment = rows[0];
  if (environment === undefined || !seesEnvironment(ctx.actor, environment.id)) {
    throw new AppError("NOT_FOUND", `There is no environment "${key}".`);
  }
  requireScope(ctx.actor, need);
  return environment;
}

/**
 * The same, answered from memory for an environment that this server serves: a kill waits for every statement. The
 * change itself finds out when it has been deleted meanwhile.
 */
export async function requireEnvironmentId(ctx: Ctx, key: string, need: Need): Promise<string> {
  const served = ctx.deps.snapshots.environmentByKey(key);
  if (served === undefined || !seesEnvironment(ctx.actor, served.environmentId)) {
    return (await requireEnvironment(ctx, key, need)).id;
  }
  requireScope(ctx.actor, need);
  return served.environmentId;
}
