/**
 * The state that decides, where it came from, and which newer state may replace it. Within a lineage it never goes back;
 * a new lineage is followed, because the server's history was rewound (a promoted replica, a restored backup).
 */
import { compile, type CompiledSnapshot } from "../evaluate/compile.ts";
import type { Verdict } from "./poller.ts";
import { parseRevision, type Revision } from "../wire/revision.ts";
import type { Snapshot } from "../wire/protocol.ts";

export type Origin = "none" | "bootstrap" | "cache" | "live";

export class SnapshotStore {
  #compiled: CompiledSnapshot | null = null;
  #origin: Origin = "none";

  get compiled(): CompiledSnapshot | null {
    return this.#compiled;
  }

  get origin(): Origin {
    return this.#origin;
  }

  get revision(): Revision | null {
    return this.#compiled?.revision ?? null;
  }

  /**
   * The revision to name to the server. Not that of a bootstrap: nothing ties it to this server and environment, and the
   * same name may mean another state there.
   */
  get knownRevision(): Revision | null {
    return this.#origin === "cache" || this.#origin === "live" ? this.revision : null;
  }

  /** Takes what is known at the start: the cache, unless the bootstrap is a later revision of the same lineage. */
  seed(cached: Snapshot | null, bootstrap: Snapshot | null): void {
    if (cached !== null && !(bootstrap !== null && isLater(bootstrap, cached))) {
      this.#set(cached, "cache");
    } else if (bootstrap !== null) {
      this.#set(bootstrap, "bootstrap");
    }
  }

  /** Offers a snapshot that the server sent. */
  offer(snapshot: Snapshot): Verdict {
    const current = this.#compiled;
    if (current !== null && this.#origin !== "bootstrap") {
      if (current.revision === snapshot.revision) return "same";
      if (isLater(current.snapshot, snapshot)) return "older";
    }
    this.#set(snapshot, "live");
    return "applied";
  }

  /** The server agreed with the current state. */
  confirm(): void {
    if (this.#origin !== "none") this.#origin = "live";
  }

  #set(snapshot: Snapshot, origin: Origin): void {
    this.#compiled = compile(snapshot);
    this.#origin = origin;
  }
}

/** True when both are of one environment and lineage and `a` is the later. */
function isLater(a: Snapshot, b: Snapshot): boolean {
  const [left, right] = [parseRevision(a.revision), parseRevision(b.revision)];
  if (left === null || right === null || a.environment !== b.environment) return false;
  return left.lineage === right.lineage && left.n > right.n;
}
