/**
 * What to do on evidence of rewound history: somebody has seen a later revision than the database has. A new salt
 * makes a new lineage, which every client follows; bounded, because a client's word is the evidence.
 */
import { eq } from "drizzle-orm";
import { type Ctx, insertAudit, withTransaction } from "../context.ts";
import { environments, installation } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { systemActor } from "../domain/actor.ts";

/** At most one new lineage in this time, whoever gives evidence. */
const NEW_LINEAGE_MIN_MS = 60_000;
const SALT_BYTES = 16;

export class RewoundHistory {
  #lastMs: number | null = null;
  #running: Promise<void> | null = null;

  /**
   * Looks once more, under the environment's lock, and replaces the lineage when the database really has a lower `n`
   * than `seen`. Resolves when this server serves the new lineage.
   */
  report(deps: Deps, environmentId: string, seen: number): Promise<void> {
    if (this.#running !== null) return this.#running;
    const nowMs = deps.clock.monotonicMs();
    if (this.#lastMs !== null && nowMs - this.#lastMs < NEW_LINEAGE_MIN_MS) return Promise.resolve();
    this.#running = this.#replace(deps, environmentId, seen, nowMs).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #replace(deps: Deps, environmentId: string, seen: number, nowMs: number): Promise<void> {
    const ctx: Ctx = { actor: systemActor("lineage", "rewound history"), requestId: deps.newId(), deps };
    const replaced = await withTransaction(ctx, async (tx) => {
      const [salt] = await tx.select().from(installation).where(eq(installation.id, 1)).for("update");
      const [environment] = await tx
        .select()
        .from(environments)
        .where(eq(environments.id, environmentId))
        .for("update");
      if (salt === undefined || environment === undefined || environment.revision >= seen) return false;
      await tx
        .update(installation)
        .set({ lineageSalt: deps.newSecret(SALT_BYTES) })
        .where(eq(installation.id, 1));
      await insertAudit(
        ctx,
        tx,
        {
          action: "environment.lineage_replaced",
          targetKind: "environment",
          target: environment.key,
          reason: `revision ${seen} had been served, the database has ${environment.revision}: history was rewound`,
        },
        { environmentId, revision: environment.revision, at: new Date(deps.clock.nowMs()) },
      );
      return true;
    });
    if (!replaced) return;
    this.#lastMs = nowMs;
    deps.log.warn({ environmentId, seen }, "history was rewound: a new lineage makes all clients follow");
    await deps.snapshots.refresh();
  }
}
