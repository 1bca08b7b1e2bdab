/** What the client under measurement is told: flags that are on, and their chain. */
import type { Snapshot, SnapshotFlag } from "andon-client";

/** A flag that is on for everybody, with the changes named. */
export function flagOf(changes: Partial<SnapshotFlag> = {}): SnapshotFlag {
  return {
    state: "on",
    level: 0,
    chain: "answers",
    rollout: 100,
    ramp: null,
    salt: "salt",
    rules: [],
    offMode: "error",
    offMessage: null,
    abortInFlight: true,
    clampMaxTokens: false,
    chainOnly: false,
    ...changes,
  };
}

export function snapshotOf(flags: Snapshot["flags"], models: readonly string[]): Snapshot {
  return {
    version: 1,
    environment: "bench",
    revision: "bench.1",
    committedAtMs: 0,
    master: { state: "on" },
    flags,
    chains: { answers: { steps: models.map((model) => ({ model })) } },
    blockedModels: [],
  };
}
