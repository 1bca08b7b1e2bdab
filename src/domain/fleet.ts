/**
 * Who runs, and the proof that a change has arrived. Pure: it counts what `services/instances/fleet.ts` has read of all instances
 * in one query. Counts are of all; only names are capped.
 */

/** An instance heard of within this time is live. */
export const LIVE_SECONDS = 90;
/** A client that runs is back within this time of a connection that broke; until then it is not called lost. */
export const RECONNECT_SECONDS = 1;
/** A lost instance may still be serving, and counts, for so long; from then on it is silent. */
export const LOST_COUNTED_SECONDS = 3600;
/** Stopped instances that are remembered of an environment: so many are "or more". */
export const REMEMBERED_MAX = 1000;

/** `lost`: its connection is gone without a goodbye. `silent`: nothing was heard of it for long, and nobody knows why. */
export type RunState = "live" | "lost" | "silent";
export type InstanceState = RunState | "stopped";
/** A goodbye, a new process under the same name after the loss of the old one, or a person who knows that it is dead. */
export type StoppedBy = "goodbye" | "successor" | "declared";
/** Who said that a process is dead, and when. */
export interface DeclaredDead {
  by: string;
  at: string;
  /** Whole seconds since then. */
  secondsAgo: number;
}
/** One token makes up more names than are believed; or the environment has more instances than are kept. */
export type NotCountedBecause = "new names" | "full";

/** What an instance under `ANDON_KILL=*` holds off. */
export const EVERY_FLAG = "*";

export interface Member {
  /** Of this one process, for as long as it is remembered. */
  id: string;
  /** With a number behind it for the second, third… process of one name: `host-7 (2)`. */
  instance: string;
  app: string | null;
  sdk: string | null;
  state: RunState;
  /** The newest revision that it applied, within the lineage in force; null without any. */
  n: number | null;
  revision: string | null;
  appliedAt: string | null;
  lastSeen: string;
  silentSeconds: number;
  /** Since its connection was lost; null while nothing says so. */
  disconnectedSeconds: number | null;
  /** What its `ANDON_KILL` holds off; null for nothing. */
  local: readonly string[] | null;
  /** Of one that was heard of afterwards: somebody was wrong. Null for all others. */
  declaredDead: DeclaredDead | null;
}

/** Instances that are alike in all that counts. */
export interface FleetGroup {
  state: RunState;
  n: number | null;
  local: readonly string[] | null;
  /** Live, or lost or fallen silent less than `LOST_COUNTED_SECONDS` ago. */
  isRecent: boolean;
  count: number;
}

export interface NotCounted {
  token: string;
  because: NotCountedBecause;
  atLeast: number;
}

/** All instances of an environment that run or may still run. The lists are capped, slowest first; the groups hold all. */
export interface Fleet {
  groups: readonly FleetGroup[];
  live: readonly Member[];
  lost: readonly Member[];
  silent: readonly Member[];
  held: readonly Member[];
  /** Live, and declared dead less than `LOST_COUNTED_SECONDS` ago. */
  returned: readonly Member[];
  notCounted: readonly NotCounted[];
  /** Any instance was ever seen, and is remembered. */
  any: boolean;
  /** When this was so, by the database's clock. */
  at: string;
}

/** How many there are, and the first of them. */
export interface Some {
  count: number;
  first: readonly Member[];
}

export interface Change {
  /** Its revision, within the lineage in force. */
  n: number;
  /** What it turned on again: flags, `*` for the master switch, null for nothing. `ANDON_KILL` holds against each. */
  restored: string | readonly string[] | null;
}

/** `following` is the n of "m of n": `applied`, `behind` and `lost` together. */
export interface Proof {
  /** All that run or may still run: `following` and `held`. */
  live: number;
  /** Whom the change can reach: all of `live` but those that refuse by themselves. */
  following: number;
  /** Connected, and deciding by this change or a later one. */
  applied: number;
  /** Connected, and not there yet. */
  behind: Some;
  /** Connected, and holding off by `ANDON_KILL` what the change has turned on. */
  held: Some;
  /** Connection lost, may still be serving: some had applied it, nobody knows what of it is so. */
  lost: Some;
  /** Of these, the ones that had not applied it. */
  lostBehind: number;
  /** Not heard of for long, and not known to have applied it. Not in `live`. */
  silent: Some;
}

