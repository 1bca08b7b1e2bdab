/** What changed between two snapshots that an application is told of. Pure. */
import type { Snapshot, SnapshotFlag } from "../wire/protocol.ts";

/** Flags that a budget switched off between two snapshots. */
export function newTrips(previous: Snapshot | null, next: Snapshot): string[] {
  if (previous === null) return [];
  const before = new Map(Object.entries(previous.flags));
  return Object.entries(next.flags)
    .filter(([key, flag]) => isTripped(flag) && !isTripped(before.get(key)))
    .map(([key]) => key);
}

function isTripped(flag: SnapshotFlag | undefined): boolean {
  return flag?.state === "off" && flag.cause === "budget";
}
