/** Takes out models that fail on most instances, probes them, and takes them back. */
import { BREAKER } from "../domain/actor.ts";
import { runBreakers } from "../services/models/breakers.ts";
import type { Job } from "./runner.ts";

export const breakersJob: Job = {
  name: "breakers",
  everyMs: 1000,
  async run(deps) {
    for (const { environmentId } of deps.snapshots.all()) {
      await runBreakers({ actor: BREAKER, requestId: deps.newId(), deps }, environmentId);
    }
  },
};
