/** Ends what was set "until" a moment that has passed: kills, levels, model blocks, a master kill. */
import { systemActor } from "../domain/actor.ts";
import { endExpired } from "../services/shared/expiry.ts";
import type { Job } from "./runner.ts";

export const expiryJob: Job = {
  name: "expiry",
  everyMs: 1000,
  async run(deps) {
    const actor = systemActor("expiry", "expiry");
    for (const { environmentId } of deps.snapshots.all()) {
      await endExpired({ actor, requestId: deps.newId(), deps }, environmentId);
    }
  },
};
