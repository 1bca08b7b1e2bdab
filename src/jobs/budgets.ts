/** Ends budget windows and raises whose moment has passed: trips that restore at the reset end here, once. */
import { systemActor } from "../domain/actor.ts";
import { endDueBudgets } from "../services/budgets/due.ts";
import type { Job } from "./runner.ts";

export const budgetsJob: Job = {
  name: "budgets",
  everyMs: 1000,
  async run(deps) {
    const actor = systemActor("budget", "budget");
    for (const { environmentId } of deps.snapshots.all()) {
      await endDueBudgets({ actor, requestId: deps.newId(), deps }, environmentId);
    }
  },
};
