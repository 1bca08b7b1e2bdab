/**
 * Everything the board shows of one environment, read once for all who look. Flags and who changed them stand as long as
 * the revision does; the rest is read each time. With the database away it is built from the snapshot in memory and says
 * so: the board never fails to open, and never passes old state off as fresh.
 */
import type { Snapshot } from "../../../sdk-client/src/wire/protocol.ts";
import type { Ctx } from "../../deps.ts";
import { seesEnvironment } from "../../domain/actor.ts";
import { type AttentionFacts, byAttention, type Rank, rankOf } from "../../domain/attention.ts";
import { attentionOf, drivenBy, refusalsOf } from "./attention.ts";
import { type Change, type Fleet, timedProof, type TimedProof } from "../../domain/fleet.ts";
import type { AuditResource } from "../../api/audit.ts";
import type { EnvironmentResource } from "../../api/environment.ts";
import type { FlagResource, UnknownFlags } from "../../api/flag.ts";
import type { MasterResource } from "../../api/master.ts";
import type { IncidentResource } from "../../api/incident.ts";
import { type Action, isAction } from "../../domain/audit.ts";
import { same } from "../../domain/same.ts";
import { UNDO_MS } from "../../domain/switch.ts";
import { AppError } from "../../errors.ts";
import { listAudit } from "../../services/shared/audit.ts";
import { type BoardMoney, boardMoney } from "../../services/board/money.ts";
import { batchesByFlag, type MessageBatch } from "../../services/batches/view.ts";
import { getEnvironment } from "../../services/access/environments.ts";
import { listFlags } from "../../services/flags/flags.ts";
import { type Lapsed, lapsedTrips } from "../../services/trips/of-incident.ts";
import { listIncidents } from "../../services/incidents/view.ts";
import { type Driver, driversOf, usualBurns } from "../../services/usage/drivers.ts";
import { fleetOf } from "../../services/instances/fleet.ts";
import { lastReceiptsMs, restoredIn } from "../../services/instances/receipts.ts";
import { listUnknownFlags } from "../../services/flags/unknown-flags.ts";
import { type UndeliveredAlerts, undeliveredOfIncidents } from "../../services/alerts/undelivered.ts";

/** How far back the board looks for the changes that made the present state. */
const RECENT_CHANGES = 100;
const RECENT_OF_FLAG = 20;
const MAX_OLDER_CHANGES = 20;
/** Receipts of a change are timed exactly while it is this young; later only counted. */
const TIMED_PROOF_MS = 5 * 60_000;
/** Without an answer of the database for this long, a page waits for it no longer than the time below. */
const AWAY_AFTER_SECONDS = 3;
const IMPATIENCE_MS = 500;
const MAX_TIMED_PROOFS = 8;
/** More than this many budgets that stand over a step at once are found on the incidents page. */
export const MAX_OPEN_INCIDENTS = 20;

/** The change that put a switch, a level or the master where it is now. */
export interface LastChange {
  auditId: number;
  action: Action;
  at: string;
  /** Who may undo it, and is asked why. */
  actorId: string;
  /** While it is young enough, see `UNDO_MS`. */
  isUndoable: boolean;
  proof: TimedProof;
}

export interface FlagRow {
  flag: FlagResource;
  last: LastChange | null;
  /** Why Claude refuses its calls. */
  refusals: string[];
  attention: AttentionFacts;
  /** What it asks attention for. */
  rank: Rank;
}

export interface Board {
  kind: "fresh";
  environment: EnvironmentResource;
  revision: string;
  nowMs: number;
  master: MasterResource;
  masterLast: LastChange | null;
  /** In the order of attention. */
  rows: FlagRow[];
  fleet: Fleet;
  money: BoardMoney;
  /** Whose cause still stands, newest first. */
  incidents: IncidentResource[];
  /** Alerts of these that no channel has taken yet, by incident. */
  undelivered: ReadonlyMap<string, UndeliveredAlerts>;
  /** Keys that applications ask for and no flag has. */
  unknown: UnknownFlags;
  /** What the last steps of these switched and no longer hold, by incident. */
  lapsed: ReadonlyMap<string, Lapsed>;
  /** Message batches that run, or that somebody has asked to cancel lately, by flag. */
  batches: ReadonlyMap<string, readonly MessageBatch[]>;
  /** Who drives the first of these, by incident. */
  drivers: ReadonlyMap<string, Driver>;
}

