/** Tells further channels of incidents that nobody acknowledges. */
import { ESCALATION } from "../domain/actor.ts";
import { escalateDue } from "../services/incidents/escalation.ts";
import type { Job } from "./runner.ts";

export const escalationJob: Job = {
  name: "escalation",
  everyMs: 1000,
  async run(deps) {
    for (const { environmentId } of deps.snapshots.all()) {
      await escalateDue({ actor: ESCALATION, requestId: deps.newId(), deps }, environmentId);
    }
  },
};
