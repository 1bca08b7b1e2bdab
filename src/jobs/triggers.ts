/** Closes incidents of triggers when their flags are restored. */
import { closeRestored } from "../services/triggers/incident.ts";
import type { Job } from "./runner.ts";

export const triggersJob: Job = {
  name: "triggers",
  everyMs: 5_000,
  async run(deps) {
    for (const { environmentId } of deps.snapshots.all()) await closeRestored(deps, environmentId);
  },
};
