/** What holding a flag to its chain would cost: its calls of the last 15 minutes, priced at the models they would go to. */
import { planModels } from "../../../sdk-client/src/evaluate/chain-plan.ts";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { CALLS_SPAN_MS } from "../../domain/calls.ts";
import { flagInForce, stepsOf } from "../../domain/flag.ts";
import { burnNanoUsdPerHour } from "../../domain/forecast.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";
import { costAt, modelSums } from "./model-sums.ts";
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
    const minuteMs = Math.floor((nowMs - CALLS_SPAN_MS) / MINUTE_MS) * MINUTE_MS;
    const rows = await modelSums(db, environment.id, key, minuteMs);
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

const perHour = (nanoUsd: number): number => burnNanoUsdPerHour(Math.ceil(nanoUsd), CALLS_SPAN_MS);
