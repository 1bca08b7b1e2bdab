/**
 * Burn: spending per hour over one window, the same for flags, budgets and the environment, so that sums of what is shown
 * are what is shown. Invariant: never less than what was spent in the window, scaled to an hour.
 */
import type { NameOf } from "../../sdk-client/src/evaluate/model-names.ts";
import { type BudgetScope, subjectOf } from "./budget.ts";
import { burnNanoUsdPerHour } from "./forecast.ts";
import { MINUTE_MS } from "./ledger.ts";

/** The window; it begins with a whole minute. */
export const BURN_SPAN_MS = 5 * MINUTE_MS;
/** How the window is called beside a figure. */
export const BURN_SPAN_WORDS = "last 5 min";
/** What began within the window is measured since then, as soon as so many attempts make it more than chance. */
const YOUNG_MIN_ATTEMPTS = 10;
/** And over no less. */
const YOUNG_MIN_SPAN_MS = 10_000;

export interface MinuteSpent {
  flag: string;
  model: string;
  /** Beginning of the minute, Unix time in milliseconds. */
  at: number;
  nanoUsd: number;
  attempts: number;
}

export interface BurnRow {
  flag: string;
  model: string;
  nanoUsdPerHour: number;
}

/** Where the window begins, Unix time in milliseconds. */
export function burnSinceMs(nowMs: number): number {
  return Math.floor((nowMs - BURN_SPAN_MS) / MINUTE_MS) * MINUTE_MS;
}

/**
 * What each flag burns on each model.
 * @param minutes of the window at least; what is older does not count
 * @param firstMs when the first call of the last minute ended, by flag
 */
export function burnRows(
  minutes: readonly MinuteSpent[],
  firstMs: ReadonlyMap<string, number>,
  nowMs: number,
): BurnRow[] {
  const sinceMs = burnSinceMs(nowMs);
  const byFlag = new Map<string, MinuteSpent[]>();
  for (const minute of minutes) {
    if (minute.at < sinceMs) continue;
    const own = byFlag.get(minute.flag);
    if (own === undefined) byFlag.set(minute.flag, [minute]);
    else own.push(minute);
  }
  return [...byFlag].flatMap(([flag, own]) => {
    const spanMs = spanOf(own, firstMs.get(flag), nowMs);
    return [...sumsByModel(own)].map(([model, nanoUsd]) => ({
      flag,
      model,
      nanoUsdPerHour: burnNanoUsdPerHour(nanoUsd, spanMs),
    }));
  });
}

/** The burn of all that counts against a scope; `{}` is the whole environment. */
export function burnOfScope(rows: readonly BurnRow[], scope: BudgetScope, nameOf: NameOf): number {
  return rows.reduce((sum, row) => (subjectOf(scope, row, nameOf) === null ? sum : sum + row.nanoUsdPerHour), 0);
}

function spanOf(minutes: readonly MinuteSpent[], firstMs: number | undefined, nowMs: number): number {
  const attempts = minutes.reduce((sum, one) => sum + one.attempts, 0);
  return burnSpanMs({ attempts, firstMinuteMs: Math.min(...minutes.map(({ at }) => at)), firstMs }, nowMs);
}

/** What was spent within the window that ends at `nowMs` is divided by this. `firstMs` as for `burnRows`. */
export function burnSpanMs(
  { attempts, firstMinuteMs, firstMs }: { attempts: number; firstMinuteMs: number; firstMs: number | undefined },
  nowMs: number,
): number {
  const fullMs = nowMs - burnSinceMs(nowMs);
  if (attempts < YOUNG_MIN_ATTEMPTS) return fullMs;
  const isYoung = firstMs !== undefined && Math.floor(firstMs / MINUTE_MS) * MINUTE_MS === firstMinuteMs;
  const began = isYoung ? firstMs : firstMinuteMs;
  return Math.min(fullMs, Math.max(YOUNG_MIN_SPAN_MS, Math.ceil(nowMs - began)));
}

function sumsByModel(minutes: readonly MinuteSpent[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { model, nanoUsd } of minutes) sums.set(model, (sums.get(model) ?? 0) + nanoUsd);
  return sums;
}
