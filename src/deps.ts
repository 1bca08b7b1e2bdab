/**
 * What the rest of the server is handed. Types only: `boot.ts` builds them, tests build them with a fake clock.
 */
import type { Logger } from "pino";
import type { LeaseAnswer, LeaseRequest } from "../sdk-client/src/wire/lease-protocol.ts";
import type { Snapshot } from "../sdk-client/src/wire/protocol.ts";
import type { BatchNews, StartCredit, UsageRecord } from "../sdk-client/src/wire/usage-protocol.ts";
import type { Verdict } from "../sdk-client/src/wire/verdict-protocol.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Db, EnvironmentRow } from "./db/types.ts";
import type { Actor } from "./domain/actor.ts";
import type { AlertEvent, ChannelKind, Severity } from "./domain/channel.ts";
import type { Sent } from "./domain/delivery.ts";
import type { Asked, ProviderCost, ProviderUsage } from "./domain/provider-report.ts";
import type { Span } from "./domain/rollups.ts";
import type { Process } from "./services/instances/writes.ts";
import type { PollConnection } from "./services/snapshots/poll-connection.ts";
import type { SnapshotRows } from "./services/snapshots/rows.ts";

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
  leases: LeaseDesk;
  verdicts: VerdictLog;
  notify: Notify;
  /** Null without an admin key. */
  reports: ProviderReports | null;
  stats: ServerStats;
}

/** What this server alone has done since it started, for `/metrics`. */
export interface ServerStats {
  version: string;
  /** True while the jobs run here. */
  leads: boolean;
  /** By name, from the start on, whoever leads. */
  jobs: Map<string, JobStats>;
  /** Usage records that were refused, by environment id; those of a repeated batch once. */
  rejectedRecords: Map<string, number>;
}

export interface JobStats {
  everyMs: number;
  /** When it last ended well here, Unix time in milliseconds; null: not yet. */
  succeededAtMs: number | null;
  /** Ends in an error that is not the database's absence. */
  failures: number;
}

/** What every verb gets: who asks, for which request, and the rest of the server. */
export interface Ctx {
  actor: Actor;
  requestId: string;
  deps: Deps;
}

export interface PreparedSnapshot {
  readonly environmentId: string;
  readonly key: string;
  readonly lineage: string;
  readonly n: number;
  /** `<lineage>.<n>` */
  readonly revision: string;
  /** The revision in quotes. */
  readonly etag: string;
  readonly snapshot: Snapshot;
  readonly committedAtMs: number;
  readonly json: Buffer;
  readonly gzip: Buffer;
  /** What it was compiled from. */
  readonly rows: SnapshotRows;
}

/**
 * A change that this server has committed: the environment with its new revision, and what it did to the rows of the
 * snapshot, the environment's own among them.
 */
export interface SnapshotStep {
  lineage: string;
  environment: EnvironmentRow;
  patch: (rows: SnapshotRows) => SnapshotRows;
}

export interface SnapshotStore {
  /** The snapshot served now; undefined before the first was built and for an unknown environment. */
  current(environmentId: string): PreparedSnapshot | undefined;
  all(): PreparedSnapshot[];
  environmentByKey(key: string): PreparedSnapshot | undefined;
  /** Reads the environment (or all of them) afresh. Resolves when a state read after this call is being served. */
  refresh(environmentId?: string): Promise<void>;
  /**
   * Serves the state after `step` without reading it, when the state before is served; reads afresh otherwise. The same
   * promise as of `refresh`.
   */
  follow(step: SnapshotStep): Promise<void>;
  /** `<lineage>.<n>` in the lineage served now; `<n>` alone never leaves the server. */
  revisionOf(environmentId: string, n: number): string;
  /**
   * Calls `then` once, when the environment's revision is no longer `revision`, after `timeoutMs` or somewhat sooner, when
   * the connection goes, once the database was not heard of for 3 s, or on drain: at once when that is so already, within the
   * refresh that brings a change. `gone` is true when the connection went. `then` must not throw.
   */
  whenChanged(
    environmentId: string,
    revision: string,
    wait: { timeoutMs: number; connection: PollConnection },
    then: (gone: boolean) => void,
  ): void;
  /** True while `whenChanged` waits at all: neither draining nor full. */
  readonly parks: boolean;
  readonly longPolls: number;
  /** True once this server is about to stop. */
  readonly draining: boolean;
  /**
   * For a client that says it has what this server does not serve: reads afresh, so that it is never answered with
   * something older than it has. Rejects when the database is away.
   */
  catchUp(environmentId: string, has: { lineage: string; n: number }): Promise<void>;
  /** Seconds since the state was last known to be current, 0 while it is. */
  staleSeconds(): number;
  /** True while the database answers and takes no changes. */
  readonly readOnly: boolean;
}

