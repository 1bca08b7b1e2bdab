/**
 * Incidents: one per budget and window, one for a model that a breaker has out, one for models without a price. Each grows by
 * step and is closed when its cause ends. Their alerts are rows of the outbox, written with the change; the same alert is
 * written once a channel, whoever notices first.
 */
import { and, asc, eq, isNotNull, isNull, ne } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import { type Change, change, type Changed } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { budgetWindows, trips } from "../../db/schema/budgets.ts";
import { incidents } from "../../db/schema/incidents.ts";
import { accountFaults } from "../../db/schema/usage.ts";
import { modelBreakers } from "../../db/schema/state.ts";
import type { AccountFault, Reach } from "../../domain/account-fault.ts";
import {
  accountHoldsText,
  accountText,
  accountTitle,
  acknowledgedText,
  breakerHoldsText,
  breakerText,
  breakerTitle,
  holdsText,
  overText,
  overTitle,
  resolvedText,
  stepText,
  stepTitle,
  stillOnText,
  usd,
} from "../../domain/alert-text.ts";
import type { TripBound } from "../../domain/bound.ts";
import type { FleetCalls } from "../../domain/breaker.ts";
import type { Budget, LadderStep } from "../../domain/budget.ts";
import type { WindowState } from "../../domain/ladder.ts";
import type { OverBudget, Overridden } from "../../domain/over-limit.ts";
import {
  addPriceText,
  sameUnpriced,
  type Unpriced,
  type UnpricedCalls,
  unpricedText,
  unpricedTitle,
} from "../../domain/unpriced.ts";
import { AppError } from "../../errors.ts";
import { enqueue } from "../alerts/outbox.ts";
import { unpricedCalls } from "../models/unpriced-calls.ts";
import { one } from "../shared/one.ts";
import { holdsStill } from "../triggers/holds.ts";

type IncidentRow = typeof incidents.$inferSelect;

export interface Acted {
  budget: Budget;
  state: WindowState;
  step: LadderStep;
  key: string;
  /** The flags that the step changed. */
  flags: readonly string[];
  limitNanoUsd: number;
  /** Of a kill: the most that is spent in the end. */
  bound: TripBound | null;
}

/**
 * Opens the incident of this window or adds a step to it, and writes its alert to the outbox. An alert with the same
 * `occasion` is written once.
 */
export async function noteStep(ctx: Ctx, open: Change, acted: Acted, occasion = ""): Promise<void> {
  const { budget, state, step, limitNanoUsd, flags } = acted;
  const text = stepText(acted);
  await grow(ctx, open, {
    budget,
    windowStartsAt: new Date(state.window.startMs),
    title: stepTitle(acted),
    entry: { atPercent: step.atPercent, action: step.action, text },
    now: holdsText(acted),
    dedupKey: `${acted.key}:${limitNanoUsd}${occasion}`,
    flags,
    spentNanoUsd: state.spentNanoUsd,
    limitNanoUsd,
  });
  await open.record({
    action: "budget.step",
    target: budget.name,
    reason: text,
    after: {
      atPercent: step.atPercent,
      action: step.action,
      spentUsd: usd(state.spentNanoUsd),
      limitUsd: usd(limitNanoUsd),
      flags,
    },
  });
}

/** A budget whose flags are on has gone further over its limit: the same incident grows, and is told of again. */
export async function noteOver(
  ctx: Ctx,
  open: Change,
  found: {
    budget: Budget;
    over: OverBudget;
    overridden: readonly Overridden[];
    percent: number;
    flags: readonly string[];
  },
): Promise<void> {
  const { budget, over, percent, flags } = found;
  const text = overText(found);
  await grow(ctx, open, {
    budget,
    windowStartsAt: over.windowStartsAt,
    title: overTitle(found),
    entry: { atPercent: percent, action: "over", text },
    now: stillOnText({ ...found, timezone: budget.timezone }),
    dedupKey: `over@${percent}:${over.limitNanoUsd}`,
    flags,
    spentNanoUsd: over.spentNanoUsd,
    limitNanoUsd: over.limitNanoUsd,
  });
  await open.record({
    action: "budget.step",
    target: budget.name,
    reason: text,
    after: {
      atPercent: percent,
      action: "over",
      spentUsd: usd(over.spentNanoUsd),
      limitUsd: usd(over.limitNanoUsd),
      flags,
    },
  });
}

