/** Who acts, and what their token allows. */

export const ROLES = ["viewer", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];
export const TOKEN_KINDS = ["sdk", "op", "kill", "web"] as const;
/** Those that something serves: a token of another kind could do nothing. */
export const OFFERED_TOKEN_KINDS = ["sdk", "op", "kill"] as const satisfies readonly (typeof TOKEN_KINDS)[number][];
export type TokenKind = (typeof TOKEN_KINDS)[number];

/** What the audit keeps of an actor. Never a secret. */
export interface ActorRecord {
  kind: TokenKind | "system";
  /** The token's id, or the job's name. */
  id: string;
  name: string;
}

export interface Actor extends ActorRecord {
  /** Null for tokens without a role (sdk, kill, web). */
  role: Role | null;
  /** Ids of the environments the actor may see; null: all. */
  environmentIds: readonly string[] | null;
}

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** True when `role` includes what `needed` may do. */
export function hasRole(role: Role | null, needed: Role): boolean {
  return role !== null && RANK[role] >= RANK[needed];
}

/** True when the actor may see the environment at all; what it may not see answers 404. */
export function seesEnvironment(actor: Actor, environmentId: string): boolean {
  return actor.environmentIds === null || actor.environmentIds.includes(environmentId);
}

/** The actor of automatic changes: an expiry, a trip, a heal. */
export function systemActor(id: string, name: string): Actor {
  return { kind: "system", id, name, role: "admin", environmentIds: null };
}

/** Who takes models out when they fail. */
export const BREAKER = systemActor("breaker", "breaker");
/** Who tells of accounts that Claude refuses. */
export const ACCOUNT = systemActor("account", "account");

/** Who tells further channels of what nobody acknowledges. */
export const ESCALATION = systemActor("escalation", "escalation");

/** Who ends drills. */
export const DRILLS = systemActor("drills", "drills");

/** Who tells of models without a price. */
export const PRICING = systemActor("prices", "prices");

/** Who watches for unusual spending and failing calls. */
export const WATCHING = systemActor("watches", "watches");

/** Who holds the ledger against Claude's bill. */
export const RECONCILING = systemActor("reconciliation", "reconciliation");

export function recordOf(actor: Actor): ActorRecord {
  return { kind: actor.kind, id: actor.id, name: actor.name };
}

/** What an actor must be allowed: a role, or to tighten (kill and downgrade), which `kill` tokens may too. */
export type Need = Role | "tighten";
