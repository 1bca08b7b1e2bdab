/**
 * Breakers for the fleet: a model that fails on most instances is taken out of every chain that has another, probed, and
 * taken back by itself. Decided under the environment's lock, so that it happens once, whatever the number of servers.
 */
import { and, asc, eq } from "drizzle-orm";
import { usableSteps } from "../../../sdk-client/src/evaluate/effective-state.ts";
import { type Change, change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { environments, flags, modelBreakers } from "../../db/schema/state.ts";
import type { Db, EnvironmentRow, ModelBreakerRow } from "../../db/types.ts";
import {
  type BreakerMove,
  breaches,
  type FleetCalls,
  nextMove,
  waitMs,
  WINDOW_MS,
  whyOut,
} from "../../domain/breaker.ts";
import { flagInForce, stepsOf } from "../../domain/flag.ts";
import { readSurroundingRows, surroundingsOf } from "../flags/surroundings.ts";
import { noteBreaker, resolveEndedIncidents } from "../incidents/incidents.ts";
import { breakerOf, standingBreakers } from "./breaker-rows.ts";
import { failingModels, readFleet, readProbes, readWanted } from "./fleet-calls.ts";

/** Looks at all models of an environment and does what is due. Takes no lock when nothing is. */
export async function runBreakers(ctx: Ctx, environmentId: string): Promise<void> {
  const { db, clock } = ctx.deps;
  const [environment] = await db.select().from(environments).where(eq(environments.id, environmentId));
  if (environment === undefined) return;
  const { breakersOff } = ctx.deps.config;
  if (breakersOff.includes("*") || breakersOff.includes(environment.key)) return closeAll(ctx, environmentId);
  const due = await look(db, environment, new Date(clock.nowMs()));
  if (due.trips.length === 0 && due.moves.length === 0) return;
  await change(ctx, environmentId, async (open) => {
    // Another server may have acted since.
    const now = await look(open.tx, open.environment, open.at);
    for (const move of now.moves) await apply(open, move);
    for (const trip of now.trips) await takeOut(ctx, open, trip);
    if (now.moves.some(({ move }) => move.to === "closed")) await resolveEndedIncidents(ctx, open);
  });
}

/** Breakers were turned off: what one had taken out is back. */
async function closeAll(ctx: Ctx, environmentId: string): Promise<void> {
  if ((await standingBreakers(ctx.deps.db, environmentId)).length === 0) return;
  await change(ctx, environmentId, async (open) => {
    const { tx, at, revision: countsFrom, record } = open;
    for (const { model: target } of await standingBreakers(tx, environmentId)) {
      const own = and(eq(modelBreakers.environmentId, environmentId), eq(modelBreakers.model, target));
      await tx.update(modelBreakers).set({ state: "closed", stateSince: at, countsFrom }).where(own);
      await record({ action: "breaker.closed", target, reason: "breakers were turned off" });
    }
    await resolveEndedIncidents(ctx, open);
  });
}

interface Trip {
  model: string;
  fleet: FleetCalls;
  /** Flags whose chains go on without it, and those that have no other model and stay. */
  flags: string[];
  staying: string[];
}

interface Move {
  row: ModelBreakerRow;
  probes: { answered: number; failed: number };
  move: NonNullable<BreakerMove>;
}

/** What is to be done now. */
async function look(db: Db, environment: EnvironmentRow, now: Date): Promise<{ trips: Trip[]; moves: Move[] }> {
  const rows = await db
    .select()
    .from(modelBreakers)
    .where(eq(modelBreakers.environmentId, environment.id))
    .orderBy(asc(modelBreakers.model));
  const moves: Move[] = [];
  for (const row of rows) {
    const breaker = breakerOf(row);
    if (breaker === null || (breaker.state === "open" && now < breaker.probeAt)) continue;
    const { model, countsFrom } = row;
    const fleet = await readFleet(db, environment.id, model, { now, revision: 0 });
    const probes = await readProbes(db, environment.id, model, countsFrom);
    const wanted = await readWanted(db, environment.id, model, now);
    const move = nextMove(breaker, { fleet, probes, wanted }, now);
    if (move !== null) moves.push({ row, probes, move });
  }
  const trips: Trip[] = [];
  for (const model of await failingModels(db, environment.id, now)) {
    const known = rows.find((row) => row.model === model);
    if (known !== undefined && known.state !== "closed") continue;
    // What failed before it was taken back is no reason to take it out again.
    const isFresh = known !== undefined && now.getTime() - known.stateSince.getTime() < WINDOW_MS;
    const fleet = await readFleet(db, environment.id, model, { now, revision: isFresh ? known.countsFrom : 0 });
    const trip = breaches(fleet) ? { model, fleet, ...(await flagsWithout(db, environment, model, now)) } : null;
    // Nobody has another model: there is nothing to take it out of.
    if (trip !== null && trip.flags.length > 0) trips.push(trip);
  }
  return { trips, moves };
}

/** The flags whose chains would go on without the model, and those that have no other. */
async function flagsWithout(
  db: Db,
  environment: EnvironmentRow,
  model: string,
  now: Date,
): Promise<Pick<Trip, "flags" | "staying">> {
  const rows = await readSurroundingRows(db, environment.id);
  const around = surroundingsOf(environment, rows);
  const out = { model, since: now, probeShare: null, calls: 0, failures: 0, instances: 0, failingInstances: 0 };
  const without = surroundingsOf(environment, { ...rows, breakers: [...rows.breakers, out] });
  const wanted = around.models.nameOf(model);
  const all = await db.select().from(flags).where(eq(flags.environmentId, environment.id)).orderBy(asc(flags.key));
  const found = { flags: [] as string[], staying: [] as string[] };
  for (const flag of all) {
    const steps = stepsOf(flag, around);
    const { level } = flagInForce(flag, around);
    const uses = ({ models }: typeof around): boolean =>
      usableSteps(steps, level, models).some((step) => models.nameOf(step.model) === wanted);
    if (uses(around)) (uses(without) ? found.staying : found.flags).push(flag.key);
  }
  return found;
}

/** Two trips of one look may leave a chain without a model: the second is looked at again in a second. */
async function takeOut(ctx: Ctx, open: Change, trip: Trip): Promise<void> {
  const { tx, environment, at } = open;
  const { flags: moved, staying } = await flagsWithout(tx, environment, trip.model, at);
  if (moved.length === 0) return;
  const { model, fleet } = trip;
  const probeAt = new Date(at.getTime() + waitMs(0));
  const set = { state: "open", since: at, stateSince: at, probeAt, probeShare: null, rounds: 0, ...fleet } as const;
  await tx
    .insert(modelBreakers)
    .values({ environmentId: environment.id, model, ...set })
    .onConflictDoUpdate({ target: [modelBreakers.environmentId, modelBreakers.model], set });
  await open.record({ action: "breaker.opened", target: model, reason: whyOut(fleet), after: fleet });
  await noteBreaker(ctx, open, { model, fleet, flags: moved, staying });
}

async function apply(open: Change, { row, probes, move }: Move): Promise<void> {
  const { tx, at, revision, record } = open;
  const { model: target } = row;
  const own = and(eq(modelBreakers.environmentId, row.environmentId), eq(modelBreakers.model, target));
  switch (move.to) {
    case "closed":
      await tx.update(modelBreakers).set({ state: "closed", stateSince: at, countsFrom: revision }).where(own);
      await record({ action: "breaker.closed", target, reason: "its calls are answered again" });
      return;
    case "open": {
      const { probeAt, rounds } = move;
      const set = { state: "open", stateSince: at, probeAt, probeShare: null, rounds } as const;
      await tx.update(modelBreakers).set(set).where(own);
      const reason = `${probes.failed} of ${probes.answered + probes.failed} probes failed`;
      await record({ action: "breaker.reopened", target, reason, after: { ...probes, probeAt } });
      return;
    }
    case "probing": {
      const { probeShare, isFirst } = move;
      const begun = isFirst ? { countsFrom: revision } : {};
      const set = { state: "probing", stateSince: at, probeAt: null, probeShare, ...begun } as const;
      await tx.update(modelBreakers).set(set).where(own);
      await record({ action: "breaker.probing", target, after: { probeShare } });
    }
  }
}
