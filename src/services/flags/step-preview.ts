/**
 * What a flag would burn on each step of its chain: the figure for burn that the board shows, times what its calls of the
 * same window would have cost on the models they would go to. By the tokens as recorded and the one pricer.
 */
import { planModels } from "../../../sdk-client/src/evaluate/chain-plan.ts";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { burnSinceMs } from "../../domain/burn.ts";
import { flagResource } from "./resource.ts";
import { stepsOf } from "../../domain/flag.ts";
import { read } from "../../transaction.ts";
import { boardMoney } from "../board/money.ts";
import { readPrices } from "../models/price-rows.ts";
import { requireFlagAndAround } from "./flags.ts";
import { costAt, modelSums } from "./model-sums.ts";

export interface StepPreview {
  /** In the window of burn. */
  attempts: number;
  nowNanoUsdPerHour: number;
  /** By position in the chain. */
  then: readonly StepThen[];
}

export interface StepThen {
  nanoUsdPerHour: number;
  /** A step back up: who asked for which model is not recorded, so all are taken to ask for this step's. */
  isCeiling: boolean;
  /** Of the attempts, those for which no step would be usable. */
  refused: number;
}

/** Null for a flag that is off: it burns nothing, on whatever step. */
export async function stepPreview(ctx: Ctx, environmentKey: string, key: string): Promise<StepPreview | null> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const money = await boardMoney(ctx, environmentKey);
  const nowMs = ctx.deps.clock.nowMs();
  return read(ctx, async (db) => {
    const { flag, around } = await requireFlagAndAround(db, environment, key);
    const {
      level: { level },
      effective,
    } = flagResource(flag, around, undefined);
    if (effective.state === "off") return null;
    const steps = stepsOf(flag, around);
    const table = await readPrices(db);
    const rows = await modelSums(db, environment.id, key, burnSinceMs(nowMs));
    const spent = rows.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0);
    const burn = money.flags.get(key)?.burnNanoUsdPerHour ?? 0;
    const names = new Set(steps.map(({ model }) => around.models.nameOf(model)));
    const then = steps.map((step, position): StepThen => {
      const isCeiling = position < level;
      const plan = { steps, level: position, chainOnly: flag.chainOnly, models: around.models, nowMs };
      const priced = rows.map((row) => {
        const requested = isCeiling && names.has(around.models.nameOf(row.model)) ? step.model : row.model;
        const to = planModels({ ...plan, requested })[0]?.model ?? null;
        return { row, to, nanoUsd: to === null ? 0 : costAt(table, row, to, nowMs) };
      });
      const cost = priced.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0);
      const refused = priced.reduce((sum, { row, to }) => (to === null ? sum + row.attempts : sum), 0);
      return { nanoUsdPerHour: spent === 0 ? 0 : Math.ceil((burn * cost) / spent), isCeiling, refused };
    });
    return { attempts: rows.reduce((sum, { attempts }) => sum + attempts, 0), nowNanoUsdPerHour: burn, then };
  });
}