/** A breaker has taken a model out: its incident opens, with its alert. */
export async function noteBreaker(
  ctx: Ctx,
  open: Change,
  out: { model: string; fleet: FleetCalls; flags: readonly string[]; staying: readonly string[] },
): Promise<void> {
  const { tx, environment, at } = open;
  const { model, fleet, flags } = out;
  const { calls, failures, instances } = fleet;
  const id = ctx.deps.newId();
  const cause = `breaker:${model}:${at.getTime()}`;
  const text = breakerText(out);
  const title = breakerTitle(model);
  const step = { at: at.toISOString(), atPercent: Math.round((100 * failures) / calls), action: "breaker", text };
  await tx.insert(incidents).values({
    id,
    environmentId: environment.id,
    cause,
    model,
    windowStartsAt: at,
    title,
    steps: [step],
    openedAt: at,
  });
  await enqueue(ctx, open, {
    incidentId: id,
    dedupKey: cause,
    payload: {
      type: "incident.breaker",
      environment: environment.key,
      incidentId: id,
      title,
      text: `${text}${breakerHoldsText()}`,
      at: step.at,
      url: incidentUrl(ctx, environment.key),
      model,
      flags: [...flags],
      calls,
      failures,
      instances,
    },
  });
}

/**
 * Models without a price were called that the open incident does not know: it grows, or opens, and one alert tells of all.
 * @param told those that the incident is about already
 */
export async function noteUnpriced(
  ctx: Ctx,
  open: Change,
  fresh: readonly UnpricedCalls[],
  told: readonly Unpriced[],
): Promise<void> {
  const { tx, environment, at } = open;
  const unpriced = [...told, ...fresh.map(({ model, fast }) => ({ model, fast }))];
  const [known] = await tx
    .select()
    .from(incidents)
    .where(
      and(eq(incidents.environmentId, environment.id), isNull(incidents.resolvedAt), isNotNull(incidents.unpriced)),
    );
  const id = known?.id ?? ctx.deps.newId();
  const cause = known?.cause ?? `unpriced:${at.getTime()}`;
  const title = unpricedTitle(unpriced);
  const text = unpricedText(fresh);
  const step = { at: at.toISOString(), atPercent: 0, action: "unpriced", text };
  if (known === undefined) {
    await tx
      .insert(incidents)
      .values({ id, environmentId: environment.id, cause, unpriced, title, steps: [step], openedAt: at });
  } else {
    const asked = known.acknowledgedAt === null ? {} : askedAnew(at);
    const set = { unpriced, title, steps: [...known.steps, step], ...asked };
    await tx.update(incidents).set(set).where(eq(incidents.id, id));
  }
  for (const { model } of fresh) await open.record({ action: "price.missing", target: model, reason: text });
  const [first] = fresh;
  await enqueue(ctx, open, {
    incidentId: id,
    dedupKey: `${cause}:${known?.steps.length ?? 0}`,
    payload: {
      type: "incident.unpriced",
      environment: environment.key,
      incidentId: id,
      title,
      text: `${text}${addPriceText()}`,
      at: step.at,
      url: `${ctx.deps.config.publicUrl}/e/${environment.key}/prices?model=${encodeURIComponent(first?.model ?? "")}#price`,
      models: [...fresh],
    },
  });
}