/** What the cookie of a session names. */
export interface Session {
  id: string;
  tokenId: string;
  issuedAtMs: number;
  expiresAtMs: number;
}

export interface TokenStore {
  /** The actor of a token; null when unknown, revoked or expired. */
  find(token: string): Actor | null;
  /** The actor by the id of its token, for sessions; null when unknown, revoked or expired. */
  byId(id: string): Actor | null;
  /** True when this session was signed out of, wherever that was. */
  hasEnded(session: Session): boolean;
  /** Reads all tokens afresh. Resolves when a state read after this call is in force. */
  refresh(): Promise<void>;
}

export interface Sighting extends Process {
  tokenId: string;
  app: string | null;
  sdk: string | null;
  /** What its `ANDON_KILL` holds off, separated by commas; null for nothing. */
  local: string | null;
  /** The revision that the instance says it applied; null when it has none. */
  applied: { lineage: string; n: number } | null;
}

export interface InstanceTracker {
  /** Notes a poll. Never fails and never waits. Answers with the number of this sighting. */
  seen(sighting: Sighting): number;
  /**
   * Notes that the connection of a parked poll closed, unless the instance was seen again since: it may be gone,
   * restarting or behind a bad network, so it is not taken for stopped.
   */
  disconnected(process: Process, sighting: number): void;
  /** Notes that a client was answered that comes again at once: if it does not, its connection is lost. */
  answered(process: Process, sighting: number): void;
  /** Notes that an instance said it stopped. */
  stopped(process: Process & { tokenId: string }): void;
  /** Writes what is not yet written. Rejects when the database is away; nothing is lost then. */
  flush(): Promise<void>;
}

/** Evaluations of a flag; `sdk` when a guard asked too: the version of its SDK, `""` when not known. */
export interface EvaluationCount {
  on: number;
  off: number;
  sdk?: string;
  /** Calls that a limit refused. */
  limited?: number;
}

export interface Submission {
  batchId: string;
  instance: string;
  /** The process behind that name, when it says so. */
  boot?: string;
  /** By flag, the most that its running calls can still cost; left out by clients that do not tell. */
  running?: ReadonlyMap<string, number>;
  /** Flags of which calls began that it had not told of, because no answer came in time. */
  unanswered?: readonly string[];
  /** Who reports: tokens share the room there is. */
  tokenId: string;
  /** Valid records only. */
  records: readonly UsageRecord[];
  /** Where in the batch each of them was; left out, all of it is valid. */
  indexes?: readonly number[];
  rejected: { index: number; path: string; message: string }[];
  /** What is new of message batches; left out by clients that cannot cancel any. */
  messageBatches?: readonly BatchNews[];
  /** Evaluations by flag since the instance's last batch. */
  checks?: ReadonlyMap<string, EvaluationCount>;
}

export interface Counted {
  accepted: number;
  duplicate: boolean;
  rejected: { index: number; path: string; message: string }[];
  /** What holds now for users and sessions of what was counted with it. */
  verdicts?: Verdict[];
  /** Of the environment, as it was counted by: this server may not serve it yet. */
  n: number;
  /** For a client that tells what runs. */
  credits?: StartCredit[];
  /** Message batches that it is to ask the provider to cancel. */
  cancelBatches?: string[];
}

