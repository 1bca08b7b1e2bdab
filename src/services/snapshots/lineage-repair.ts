/**
 * What to do on evidence of rewound history: somebody has seen a later revision than the database has. A new salt makes
 * a new lineage of that environment, which every client follows. This server's own memory is believed always; a
 * client's word, which anybody with an sdk token can give, once in an hour.
 */
import { and, eq, gt } from "drizzle-orm";
import type { Deps, Ctx } from "../../deps.ts";
import { insertAudit, lockEnvironment } from "../../change.ts";
import { withTransaction } from "../../transaction.ts";
import { audit, environments } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { systemActor } from "../../domain/actor.ts";
import type { Action } from "../../domain/audit.ts";

/**
 * For one environment, whatever the number of servers: the limit is kept in the database. A restored backup has the
 * salt and the audit of its own time, so the limit never stands in the way of following it.
 */
const CLIENT_BELIEVED_EVERY_MS = 3_600_000;
/** How often this server looks into what clients say, for one environment. */
const CLIENT_HEARD_EVERY_MS = 60_000;
const SALT_BYTES = 16;
const ACTION = "environment.lineage_replaced" satisfies Action;

/** A revision that somebody has seen, in the lineage that is served. */
export interface Evidence {
  lineage: string;
  n: number;
  seenBy: "server" | "client";
}

export class LineageRepair {
  readonly #heardMs = new Map<string, number>();
  readonly #running = new Map<string, Promise<void>>();

  /**
   * Looks once more, under the environment's lock, and replaces the lineage when the database really has a lower `n`
   * in that lineage. Resolves when this server serves the new lineage, or when the evidence is not believed.
   */
  report(deps: Deps, environmentId: string, evidence: Evidence): Promise<void> {
    const running = this.#running.get(environmentId);
    if (running !== undefined) return running;
    if (evidence.seenBy === "client" && !this.#hears(environmentId, deps.clock.monotonicMs())) return Promise.resolve();
    const started = follow(deps, environmentId, evidence).finally(() => this.#running.delete(environmentId));
    this.#running.set(environmentId, started);
    return started;
  }

  #hears(environmentId: string, nowMs: number): boolean {
    const heardMs = this.#heardMs.get(environmentId);
    if (heardMs !== undefined && nowMs - heardMs < CLIENT_HEARD_EVERY_MS) return false;
    this.#heardMs.set(environmentId, nowMs);
    return true;
  }
}

async function follow(deps: Deps, environmentId: string, evidence: Evidence): Promise<void> {
  const ctx: Ctx = { actor: systemActor("lineage", "rewound history"), requestId: deps.newId(), deps };
  const replaced = await withTransaction(ctx, (tx) => replace(ctx, tx, environmentId, evidence));
  if (!replaced) return;
  deps.log.warn({ environmentId, ...evidence }, "history was rewound: a new lineage makes all clients follow");
  await deps.snapshots.refresh(environmentId);
}

async function replace(ctx: Ctx, tx: Db, environmentId: string, evidence: Evidence): Promise<boolean> {
  const { deps } = ctx;
  const { environment, lineage } = await lockEnvironment(tx, environmentId);
  // Another server may have replaced it meanwhile.
  if (lineage !== evidence.lineage || environment.revision >= evidence.n) return false;
  const at = new Date(deps.clock.nowMs());
  if (evidence.seenBy === "client" && (await replacedSince(tx, environment, at.getTime() - CLIENT_BELIEVED_EVERY_MS))) {
    deps.log.warn(
      { environmentId, ...evidence, revision: environment.revision },
      "a client claims a later revision than there is, within an hour of the last time: it is not believed",
    );
    return false;
  }
  await tx
    .update(environments)
    .set({ lineageSalt: deps.newSecret(SALT_BYTES) })
    .where(eq(environments.id, environmentId));
  await insertAudit(
    ctx,
    tx,
    {
      action: ACTION,
      target: environment.key,
      reason: `a ${evidence.seenBy} had revision ${evidence.n}, the database has ${environment.revision}: history was rewound`,
    },
    { environmentId, revision: environment.revision, at },
  );
  return true;
}

async function replacedSince(tx: Db, environment: { id: string; key: string }, sinceMs: number): Promise<boolean> {
  const rows = await tx
    .select({ id: audit.id })
    .from(audit)
    .where(
      and(
        eq(audit.environmentId, environment.id),
        eq(audit.targetKind, "environment"),
        eq(audit.target, environment.key),
        eq(audit.action, ACTION),
        gt(audit.at, new Date(sinceMs)),
      ),
    )
    .limit(1);
  return rows.length > 0;
}