/** Claude refuses an account: its incident opens, or grows when most instances see it; each has its alert. */
export async function noteAccount(
  ctx: Ctx,
  open: Change,
  { fault, reach }: { fault: AccountFault; reach: Reach },
): Promise<void> {
  const { tx, environment, at } = open;
  const { flags, instances, running, since } = reach;
  const title = accountTitle(fault, reach);
  const text = accountText(fault, reach);
  const percent = Math.round((100 * instances.length) / running);
  const step = { at: at.toISOString(), atPercent: percent, action: "account", text };
  const ofFault = and(eq(incidents.environmentId, environment.id), eq(incidents.account, fault));
  const [known] = await tx
    .select()
    .from(incidents)
    .where(and(ofFault, isNull(incidents.resolvedAt)));
  const id = known?.id ?? ctx.deps.newId();
  const cause = known?.cause ?? `account:${fault}:${at.getTime()}`;
  if (known === undefined) {
    const opened = { windowStartsAt: since, title, steps: [step], openedAt: at };
    await tx.insert(incidents).values({ id, environmentId: environment.id, cause, account: fault, ...opened });
  } else {
    await tx
      .update(incidents)
      .set({ title, steps: [...known.steps, step] })
      .where(eq(incidents.id, id));
  }
  await open.record({
    action: "account.refused",
    target: title,
    reason: text,
    after: { flags, instances: instances.length, running },
  });
  await enqueue(ctx, open, {
    incidentId: id,
    dedupKey: `${cause}:${known?.steps.length ?? 0}`,
    payload: {
      type: "incident.account",
      environment: environment.key,
      incidentId: id,
      title,
      text: `${text}${accountHoldsText(fault)}`,
      at: step.at,
      url: incidentUrl(ctx, environment.key),
      fault,
      since: since.toISOString(),
      flags,
      instances: instances.slice(0, NAMED_INSTANCES),
      refused: instances.length,
      running,
    },
  });
}

/** In an alert. */
const NAMED_INSTANCES = 20;

interface Growth {
  budget: Budget;
  windowStartsAt: Date;
  title: string;
  entry: { atPercent: number; action: string; text: string };
  /** What is so as it is written, for the alert alone: the incident keeps what happened. */
  now: string;
  /** Within the incident; an alert with the same is written once. */
  dedupKey: string;
  flags: readonly string[];
  spentNanoUsd: number;
  limitNanoUsd: number;
}

/** Opens the incident of a budget's window or adds to it, and writes the alert. */
async function grow(ctx: Ctx, open: Change, growth: Growth): Promise<void> {
  const { tx, environment, at } = open;
  const { budget, windowStartsAt, title, entry } = growth;
  const cause = causeOf(budget, windowStartsAt);
  const step = { at: at.toISOString(), ...entry };
  const known = await incidentOf(open, cause);
  const id = known?.id ?? ctx.deps.newId();
  if (known === undefined) {
    await tx.insert(incidents).values({
      id,
      environmentId: environment.id,
      budgetId: budget.id,
      cause,
      windowStartsAt,
      title,
      steps: [step],
      openedAt: at,
    });
  } else {
    // A step of an incident that had closed opens it again: on-call is asked anew.
    const reopened = known.resolvedAt === null ? {} : { resolvedAt: null, ...askedAnew(at) };
    await tx
      .update(incidents)
      .set({ title, steps: [...known.steps, step], ...reopened })
      .where(eq(incidents.id, id));
  }
  await enqueue(ctx, open, {
    incidentId: id,
    dedupKey: `${cause}:${growth.dedupKey}`,
    payload: {
      type: "incident.step",
      environment: environment.key,
      incidentId: id,
      title,
      text: `${entry.text}${growth.now}`,
      at: step.at,
      url: incidentUrl(ctx, environment.key),
      budget: { id: budget.id, name: budget.name },
      step: { atPercent: entry.atPercent, action: entry.action },
      flags: [...growth.flags],
      spentNanoUsd: growth.spentNanoUsd,
      limitNanoUsd: growth.limitNanoUsd,
    },
  });
}

