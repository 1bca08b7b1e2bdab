/** Rolls usage up, a day at a turn; an environment that has no day to roll up is left alone for a while. */
import type { Deps } from "../deps.ts";
import { rollNextDay } from "../services/usage/rollups.ts";
import type { Job } from "./runner.ts";

const LOOK_EVERY_MS = 60_000;

/** By server, when an environment is looked at again, on its monotonic clock. */
const lookAtMs = new WeakMap<Deps, Map<string, number>>();

export const usageRollupsJob: Job = {
  name: "usage-rollups",
  everyMs: 1000,
  async run(deps) {
    const own = lookAtMs.get(deps) ?? new Map<string, number>();
    lookAtMs.set(deps, own);
    for (const { environmentId } of deps.snapshots.all()) {
      const nowMs = deps.clock.monotonicMs();
      if (nowMs < (own.get(environmentId) ?? 0)) continue;
      if (!(await rollNextDay(deps, environmentId))) own.set(environmentId, nowMs + LOOK_EVERY_MS);
    }
  },
};
