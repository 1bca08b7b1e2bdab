/** What the operator API and the board show. Times are ISO 8601 in UTC. */
import type { ChainStep, OffCause, OffMode, Rule, SwitchState } from "../../sdk-client/src/wire/protocol.ts";
import type { ActorRecord, Role, TokenKind } from "./actor.ts";
import type { EffectiveResource } from "./effective.ts";
import type { CauseKind, StandingState } from "./standing.ts";

export interface SwitchResource {
  state: SwitchState;
  cause: OffCause | null;
  reason: string | null;
  by: string | null;
  since: string;
  until: string | null;
  ramp: number | null;
}

export interface ManualLevelResource {
  level: number;
  model: string;
  reason: string | null;
  by: string;
  since: string;
  until: string | null;
}

export interface LevelResource {
  /** The level in force, resolved in the chain as it is now. */
  level: number;
  manual: ManualLevelResource | null;
}

/** A trip in force: what a budget did to the flag by itself. */
export interface TripResource {
  id: string;
  budget: { id: string; name: string };
  atPercent: number;
  action: "downgrade" | "kill";
  level: number | null;
  model: string | null;
  since: string;
  /** When it ends by itself; null: when somebody restores. */
  until: string | null;
}

/** A model that calls of a flag use and its row would not name. */
export interface SentModelResource {
  model: string;
  /** Not a model of the chain; a step that is passed now (its level or a block); or a lower one than calls start at. */
  why: "OUTSIDE" | "PASSED" | "LOWER";
  attempts: number;
  nanoUsd: number;
  /** When the newest of them began, and in which instance. */
  newestAt: string;
  newestInstance: string;
}

/** What holds for a flag now, since when without a break, and the cause that decides. */
export interface StandingResource {
  state: StandingState;
  since: string;
  cause: {
    kind: CauseKind;
    by: string | null;
    reason: string | null;
    /** When this cause began to hold; null when only `since` is known. */
    at: string | null;
    until: string | null;
    budget: { id: string; name: string } | null;
    /** Of a trip: the share of the limit that it was for. Of `NO_KILL`: where the ladder would turn it off. */
    atPercent: number | null;
    /** Blocked ones, of `BLOCK` and `NO_MODEL`. */
    models: string[];
  };
  /** When the deciding cause began to hold, if that is later than `since`. */
  heldSince: string | null;
  /** What decided when the state began; null when that is not known. */
  began: CauseKind | null;
  /** Its budget that is over the limit while it is on. */
  over: { budget: { id: string; name: string }; since: string; spentNanoUsd: number; limitNanoUsd: number } | null;
  /** The revision (`n`) that turned it on or off, or changed its models, last; null when that is not known. */
  revision: number | null;
}

export interface FlagResource {
  key: string;
  name: string;
  description: string;
  owner: string;
  runbookUrl: string | null;
  chain: string | null;
  /** The steps of its chain; `[]` without one. */
  steps: ChainStep[];
  offMode: OffMode;
  offMessage: string | null;
  abortInFlight: boolean;
  clampMaxTokens: boolean;
  chainOnly: boolean;
  rules: Rule[];
  rollout: number;
  switch: SwitchResource;
  level: LevelResource;
  trips: TripResource[];
  effective: EffectiveResource;
  /**
   * Models of calls that began since their instance applied the state in force, in the last 15 minutes, and that the chain
   * does not account for. `[]` in the answer to a change.
   */
  sends: SentModelResource[];
  standing: StandingResource;
  /** How often clients evaluated it, on and off, and when one last told so; null: never. */
  evaluated: { at: string; on: number; off: number } | null;
  version: number;
  createdAt: string;
  updatedAt: string;
}

/** A key that applications ask for and no flag has. */
export interface UnknownFlagResource {
  key: string;
  /** When, and by which instance, last; `app` when that is known. */
  askedAt: string;
  instance: string;
  app: string | null;
  /** The flag that may be meant. */
  meant: string | null;
  /** False when no flag can have this key. */
  isKey: boolean;
}

export interface ChainResource {
  name: string;
  steps: ChainStep[];
  usedBy: string[];
  version: number;
  createdAt: string;
  updatedAt: string;
}

export interface ModelResource {
  model: string;
  blocked: boolean;
  reason: string | null;
  by: string | null;
  since: string | null;
  until: string | null;
  /** Names of the chains that have it as a step. */
  usedBy: string[];
}

export interface MasterResource {
  state: SwitchState;
  reason: string | null;
  by: string | null;
  since: string;
  until: string | null;
}

export interface TokenResource {
  id: string;
  kind: TokenKind;
  name: string;
  role: Role | null;
  /** Keys of the environments it is good for; null: all. */
  environments: string[] | null;
  createdBy: string;
  createdAt: string;
  expiresAt: string | null;
  revokedAt: string | null;
  /** True for the token that asked. */
  current: boolean;
}

export interface AuditResource {
  id: number;
  environment: string | null;
  revision: number | null;
  at: string;
  actor: ActorRecord;
  action: string;
  target: { kind: string; key: string };
  reason: string | null;
  before: unknown;
  after: unknown;
  revertible: boolean;
  /** The entry whose change this one took back; null: none. */
  reverts: number | null;
}

export interface EnvironmentResource {
  key: string;
  name: string;
  revision: string;
  master: MasterResource;
  createdAt: string;
}
