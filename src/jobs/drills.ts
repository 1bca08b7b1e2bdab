/** Ends drills: before what ends by its time, so that a drill's record is written with its end. */
import { settleDrills } from "../services/drills/settle.ts";
import type { Job } from "./runner.ts";

export const drillsJob: Job = {
  name: "drills",
  everyMs: 1000,
  async run(deps) {
    for (const { environmentId } of deps.snapshots.all()) await settleDrills(deps, environmentId);
  },
};
