/** Cancels the message batches of flags that turned off and end their running calls, when the undo has passed. */
import { systemActor } from "../domain/actor.ts";
import { cancelOfOff } from "../services/batches/cancel.ts";
import type { Job } from "./runner.ts";

const BATCHES = systemActor("batches", "abortInFlight");

export const batchesJob: Job = {
  name: "batches",
  everyMs: 1000,
  async run(deps) {
    for (const { environmentId } of deps.snapshots.all()) {
      await cancelOfOff({ actor: BATCHES, requestId: deps.newId(), deps }, environmentId);
    }
  },
};
