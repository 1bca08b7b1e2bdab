/** Snapshots for tests: everything on unless the test says otherwise. */
import type { Snapshot, SnapshotFlag } from "../../../sdk-client/src/wire/protocol.ts";

export function makeFlag(changes: Partial<SnapshotFlag> = {}): SnapshotFlag {
  return {
    state: "on",
    level: 0,
    chain: null,
    rollout: 100,
    ramp: null,
    salt: "salt",
    rules: [],
    offMode: "error",
    offMessage: null,
    abortInFlight: false,
    clampMaxTokens: false,
    chainOnly: false,
    ...changes,
  };
}

export function makeSnapshot(revision: string, changes: Partial<Snapshot> = {}): Snapshot {
  return {
    version: 1,
    environment: "production",
    revision,
    committedAtMs: 1_700_000_000_000,
    master: { state: "on" },
    flags: { chat: makeFlag() },
    chains: {},
    blockedModels: [],
    ...changes,
  };
}

/** The same with the flag `chat` killed by hand. */
export function makeKilled(revision: string): Snapshot {
  return makeSnapshot(revision, { flags: { chat: makeFlag({ state: "off", cause: "manual" }) } });
}
