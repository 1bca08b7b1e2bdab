/** Reads what a flag's checklist is computed from. */
import { findPriceRow } from "../../../sdk-client/src/pricing/price-table.ts";
import type { BudgetResource } from "../../api/budget.ts";
import type { FlagResource } from "../../api/flag.ts";
import type { IncidentResource } from "../../api/incident.ts";
import type { Readiness } from "../../api/readiness.ts";
import type { Ctx } from "../../deps.ts";
import { type Fleet, someIn } from "../../domain/fleet.ts";
import { readiness } from "../../domain/readiness.ts";
import { read } from "../../transaction.ts";
import { listChannels } from "../alerts/channels.ts";
import { listBudgets } from "../budgets/view.ts";
import { getFlag } from "../flags/flags.ts";
import { listIncidents } from "../incidents/view.ts";
import { fleetOf } from "../instances/fleet.ts";
import { readPrices } from "../models/price-rows.ts";
import { listDrills } from "./drills.ts";

const MAX_INCIDENTS = 50;

/** The checklist of a flag as it stands now. NOT_FOUND without such a flag. */
export async function flagReadiness(ctx: Ctx, environmentKey: string, key: string): Promise<Readiness> {
  const [flag, fleet, incidents] = await Promise.all([
    getFlag(ctx, environmentKey, key),
    fleetOf(ctx, environmentKey),
    listIncidents(ctx, environmentKey, { open: true, limit: MAX_INCIDENTS }),
  ]);
  return readinessOf(ctx, environmentKey, { flag, fleet, incidents: incidents.items });
}

interface KnownState {
  flag: FlagResource;
  fleet: Fleet;
  /** Those that are open. */
  incidents: readonly IncidentResource[];
}

/** The same for who has read this much of it already. */
export async function readinessOf(
  ctx: Ctx,
  environmentKey: string,
  { flag, fleet, incidents }: KnownState,
): Promise<Readiness> {
  const { key } = flag;
  const [budgets, channels, drills, prices] = await Promise.all([
    listBudgets(ctx, environmentKey),
    listChannels(ctx, environmentKey),
    listDrills(ctx, environmentKey, key),
    read(ctx, readPrices),
  ]);
  const nowMs = ctx.deps.clock.nowMs();
  const ended = drills.filter(({ state }) => state === "proven" || state === "unproven");
  const [last] = ended;
  const provenAt = ended.find(({ state }) => state === "proven")?.finishedAt ?? null;
  const lines = readiness({
    nowMs,
    liveInstances: someIn(fleet, "live").count,
    evaluatedAtMs: msOf(flag.evaluated?.at),
    guardedAtMs: msOf(flag.guarded?.at),
    budgets: budgets.items
      .filter((budget) => isAboutAllOf(budget, flag))
      .map(({ name, ladder }) => ({ name, alerts: ladder.length > 0 })),
    channels: channels.items
      .filter(({ escalateAfterMinutes }) => escalateAfterMinutes === null)
      .map(({ name, testedAt, testResult }) => ({ name, testedAtMs: msOf(testedAt), result: testResult })),
    lastDrill: last === undefined ? null : { state: last.state, atMs: Date.parse(last.startedAt) },
    provenAtMs: msOf(provenAt),
    stepPrices: flag.steps.map(({ model }) => findPriceRow(prices, model, nowMs)?.rates.output ?? null),
    hasLimits: Object.values(flag.limits).some((own) => own !== undefined && Object.keys(own).length > 0),
    hasCaps: flag.maxInputBytes !== null || flag.maxOutputTokens !== null,
    offMode: flag.offMode,
    offMessage: flag.offMessage,
    owner: flag.owner,
    runbookUrl: flag.runbookUrl,
    failing: incidents
      .filter(({ watch }) => watch?.flags.some((one) => one.flag === key && one.endedAt === null) === true)
      .filter(({ watch }) => watch?.kind !== "burn" && watch?.kind !== "largeCall")
      .map(({ title }) => title),
  });
  return {
    flag: key,
    ok: lines.filter(({ state }) => state === "ok").length,
    of: lines.length,
    provenAt,
    lines,
  };
}

const msOf = (at: string | null | undefined): number | null =>
  at === null || at === undefined ? null : Date.parse(at);

/** Every call of the flag counts against it: it is about no part of them. */
function isAboutAllOf({ scope, paused }: BudgetResource, { key, tags }: FlagResource): boolean {
  const isPart = scope.model !== undefined || scope.user !== undefined || scope.session !== undefined;
  const isOfFlag = scope.flag === undefined || scope.flag === key;
  return !paused && !isPart && isOfFlag && (scope.tag === undefined || tags.includes(scope.tag));
}