/** The proof of one change. */
export function proofOf(fleet: Fleet, change: Change): Proof {
  const applied = hasApplied(change.n);
  const behind = (one: Named) => !applied(one);
  const restored = change.restored === null ? [] : [change.restored].flat();
  const held = (one: Named) => restored.some((flag) => holds(one, flag));
  const some = (members: readonly Member[], matches: (one: Named) => boolean): Some => ({
    count: countOf(fleet, matches),
    first: members.filter(matches),
  });
  const connected = inState("live");
  return {
    live: countOf(fleet, mayServe),
    following: countOf(fleet, (one) => mayServe(one) && !(connected(one) && held(one))),
    applied: countOf(fleet, (one) => connected(one) && applied(one) && !held(one)),
    behind: some(fleet.live, (one) => connected(one) && behind(one) && !held(one)),
    held: some(fleet.held, (one) => connected(one) && held(one)),
    lost: some(fleet.lost, inState("lost")),
    lostBehind: countOf(fleet, (one) => one.state === "lost" && behind(one)),
    silent: some(fleet.silent, (one) => one.state === "silent" && behind(one)),
  };
}

/** True when every instance that runs or may still run has proven it, but for those that refuse by themselves. */
export function isComplete(proof: Proof): boolean {
  return proof.following > 0 && proof.applied === proof.following;
}

/** True while an instance has yet to apply it; one that has, and was lost since, is none of these. */
export function isAwaited(proof: Proof): boolean {
  return proof.behind.count + proof.lostBehind > 0;
}

/** Who holds a flag off by `ANDON_KILL`, whatever its switch says. */
export function heldLocally(fleet: Fleet, flag: string): Some {
  const matches = (one: Named) => mayServe(one) && holds(one, flag);
  return { count: countOf(fleet, matches), first: fleet.held.filter(matches) };
}

/** Instances in one state, the capped list of them first. */
export function someIn(fleet: Fleet, state: RunState): Some {
  return { count: countOf(fleet, (one) => one.state === state), first: fleet[state] };
}

export function hasApplied(n: number): (one: Pick<Named, "n">) => boolean {
  return (one) => one.n !== null && one.n >= n;
}

/** What a group says, and a name of it too. */
type Named = Pick<FleetGroup, "state" | "n" | "local">;
/** What is known of every instance, named or not. */
export type Counted = Omit<FleetGroup, "count">;

/** How many instances match, of all. */
export function countOf(fleet: Fleet, matches: (one: Counted) => boolean): number {
  return fleet.groups.reduce((sum, group) => (matches(group) ? sum + group.count : sum), 0);
}

function inState(state: RunState): (one: Named) => boolean {
  return (one) => one.state === state;
}

function mayServe({ state }: Named): boolean {
  return state !== "silent";
}

function holds({ local }: Named, flag: string): boolean {
  return local !== null && (local.includes(EVERY_FLAG) || local.includes(flag));
}

/** The proof of a change as a page shows it: counted in the fleet that was read once for the whole page. */
export interface TimedProof extends Proof {
  /** Of the change, within the lineage in force. */
  n: number;
  /** From commit to the newest of these receipts in milliseconds; null when not timed. */
  lastMs: number | null;
  notCounted: readonly NotCounted[];
}

/** The proof of `change`, with its time when it is among the timed ones. */
export function timedProof(fleet: Fleet, change: Change, lastMs: ReadonlyMap<number, number>): TimedProof {
  const { notCounted } = fleet;
  return { ...proofOf(fleet, change), n: change.n, lastMs: lastMs.get(change.n) ?? null, notCounted };
}