/** Who had seen it has not seen this. */
function askedAnew(at: Date) {
  return { acknowledgedAt: null, acknowledgedBy: null, askedSince: at };
}

function causeOf(budget: Budget, windowStartsAt: Date): string {
  return `budget:${budget.id}:${windowStartsAt.getTime()}`;
}

async function incidentOf({ tx, environment }: Change, cause: string): Promise<IncidentRow | undefined> {
  const rows = await tx
    .select()
    .from(incidents)
    .where(and(eq(incidents.environmentId, environment.id), eq(incidents.cause, cause)));
  return rows[0];
}

/**
 * A step stands again at a limit at which it had acted: a raise has expired, or a limit was put back. Of all that stand
 * again at once the hardest is told of, for on-call was told that the feature is back.
 */
export async function noteAgain(ctx: Ctx, open: Change, acted: Acted): Promise<void> {
  const known = await incidentOf(open, causeOf(acted.budget, new Date(acted.state.window.startMs)));
  await noteStep(ctx, open, acted, `:again:${known?.steps.length ?? 0}`);
}

/**
 * Closes the incidents whose cause has ended: no window of theirs is open with a step standing, and no trip of their
 * budget is in force.
 */
export async function resolveEndedIncidents(ctx: Ctx, open: Change): Promise<void> {
  const rows = await open.tx
    .select()
    .from(incidents)
    .where(and(eq(incidents.environmentId, open.environment.id), isNull(incidents.resolvedAt)))
    .orderBy(asc(incidents.openedAt));
  for (const row of rows) {
    if (!(await causeStands(open, row))) await resolve(ctx, open, row);
  }
}

async function resolve(ctx: Ctx, open: Change, row: IncidentRow): Promise<void> {
  await open.tx.update(incidents).set({ resolvedAt: open.at }).where(eq(incidents.id, row.id));
  await open.record({
    action: "incident.resolved",
    target: row.title,
    reason: "its cause has ended",
  });
  await enqueue(ctx, open, {
    incidentId: row.id,
    dedupKey: `${row.cause}:resolved:${row.steps.length}`,
    payload: { type: "incident.resolved", ...alertOf(ctx, open, row), text: resolvedText(row.title) },
  });
}

/** What every alert says of its incident. */
export function alertOf(ctx: Ctx, { environment, at }: Change, { id, title }: Pick<IncidentRow, "id" | "title">) {
  return {
    environment: environment.key,
    incidentId: id,
    title,
    at: at.toISOString(),
    url: incidentUrl(ctx, environment.key),
  };
}

/**
 * A person closes an incident whose cause has ended before that is noticed. CONFLICT while the cause stands, saying what
 * ends it. Closing one that is closed changes nothing.
 */
export async function resolveIncident(
  ctx: Ctx,
  environmentKey: string,
  id: string,
): Promise<Changed<{ id: string; resolvedAt: string }>> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  return change(ctx, environment.id, async (open) => {
    const row = await requireIncident(open, id);
    if (row.resolvedAt !== null) return { id, resolvedAt: row.resolvedAt.toISOString() };
    if (await causeStands(open, row)) throw new AppError("CONFLICT", `Its cause stands. ${whatEnds(row)}`);
    await resolve(ctx, open, row);
    return { id, resolvedAt: open.at.toISOString() };
  });
}

/** What a person can do about what an open incident is about. It closes by itself then. */
function whatEnds({ budgetId, model, unpriced, account, drift }: IncidentRow): string {
  if (drift !== null) return "It closes when Claude's figures and Andon's agree again.";
  if (account !== null) return "It closes when Claude answers calls of that account again.";
  if (unpriced !== null) return "Add a price for each of its models, and it closes.";
  if (model !== null) return "It closes when the model answers again, or when the flags are restored over its breaker.";
  if (budgetId !== null) return "Raise the budget or restore its flag, or wait for its reset, and it closes.";
  return "It closes by itself when that ends.";
}

