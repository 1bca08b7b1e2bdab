/** Looks for unusual spending and failing calls, and tells on-call of them. */
import { WATCHING } from "../domain/actor.ts";
import { runWatches } from "../services/watches/watch.ts";
import type { Job } from "./runner.ts";

export const watchesJob: Job = {
  name: "watches",
  everyMs: 15_000,
  isLong: true,
  async run(deps) {
    for (const { environmentId } of deps.snapshots.all()) {
      await runWatches({ actor: WATCHING, requestId: deps.newId(), deps }, environmentId);
    }
  },
};
