/** Tells on-call of models without a price, and closes that incident. */
import { PRICING } from "../domain/actor.ts";
import { tellUnpriced } from "../services/models/unpriced.ts";
import type { Job } from "./runner.ts";

export const unpricedJob: Job = {
  name: "unpriced",
  everyMs: 5_000,
  async run(deps) {
    for (const { environmentId } of deps.snapshots.all()) {
      await tellUnpriced({ actor: PRICING, requestId: deps.newId(), deps }, environmentId);
    }
  },
};
