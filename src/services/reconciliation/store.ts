/** The reports as they are kept. Invariant: the rows of a day are those of one reading, and `provider_days` says which. */
import { and, gte, lt, sql } from "drizzle-orm";
import { providerCosts, providerDays, providerUsage } from "../../db/schema/reconciliation.ts";
import type { Db } from "../../db/types.ts";
import type { ProviderCost, ProviderUsage } from "../../domain/provider-report.ts";
import { DAY_MS, type Span } from "../../domain/rollups.ts";

/** How long reports are kept. */
const KEPT_MS = 400 * DAY_MS;
const ROWS_AT_ONCE = 1_000;

export interface Reports {
  usage: ProviderUsage[];
  costs: ProviderCost[];
}

/** When each day was last read, by its midnight in UTC; Unix times in milliseconds. */
export async function readDays(db: Db, fromMs: number): Promise<Map<number, number>> {
  const rows = await db
    .select()
    .from(providerDays)
    .where(gte(providerDays.day, new Date(fromMs)));
  return new Map(rows.map(({ day, readAt }) => [day.getTime(), readAt.getTime()]));
}

/** Replaces the days of the span with what was read of them. */
export async function keepReports(tx: Db, span: Span, reports: Reports, nowMs: number): Promise<void> {
  for (const table of [providerUsage, providerCosts]) {
    await tx.delete(table).where(and(gte(table.day, new Date(span.fromMs)), lt(table.day, new Date(span.untilMs))));
    await tx.delete(table).where(lt(table.day, new Date(nowMs - KEPT_MS)));
  }
  await tx.delete(providerDays).where(lt(providerDays.day, new Date(nowMs - KEPT_MS)));
  const usage = reports.usage.filter(({ dayMs }) => isIn(span, dayMs));
  for (const rows of inPieces(summed(usage, usageKey, plusUsage))) {
    await tx.insert(providerUsage).values(
      rows.map(({ dayMs, tokens: { input, output, cacheWrite5m, cacheWrite1h, cacheRead }, ...row }) => ({
        ...row,
        day: new Date(dayMs),
        input: Number(input),
        output: Number(output),
        cacheWrite5m: Number(cacheWrite5m),
        cacheWrite1h: Number(cacheWrite1h),
        cacheRead: Number(cacheRead),
      })),
    );
  }
  const costs = reports.costs.filter(({ dayMs }) => isIn(span, dayMs));
  for (const rows of inPieces(summed(costs, costKey, plusCost))) {
    await tx.insert(providerCosts).values(rows.map(({ dayMs, ...row }) => ({ ...row, day: new Date(dayMs) })));
  }
  const readAt = new Date(nowMs);
  for (let dayMs = span.fromMs; dayMs < span.untilMs; dayMs += DAY_MS) {
    await tx
      .insert(providerDays)
      .values({ day: new Date(dayMs), readAt })
      .onConflictDoUpdate({ target: providerDays.day, set: { readAt } });
  }
}

/** What is kept of the days of the span. */
export async function readReports(db: Db, { fromMs, untilMs }: Span): Promise<Reports> {
  const inSpan = (table: typeof providerUsage | typeof providerCosts) =>
    and(gte(table.day, new Date(fromMs)), lt(table.day, new Date(untilMs)));
  const usage = await db.select().from(providerUsage).where(inSpan(providerUsage));
  const costs = await db.select().from(providerCosts).where(inSpan(providerCosts));
  return {
    usage: usage.map(({ day, input, output, cacheWrite5m, cacheWrite1h, cacheRead, ...row }) => ({
      ...row,
      dayMs: day.getTime(),
      tokens: {
        input: BigInt(input),
        output: BigInt(output),
        cacheWrite5m: BigInt(cacheWrite5m),
        cacheWrite1h: BigInt(cacheWrite1h),
        cacheRead: BigInt(cacheRead),
      },
    })),
    costs: costs.map(({ day, ...row }) => ({ ...row, dayMs: day.getTime() })),
  };
}

/** All of it, when it was asked for by other settings. */
export async function forgetReports(tx: Db): Promise<void> {
  for (const table of [providerUsage, providerCosts, providerDays]) await tx.delete(table).where(sql`true`);
}

function isIn({ fromMs, untilMs }: Span, dayMs: number): boolean {
  return dayMs >= fromMs && dayMs < untilMs;
}

/** Rows that came apart and have one key here are one. */
function summed<R>(rows: readonly R[], keyOf: (row: R) => string, plus: (a: R, b: R) => R): R[] {
  const byKey = new Map<string, R>();
  for (const row of rows) {
    const key = keyOf(row);
    const known = byKey.get(key);
    byKey.set(key, known === undefined ? row : plus(known, row));
  }
  return [...byKey.values()];
}

const usageKey = (row: ProviderUsage): string =>
  JSON.stringify([row.dayMs, row.workspace, row.apiKey, row.model, row.tier, row.contextWindow, row.geo]);
const costKey = (row: ProviderCost): string => JSON.stringify([row.dayMs, row.workspace, row.kind, row.model]);

function plusUsage(a: ProviderUsage, b: ProviderUsage): ProviderUsage {
  return {
    ...a,
    tokens: {
      input: a.tokens.input + b.tokens.input,
      output: a.tokens.output + b.tokens.output,
      cacheWrite5m: a.tokens.cacheWrite5m + b.tokens.cacheWrite5m,
      cacheWrite1h: a.tokens.cacheWrite1h + b.tokens.cacheWrite1h,
      cacheRead: a.tokens.cacheRead + b.tokens.cacheRead,
    },
    webSearches: a.webSearches + b.webSearches,
  };
}

function plusCost(a: ProviderCost, b: ProviderCost): ProviderCost {
  return { ...a, nanoUsd: a.nanoUsd + b.nanoUsd };
}

function inPieces<R>(rows: readonly R[]): R[][] {
  const pieces: R[][] = [];
  for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) pieces.push(rows.slice(at, at + ROWS_AT_ONCE));
  return pieces;
}
