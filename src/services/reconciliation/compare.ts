/** Gathers what is compared: the reports that are kept, and the ledger of the environments that they are of. */
import { modelNames } from "../../../sdk-client/src/evaluate/model-names.ts";
import type { Ctx } from "../../deps.ts";
import { NANO_PER_USD } from "../../domain/budget.ts";
import { billedName, compare, type Compared, type LedgerDay, type Places } from "../../domain/reconciliation.ts";
import { dayOf, type Span } from "../../domain/rollups.ts";
import { MAX_SPAN_MS, MAX_USAGE_ROWS } from "../../domain/usage-query.ts";
import { read } from "../../transaction.ts";
import { readPrices } from "../models/price-rows.ts";
import { readUsage } from "../usage/view.ts";
import { readDays, readReports } from "./store.ts";

/** What an environment is held against. */
export type Scope =
  /** The whole organisation and all environments together. */
  | { kind: "whole" }
  /** Its own workspaces or keys. */
  | { kind: "mapped"; places: Places }
  /** Others are known by workspaces, and this one is not. */
  | { kind: "unmapped" };

export function scopeOf({ deps }: Ctx, environmentKey: string): Scope {
  const { workspaces } = deps.config.reconciliation;
  if (workspaces === null) return { kind: "whole" };
  const own = workspaces.get(environmentKey);
  if (own === undefined) return { kind: "unmapped" };
  const others = [...workspaces].flatMap(([key, ids]) => (key === environmentKey ? [] : ids));
  return { kind: "mapped", places: { own: new Set(own), others: new Set(others) } };
}

/** Where a difference of the whole organisation is told. */
export function homeOf({ deps }: Ctx): string | undefined {
  const keys = deps.snapshots.all().map(({ key }) => key);
  return keys.includes("production") ? "production" : keys.toSorted()[0];
}

/** Compares the whole days of a span. The actor must see the environments that it is of. */
export async function compareSpan(
  ctx: Ctx,
  environmentKey: string,
  scope: Exclude<Scope, { kind: "unmapped" }>,
  span: Span,
): Promise<Compared> {
  const { config, snapshots } = ctx.deps;
  const keys = scope.kind === "whole" ? snapshots.all().map(({ key }) => key) : [environmentKey];
  const [reports, readMs, table] = await read(
    ctx,
    async (db) => [await readReports(db, span), await readDays(db, span.fromMs), await readPrices(db)] as const,
  );
  const ledgers: LedgerDay[][] = [];
  let beganMs: number | null = null;
  for (const key of keys) {
    ledgers.push(await ledgerOf(ctx, key, span));
    const firstMs = await beganOf(ctx, key, span.untilMs);
    if (firstMs !== null) beganMs = Math.min(firstMs, beganMs ?? firstMs);
  }
  return compare({
    span,
    ...reports,
    ledger: ledgers.flat(),
    readMs,
    beganMs,
    places: scope.kind === "whole" ? null : scope.places,
    table,
    percent: config.reconciliation.percent,
    minNanoUsd: BigInt(config.reconciliation.minUsd) * BigInt(NANO_PER_USD),
  });
}

async function ledgerOf(ctx: Ctx, environmentKey: string, { fromMs, untilMs }: Span): Promise<LedgerDay[]> {
  const query = { from: new Date(fromMs), to: new Date(untilMs), bucket: "day", groupBy: ["model"] } as const;
  const { items } = await readUsage(ctx, environmentKey, { ...query, groupBy: ["model"] }, MAX_USAGE_ROWS);
  const nameOf = modelNames(ctx.deps.snapshots.environmentByKey(environmentKey)?.snapshot.aliases);
  return items.flatMap(({ at, model = "", tokens, webSearches, costNanoUsd, estimatedNanoUsd }): LedgerDay[] =>
    at === null || tokens === null
      ? []
      : [
          {
            dayMs: Date.parse(at),
            name: billedName(model, nameOf),
            nanoUsd: BigInt(costNanoUsd),
            estimatedNanoUsd: BigInt(estimatedNanoUsd),
            webSearches: webSearches ?? 0,
            tokens: {
              input: BigInt(tokens.input),
              output: BigInt(tokens.output),
              cacheWrite5m: BigInt(tokens.cacheWrite5m),
              cacheWrite1h: BigInt(tokens.cacheWrite1h),
              cacheRead: BigInt(tokens.cacheRead),
            },
          },
        ],
  );
}

/** The day of the first calls that the ledger knows of the last months; null without any. */
async function beganOf(ctx: Ctx, environmentKey: string, untilMs: number): Promise<number | null> {
  const query = { from: new Date(untilMs - MAX_SPAN_MS.day), to: new Date(untilMs), bucket: "day" } as const;
  const [first] = (await readUsage(ctx, environmentKey, query, MAX_USAGE_ROWS)).items;
  return first?.at === null || first === undefined ? null : dayOf(Date.parse(first.at));
}