export interface Ledger {
  /** Counts a batch. Resolves after commit; RATE_LIMITED when too much of its token is waiting; DATABASE_AWAY when nothing was counted. */
  submit(environmentId: string, submission: Submission): Promise<Counted>;
}

/** A client's request for leases, and how it waits. */
export interface LeaseQuestion {
  request: LeaseRequest;
  /** The client's clock as it sent this, Unix time in milliseconds; null when it does not say. */
  sentAtMs: number | null;
  /** How long it may wait; 0: it is answered at once. */
  waitMs: number;
  connection: PollConnection;
}

export interface LeaseDesk {
  /**
   * Takes in what a client says of its leases and grants what it asks for, at once or when its turn comes. DATABASE_AWAY
   * when nothing of it was kept; NOT_READY when too many wait.
   */
  ask(environmentId: string, question: LeaseQuestion): Promise<LeaseAnswer>;
  /** Looks at the budget again: another server has something for those who wait here, or needs what is idle here. */
  wake(budgetId: string): void;
  /** Calls that wait here. */
  readonly waiting: number;
}

/** An answer to those who have the same of the log. */
export interface PreparedVerdicts {
  readonly json: Buffer<ArrayBuffer>;
  readonly gzip: Buffer<ArrayBuffer>;
}

export interface VerdictLog {
  /** Reads what is new. Resolves when all that was committed before this call is known. */
  refresh(environmentId: string): Promise<void>;
  /** Whether there is an entry about the subject of a budget. */
  has(environmentId: string, budgetId: string, subject: string): boolean;
  /** The end of an environment's log. */
  end(environmentId: string): { n: number; lineage: string };
  /** What is new since `after`; all that holds when it is null or of another log, or when more is gone since. */
  answer(environmentId: string, after: { n: number; lineage: string | null } | null): Promise<PreparedVerdicts>;
  /** True while anybody may wait: neither draining nor full. */
  readonly parks: boolean;
  /**
   * Calls `then` once: at the next news of the environment, after `timeoutMs` or somewhat sooner, or when the connection
   * goes or the server stops. Must not throw.
   */
  park(environmentId: string, timeoutMs: number, connection: PollConnection, then: (gone: boolean) => void): void;
}

export interface Target {
  kind: ChannelKind;
  url: string;
  /** `whsec_…` of a webhook, the routing key of PagerDuty; null for Slack. */
  secret: string | null;
}

/** The fields that every alert has; a webhook is sent all that there are. */
export interface Alert {
  type: string;
  environment: string;
  incidentId: string | null;
  title: string;
  text: string;
  /** ISO 8601. */
  at: string;
  url: string;
  severity: Severity;
  /** What can be done about it by a link that works once, after a page that asks. */
  actions: ActionLink[];
  /** Of a digest: each of its alerts, as it would have been sent. */
  alerts?: readonly unknown[];
}

export interface ActionLink {
  action: "kill" | "downgrade" | "raise";
  /** "Kill support-chat…" */
  label: string;
  url: string;
}

export interface Message {
  /** The same on every attempt, so that a receiver can drop a repeat. */
  id: string;
  event: AlertEvent;
  alert: Alert;
}

export interface Notify {
  /** Resolves within `SEND_TIMEOUT_MS` of the clock; sooner, with a retry, when `signal` aborts. */
  send(target: Target, message: Message, signal: AbortSignal): Promise<Sent>;
}

/** What Claude reports of the organisation, of whole days in UTC. Neither throws; `signal` breaks off. */
export interface ProviderReports {
  /** @param by whether keys are told apart */
  usage(days: Span, by: { byKey: boolean }, signal: AbortSignal): Promise<Asked<ProviderUsage>>;
  costs(days: Span, signal: AbortSignal): Promise<Asked<ProviderCost>>;
}
