/**
 * What the rest of the server is handed. Types only: `boot.ts` builds them, tests build them with a fake clock.
 */
import type { Logger } from "pino";
import type { Notify } from "./adapters/notify/notify.ts";
import type { Config } from "./config.ts";
import type { Db } from "./db/types.ts";
import type { InstanceTracker } from "./services/instances/tracker.ts";
import type { Ledger } from "./services/usage/ledger.ts";
import type { SnapshotStore } from "./services/snapshots/store.ts";
import type { TokenStore } from "./services/access/token-store.ts";

export interface Clock {
  /** Unix time in milliseconds. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start that never jump. */
  monotonicMs(): number;
  /** Calls back once after `delayMs`; the handle cancels. Never keeps the process alive. */
  schedule(delayMs: number, callback: () => void): { cancel(): void };
}

export interface Deps {
  config: Config;
  /** For changes. */
  db: Db;
  /** For pages and reports, which must not keep a change waiting. */
  reads: Db;
  clock: Clock;
  /** A random UUID. */
  newId(): string;
  /** `bytes` random bytes as base64url. */
  newSecret(bytes: number): string;
  log: Logger;
  snapshots: SnapshotStore;
  tokens: TokenStore;
  instances: InstanceTracker;
  ledger: Ledger;
  notify: Notify;
}
