/**
 * Ends budget windows and raises whose moment has passed: trips that restore at the reset end here, once. Leases of clients
 * that went silent expire here too.
 */
import { systemActor } from "../domain/actor.ts";
import { expireLeases } from "../services/budgets/lease-expiry.ts";
import { endDueBudgets } from "../services/budgets/due.ts";
import type { Job } from "./runner.ts";

export const budgetsJob: Job = {
  name: "budgets",
  everyMs: 1000,
  async run(deps) {
    const actor = systemActor("budget", "budget");
    for (const { environmentId } of deps.snapshots.all()) {
      const ctx = { actor, requestId: deps.newId(), deps };
      await endDueBudgets(ctx, environmentId);
      await expireLeases(ctx, environmentId);
    }
  },
};