async function requireIncident({ tx, environment }: Change, id: string): Promise<IncidentRow> {
  const rows = await tx
    .select()
    .from(incidents)
    .where(and(eq(incidents.environmentId, environment.id), eq(incidents.id, id)));
  return one(rows, "There is no such incident in this environment.");
}

async function causeStands({ tx, environment, at }: Change, incident: IncidentRow): Promise<boolean> {
  const { budgetId, model, windowStartsAt: startsAt, unpriced, account, drift, watch, triggerAlertId } = incident;
  // Its job alone knows when it is over, and closes it in the same change.
  if (watch !== null) return watch.flags.some(({ endedAtMs }) => endedAtMs === null);
  if (triggerAlertId !== null) return holdsStill(tx, triggerAlertId);
  if (drift !== null) return drift.length > 0;
  if (account !== null) {
    const stands = and(eq(accountFaults.environmentId, environment.id), eq(accountFaults.fault, account));
    return (await tx.$count(accountFaults, stands)) > 0;
  }
  if (unpriced !== null) {
    const calls = await unpricedCalls(tx, environment.id, at.getTime());
    return calls.some((called) => unpriced.some((other) => sameUnpriced(called, other)));
  }
  if (model !== null && startsAt !== null) {
    const ofModel = and(eq(modelBreakers.environmentId, environment.id), eq(modelBreakers.model, model));
    const stands = and(ofModel, eq(modelBreakers.since, startsAt), ne(modelBreakers.state, "closed"));
    return (await tx.$count(modelBreakers, stands)) > 0;
  }
  if (budgetId === null || startsAt === null) return false;
  const windows = await tx
    .select({
      state: budgetWindows.ladderState,
      closedAt: budgetWindows.closedAt,
      overSince: budgetWindows.overSince,
    })
    .from(budgetWindows)
    .where(and(eq(budgetWindows.budgetId, budgetId), eq(budgetWindows.startsAt, startsAt)));
  const window = windows[0];
  if (window !== undefined && window.closedAt === null) {
    if (window.overSince !== null || (window.state?.standing.length ?? 0) > 0) return true;
  }
  const standing = await tx
    .select({ id: trips.id })
    .from(trips)
    .where(
      and(
        eq(trips.budgetId, budgetId),
        eq(trips.windowStartsAt, startsAt),
        isNull(trips.endedAt),
        isNull(trips.overriddenAt),
      ),
    )
    .limit(1);
  return standing.length > 0;
}

/** On-call has seen it. Acknowledging twice keeps the first. */
export async function acknowledgeIncident(
  ctx: Ctx,
  environmentKey: string,
  id: string,
): Promise<Changed<{ id: string; acknowledgedAt: string; acknowledgedBy: string }>> {
  const environment = await requireEnvironment(ctx, environmentKey, "operator");
  return change(ctx, environment.id, async (open) => {
    const { tx, at, record } = open;
    const row = await requireIncident(open, id);
    if (row.acknowledgedAt !== null) {
      return { id, acknowledgedAt: row.acknowledgedAt.toISOString(), acknowledgedBy: row.acknowledgedBy ?? "" };
    }
    await tx.update(incidents).set({ acknowledgedAt: at, acknowledgedBy: ctx.actor.name }).where(eq(incidents.id, id));
    await record({ action: "incident.acknowledged", target: row.title });
    if (row.resolvedAt === null) {
      await enqueue(ctx, open, {
        incidentId: id,
        dedupKey: `${row.cause}:acknowledged:${at.getTime()}`,
        payload: {
          type: "incident.acknowledged",
          ...alertOf(ctx, open, row),
          text: acknowledgedText(ctx.actor.name, row.title),
        },
      });
    }
    return { id, acknowledgedAt: at.toISOString(), acknowledgedBy: ctx.actor.name };
  });
}

function incidentUrl(ctx: Ctx, environmentKey: string): string {
  return `${ctx.deps.config.publicUrl}/e/${environmentKey}/incidents`;
}
