/** What holding a flag to its chain would cost: its calls of the last 15 minutes, priced at the models they would go to. */
import { and, eq, gte, sql, type SQLWrapper } from "drizzle-orm";
import { planModels } from "../../../sdk-client/src/evaluate/chain-plan.ts";
import { priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import type { PriceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { usageMinutes } from "../../db/schema/money.ts";
import { CALLS_SPAN_MS } from "../../domain/calls.ts";
import { flagInForce, stepsOf } from "../../domain/flag.ts";
import { burnNanoUsdPerHour } from "../../domain/forecast.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";
import { requireFlagAndAround } from "./flags.ts";
import { readPrices } from "../models/price-rows.ts";

export interface HoldMove {
  from: string;
  /** Null: no step is usable, so that these calls are refused. */
  to: string | null;
  attempts: number;
  nowNanoUsdPerHour: number;
  thenNanoUsdPerHour: number;
}

export interface HoldPreview {
  /** All calls of the flag, those that would not move included. */
  nowNanoUsdPerHour: number;
  thenNanoUsdPerHour: number;
  moves: HoldMove[];
}

/** As if it were held now, whether it is or not. */
export async function holdPreview(ctx: Ctx, environmentKey: string, key: string): Promise<HoldPreview> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const nowMs = ctx.deps.clock.nowMs();
  return read(ctx, async (db) => {
    const { flag, around } = await requireFlagAndAround(db, environment, key);
    const steps = stepsOf(flag, around);
    const { level } = flagInForce(flag, around);
    const table = await readPrices(db);
    const minute = new Date(Math.floor((nowMs - CALLS_SPAN_MS) / MINUTE_MS) * MINUTE_MS);
    const rows = await db
      .select({
        model: usageMinutes.model,
        attempts: total(usageMinutes.attempts),
        nanoUsd: total(sql`${usageMinutes.exactNanoUsd} + ${usageMinutes.estimatedNanoUsd}`),
        input: total(usageMinutes.input),
        output: total(usageMinutes.output),
        cacheWrite5m: total(usageMinutes.cacheWrite5m),
        cacheWrite1h: total(usageMinutes.cacheWrite1h),
        cacheRead: total(usageMinutes.cacheRead),
      })
      .from(usageMinutes)
      .where(
        and(
          eq(usageMinutes.environmentId, environment.id),
          eq(usageMinutes.flag, key),
          gte(usageMinutes.minute, minute),
        ),
      )
      .groupBy(usageMinutes.model);
    const priced = rows.map((row) => {
      const plan = { requested: row.model, steps, level, chainOnly: true, models: around.models, nowMs };
      const to = planModels(plan)[0]?.model ?? null;
      return { ...row, to, then: to === null ? 0 : costAt(table, row, to, nowMs) };
    });
    const sum = (pick: (row: (typeof priced)[number]) => number) =>
      perHour(priced.reduce((all, row) => all + pick(row), 0));
    return {
      nowNanoUsdPerHour: sum((row) => row.nanoUsd),
      thenNanoUsdPerHour: sum((row) => row.then),
      moves: priced
        .filter(({ to, model }) => to !== model)
        .map(({ model, to, attempts, nanoUsd, then }) => ({
          from: model,
          to,
          attempts,
          nowNanoUsdPerHour: perHour(nanoUsd),
          thenNanoUsdPerHour: perHour(then),
        }))
        .toSorted((a, b) => b.nowNanoUsdPerHour - a.nowNanoUsdPerHour),
    };
  });
}

const total = (column: SQLWrapper) => sql`sum(${column})`.mapWith(Number);

const perHour = (nanoUsd: number): number => burnNanoUsdPerHour(Math.ceil(nanoUsd), CALLS_SPAN_MS);

interface Sums {
  model: string;
  attempts: number;
  nanoUsd: number;
  input: number;
  output: number;
  cacheWrite5m: number;
  cacheWrite1h: number;
  cacheRead: number;
}

/** By the ratio of what an average call costs at both models: discounts stay, and thresholds see one call's prompt. */
function costAt(table: PriceTable, sums: Sums, to: string, nowMs: number): number {
  const each = (count: number): number => Math.ceil(count / Math.max(1, sums.attempts));
  const usage = {
    input: each(sums.input),
    output: each(sums.output),
    cacheWrite5m: each(sums.cacheWrite5m),
    cacheWrite1h: each(sums.cacheWrite1h),
    cacheRead: each(sums.cacheRead),
    webSearches: 0,
  };
  const [was, then] = [sums.model, to].map((model) => priceUsage(table, { model, atMs: nowMs, usage }).costNanoUsd);
  return was === undefined || then === undefined || was === 0 ? sums.nanoUsd : (sums.nanoUsd * then) / was;
}