/** What is known without the database. */
export interface LastKnownBoard {
  kind: "last known";
  environmentKey: string;
  revision: string;
  nowMs: number;
  /** Seconds since the database answered last. */
  ageSeconds: number;
  snapshot: Snapshot;
}

/** What one reading leaves for the next. What is equal stays the same object. */
export interface BoardMemory {
  state: BoardState | null;
  money: BoardMoney | null;
}

interface BoardState {
  environment: EnvironmentResource;
  /** By name. */
  flags: readonly FlagResource[];
  revision: string;
  /** The newest change of each `flag <key>` and of `master`. */
  changes: ReadonlyMap<string, AuditResource>;
  unknown: UnknownFlags;
}

export interface Reading {
  memory: BoardMemory;
  /** Whether figures are read, or shown as they were. */
  figures: boolean;
}

/** The board of an environment: fresh when the database answers, else as last known. NOT_FOUND as everywhere. */
export async function loadBoard(ctx: Ctx, environmentKey: string, reading: Reading): Promise<Board | LastKnownBoard> {
  const known = lastKnown(ctx, environmentKey);
  const fresh = freshBoard(ctx, environmentKey, reading).catch((error: unknown) => {
    // Away is what the last known state is for; anything else is the visitor's to see.
    if (known !== null && error instanceof AppError && NO_ANSWER.has(error.code)) return known;
    throw error;
  });
  if (known === null || known.ageSeconds <= AWAY_AFTER_SECONDS) return fresh;
  return Promise.race([fresh, pause(ctx, IMPATIENCE_MS).then(() => known)]);
}

const NO_ANSWER: ReadonlySet<string> = new Set(["DATABASE_AWAY", "OVERLOADED"]);

function pause(ctx: Ctx, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    ctx.deps.clock.schedule(delayMs, resolve);
  });
}

function lastKnown(ctx: Ctx, environmentKey: string): LastKnownBoard | null {
  const { snapshots, clock } = ctx.deps;
  const prepared = snapshots.environmentByKey(environmentKey);
  if (prepared === undefined || !seesEnvironment(ctx.actor, prepared.environmentId)) return null;
  return {
    kind: "last known",
    environmentKey,
    revision: prepared.revision,
    nowMs: clock.nowMs(),
    ageSeconds: snapshots.staleSeconds(),
    snapshot: prepared.snapshot,
  };
}

async function freshBoard(ctx: Ctx, environmentKey: string, { memory, figures }: Reading): Promise<Board> {
  const environment = await getEnvironment(ctx, environmentKey);
  const before = memory.state;
  const [state, fleet, incidents, undelivered, lapsed, usual, batches] = await Promise.all([
    figures || before?.environment.revision !== environment.revision
      ? readState(ctx, environment, before)
      : { ...before, environment },
    fleetOf(ctx, environmentKey),
    listIncidents(ctx, environmentKey, { open: true, limit: MAX_OPEN_INCIDENTS }),
    undeliveredOfIncidents(ctx, environmentKey),
    lapsedTrips(ctx, environmentKey),
    usualBurns(ctx, environmentKey),
    batchesByFlag(ctx, environmentKey),
  ]);
  // A trip is never shown beside figures from before it.
  const stays = figures || memory.money === null || before === null || haveMoved(before, state) ? null : memory.money;
  const money = stays ?? (await boardMoney(ctx, environmentKey));
  memory.state = state;
  memory.money = money;
  const nowMs = ctx.deps.clock.nowMs();
  const { changes } = state;
  const timed = await lastReceiptsMs(ctx, environmentKey, timedRevisions(changes.values(), nowMs));
  const describe = (entry: AuditResource | undefined, flag?: FlagResource): LastChange | null => {
    if (entry === undefined || entry.revision === null || !isAction(entry.action)) return null;
    const own = { n: entry.revision, restored: restoredIn(entry.action, entry.target.key) };
    const ageMs = nowMs - Date.parse(entry.at);
    return {
      auditId: entry.id,
      action: entry.action,
      at: entry.at,
      actorId: entry.actor.id,
      // An undo is recorded like the change it takes back; offering to undo it again would only confuse.
      isUndoable: entry.revertible && entry.reverts === null && ageMs < UNDO_MS,
      proof: timedProof(fleet, flag === undefined ? own : deciding(flag, own), timed),
    };
  };
  const rows = state.flags.map((flag): FlagRow => {
    const refusals = refusalsOf(flag, incidents.items);
    const attention = attentionOf(flag, refusals.length > 0, money, usual, nowMs);
    const last = describe(changes.get(`flag ${flag.key}`), flag);
    return { flag, last, refusals, attention, rank: rankOf(attention, nowMs) };
  });
  const inOrder = byAttention(nowMs);
  return {
    kind: "fresh",
    environment,
    revision: state.revision,
    nowMs,
    master: environment.master,
    masterLast: describe(changes.get("master")),
    rows: rows.toSorted((a, b) => inOrder(a.attention, b.attention)),
    fleet,
    money,
    incidents: incidents.items,
    undelivered,
    lapsed,
    batches,
    unknown: state.unknown,
    drivers: await driversOf(ctx, environmentKey, drivenBy(incidents.items, state.flags, nowMs)),
  };
}

