/** What a budget holds for calls and how far it can still be overspent, as it stands now: for its page, the board, the API. */
import { and, asc, inArray, isNull } from "drizzle-orm";
import type { BudgetNow } from "../../api/budget.ts";
import { type budgetWindows, trips } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";
import {
  boundNanoUsd,
  exposureOf,
  MAX_BOUND_NANO_USD,
  ofScope,
  stopsAtNanoUsd,
  type Told,
  type Unbounded,
} from "../../domain/bound.ts";
import type { Budget } from "../../domain/budget.ts";
import { type LeaseSummary, NO_LEASES, summarizeLeases } from "./lease-view.ts";
import type { BudgetRow } from "./rows.ts";
import { readTold } from "./told.ts";

export interface BoundFacts {
  /** That have not ended. */
  trips: readonly (typeof trips.$inferSelect)[];
  /** What processes have told of their running calls. */
  told: readonly Told[];
  leases: ReadonlyMap<string, LeaseSummary>;
}

/** A fixed number of queries, however many budgets there are. */
export async function readBoundFacts(
  db: Db,
  environmentId: string,
  rows: readonly Pick<BudgetRow, "id" | "enforcement">[],
  nowMs: number,
): Promise<BoundFacts> {
  const reserving = rows.flatMap(({ id, enforcement }) => (enforcement === "reserve" ? [id] : []));
  return {
    trips: await db
      .select()
      .from(trips)
      .where(
        and(
          inArray(
            trips.budgetId,
            rows.map(({ id }) => id),
          ),
          isNull(trips.endedAt),
        ),
      )
      .orderBy(asc(trips.flag), asc(trips.since)),
    told: rows.some(({ enforcement }) => enforcement !== "reserve") ? await readTold(db, environmentId, nowMs) : [],
    leases: reserving.length === 0 ? new Map() : await summarizeLeases(db, reserving, new Date(nowMs)),
  };
}

/** Under `reserve`; null otherwise. */
export function leasesNow(
  { id, enforcement }: Pick<Budget, "id" | "enforcement">,
  window: typeof budgetWindows.$inferSelect | undefined,
  { leases }: Pick<BoundFacts, "leases">,
): BudgetNow["leases"] {
  if (enforcement !== "reserve") return null;
  const { grantedNanoUsd, settledNanoUsd, holders, waiting } = leases.get(id) ?? NO_LEASES;
  return {
    grantedNanoUsd,
    settledNanoUsd,
    holders,
    waiting,
    heldNanoUsd: window?.reservedNanoUsd ?? 0,
    indeterminateNanoUsd: window?.indeterminateNanoUsd ?? 0,
  };
}

type WindowMoney = Pick<typeof budgetWindows.$inferSelect, "spentNanoUsd" | "reservedNanoUsd" | "indeterminateNanoUsd">;

/** What is held under `reserve` is spent too in the worst case, though the limit was lowered under it. */
export function committedNanoUsd(
  { enforcement }: Pick<Budget, "enforcement">,
  window: WindowMoney | undefined,
): number {
  if (window === undefined) return 0;
  const held = enforcement === "reserve" ? window.reservedNanoUsd + window.indeterminateNanoUsd : 0;
  return window.spentNanoUsd + held;
}

/** The most that is spent of a budget in the end: at its trip a bound, before it a forecast; or why nothing bounds it. */
export function boundNow(
  budget: Budget,
  window: WindowMoney | undefined,
  facts: BoundFacts,
  nowMs: number,
): BudgetNow["bound"] {
  // What leases set aside is within the limit.
  const told = budget.enforcement === "reserve" ? [] : facts.told;
  const { notReporting: untold, ...exposure } = exposureOf(budget, told, nowMs);
  const notReporting = untold + sendingAlone(budget, facts);
  const kills = facts.trips.filter((trip) => trip.budgetId === budget.id && trip.action === "kill");
  const because = whyUnbounded(budget, kills, nowMs);
  const stopsAt = stopsAtNanoUsd(budget, nowMs);
  if (because !== null || stopsAt === null) {
    // What may begin before it is told of has no bound then: clients are granted all that they ask for.
    const { runningNanoUsd } = exposure;
    return {
      kind: "none",
      because: because ?? "noKill",
      nanoUsd: null,
      runningNanoUsd,
      startCreditsNanoUsd: 0,
      notReporting,
    };
  }
  const bounded = kills.filter((trip) => trip.boundNanoUsd !== null);
  if (bounded.length > 0) {
    return {
      kind: "atTrip",
      because: null,
      nanoUsd: Math.max(...bounded.map((trip) => trip.boundNanoUsd ?? 0)),
      ...exposure,
      notReporting: Math.max(alone(budget, told, bounded), ...bounded.map((trip) => trip.boundNotReporting ?? 0)),
    };
  }
  const nanoUsd = Math.min(
    boundNanoUsd(committedNanoUsd(budget, window), stopsAt, { ...exposure, notReporting }),
    MAX_BOUND_NANO_USD,
  );
  return { kind: "forecast", because: null, nanoUsd, ...exposure, notReporting };
}

/** Clients that hold money and are not heard of: where the budget allows it, they send calls that nothing was set aside for. */
function sendingAlone({ id, enforcement, onUnavailable }: Budget, { leases }: BoundFacts): number {
  return enforcement === "reserve" && onUnavailable === "allow" ? (leases.get(id)?.unheard ?? 0) : 0;
}

/** Processes that told after the trip that calls had begun untold, shortly before it or since. */
function alone(budget: Budget, told: readonly Told[], kills: readonly { since: Date }[]): number {
  const sinceMs = Math.min(...kills.map(({ since }) => since.getTime()));
  return told.filter(({ unanswered }) =>
    Object.entries(unanswered).some(([flag, atMs]) => ofScope(budget.scope, flag) && atMs >= sinceMs),
  ).length;
}

function whyUnbounded(
  budget: Budget,
  kills: readonly { overriddenAt: Date | null }[],
  nowMs: number,
): Unbounded | null {
  if (budget.enforcement === "track") return "track";
  if (budget.paused) return "paused";
  if (budget.scope.user !== undefined || budget.scope.session !== undefined) return "subjects";
  if (kills.some((trip) => trip.overriddenAt !== null)) return "overridden";
  return stopsAtNanoUsd(budget, nowMs) === null ? "noKill" : null;
}
