/** Adds up what the ledger staged of names, and cuts the hours that are over to those that cost most. */
import type { Deps } from "../deps.ts";
import { foldStaged } from "../services/usage/staged-sums.ts";
import { cutHours } from "../services/usage/top-spans.ts";
import type { Job } from "./runner.ts";

/** No further portions are begun after so long. */
const TURN_MS = 1_000;

export const topNamesJob: Job = {
  name: "top-names",
  everyMs: 5_000,
  isLong: true,
  async run(deps: Deps) {
    const startedMs = deps.clock.monotonicMs();
    while ((await foldStaged(deps)) && deps.clock.monotonicMs() - startedMs < TURN_MS);
    await cutHours(deps);
  },
};