/**
 * What the proof in a flag's row is of: its own last change, or what has decided since, the master switch or a block.
 * Whoever applied a restore from before a kill of all has not applied that kill.
 */
function deciding({ key, standing }: FlagResource, own: Change): Change {
  if (standing.revision === null || standing.revision <= own.n) return own;
  return { n: standing.revision, restored: standing.state === "off" ? null : key };
}

async function readState(ctx: Ctx, environment: EnvironmentResource, before: BoardState | null): Promise<BoardState> {
  const [flags, audit, unknown] = await Promise.all([
    listFlags(ctx, environment.key),
    listAudit(ctx, environment.key, { limit: RECENT_CHANGES }),
    listUnknownFlags(ctx, environment.key),
  ]);
  const changes = latestChanges(audit.items);
  await addOlderChanges(ctx, environment.key, flags.items, changes);
  const known = new Map(before?.flags.map((flag) => [flag.key, flag]));
  const sorted = flags.items.toSorted((a, b) => a.name.localeCompare(b.name) || a.key.localeCompare(b.key));
  return {
    environment,
    flags: sorted.map((flag) => {
      const old = known.get(flag.key);
      return old !== undefined && same(old, flag) ? old : flag;
    }),
    revision: flags.revision,
    changes,
    unknown,
  };
}

/** Whether a budget has switched anything, or let go of it. */
function haveMoved(before: BoardState, now: BoardState): boolean {
  const trips = ({ flags }: BoardState) => flags.map((flag) => flag.trips);
  return before.flags !== now.flags && !same(trips(before), trips(now));
}

/** Changes young enough to be timed, the newest first. */
function timedRevisions(changes: Iterable<AuditResource>, nowMs: number): number[] {
  const young = [...changes].filter(({ at }) => nowMs - Date.parse(at) < TIMED_PROOF_MS);
  const revisions = young.flatMap(({ revision }) => (revision === null ? [] : [revision]));
  return revisions.toSorted((a, b) => b - a).slice(0, MAX_TIMED_PROOFS);
}

/** A flag that was killed or downgraded long ago still has to say where that has arrived. */
async function addOlderChanges(
  ctx: Ctx,
  environmentKey: string,
  flags: readonly FlagResource[],
  changes: Map<string, AuditResource>,
): Promise<void> {
  const missing = flags.filter(
    (flag) =>
      (flag.switch.state === "off" || flag.level.manual !== null || flag.trips.length > 0) &&
      !changes.has(`flag ${flag.key}`),
  );
  for (const { key } of missing.slice(0, MAX_OLDER_CHANGES)) {
    const page = await listAudit(ctx, environmentKey, { target: { kind: "flag", key }, limit: RECENT_OF_FLAG });
    for (const [name, entry] of latestChanges(page.items)) changes.set(name, entry);
  }
}

/** The newest change of each flag's switch or level and of the master; edits and reasons are not of that kind. */
function latestChanges(newestFirst: readonly AuditResource[]): Map<string, AuditResource> {
  const latest = new Map<string, AuditResource>();
  for (const entry of newestFirst) {
    if (!MOVES.has(entry.action)) continue;
    const name = entry.target.kind === "master" ? "master" : `${entry.target.kind} ${entry.target.key}`;
    if (!latest.has(name)) latest.set(name, entry);
  }
  return latest;
}

const MOVES: ReadonlySet<string> = new Set<Action>([
  "flag.killed",
  "flag.restored",
  "flag.downgraded",
  "flag.tripped",
  "flag.trip-ended",
  "master.killed",
  "master.restored",
]);
