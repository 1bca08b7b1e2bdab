/**
 * Rolls usage up, a little at a turn, so that other jobs have theirs. An environment that has nothing to roll up, or where
 * that failed, is left alone for a while.
 */
import type { Deps } from "../deps.ts";
import { rollNext } from "../services/usage/rollups.ts";
import type { Job } from "./runner.ts";

const LOOK_EVERY_MS = 60_000;
/** No further hours are begun after so long. */
const TURN_MS = 500;

/** By server, when an environment is looked at again, on its monotonic clock. */
const lookAtMs = new WeakMap<Deps, Map<string, number>>();

export const usageRollupsJob: Job = {
  name: "usage-rollups",
  everyMs: 1000,
  isLong: true,
  async run(deps) {
    const own = lookAtMs.get(deps) ?? new Map<string, number>();
    lookAtMs.set(deps, own);
    for (const { environmentId } of deps.snapshots.all()) {
      const nowMs = deps.clock.monotonicMs();
      if (nowMs < (own.get(environmentId) ?? 0)) continue;
      own.set(environmentId, nowMs + LOOK_EVERY_MS);
      while (await rollNext(deps, environmentId)) {
        if (deps.clock.monotonicMs() - nowMs < TURN_MS) continue;
        own.delete(environmentId);
        break;
      }
    }
  },
};
