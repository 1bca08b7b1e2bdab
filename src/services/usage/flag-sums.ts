/**
 * Sums of the ledger for the flags of a board, made by the database: as many rows as there are flags, however many names
 * are in use. What was reported under names that no flag has is one sum, and the few dearest of them by name.
 */
import { and, asc, desc, eq, gt, gte, lt, sql } from "drizzle-orm";
import { findPriceRow, priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { usageMinutes } from "../../db/schema/usage.ts";
import { flags } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import type { Ctx } from "../../deps.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";
import { OTHER, UNDEFINED } from "../../domain/other.ts";
import { Memo } from "../shared/memo.ts";

const TOP_NAMES = 5;
const TOP_UNPRICED = 20;
/** What was called longer ago than this is summed once for a while: most of a day does not change any more. */
const SETTLED_AFTER_MS = 10 * MINUTE_MS;
const SETTLED_KEPT_MS = 30_000;

/** Calls of today that were counted at the dearest rate. */
export interface UnpricedModel {
  model: string;
  calls: number;
  /** It has been given a price since: its calls of now count by that. */
  pricedNow: boolean;
}

export interface UndefinedNames {
  /** Those that cost most, first. */
  top: { name: string; nanoUsd: number; attempts: number }[];
  /** Of the names beside these. */
  rest: { nanoUsd: number; attempts: number };
  /** What was folded into `other`: it came under more names than are counted apart. */
  folded: { nanoUsd: number; attempts: number };
}

export interface DaySums {
  totalNanoUsd: number;
  /** By key, of flags that exist. */
  flags: Map<string, number>;
  undefinedNames: UndefinedNames;
  /** Those with most calls first. */
  unpriced: UnpricedModel[];
}

interface Named {
  name: string;
  isFlag: boolean;
  nanoUsd: number;
  attempts: number;
}

interface Settled {
  untilMs: number;
  sums: Named[];
}

/** The settled part of each environment's day. */
const settled = new Memo<Settled>(SETTLED_KEPT_MS);

/** Of the day that began at `sinceMs`. What comes more than ten minutes late shows within half a minute. */
export async function todaySums(
  ctx: Ctx,
  db: Db,
  environmentId: string,
  { sinceMs, nowMs }: { sinceMs: number; nowMs: number },
): Promise<DaySums> {
  const early = await settled.get(ctx, environmentId, String(sinceMs), () =>
    settledSums(db, environmentId, sinceMs, nowMs),
  );
  const late = await namedSums(db, environmentId, early.untilMs, null);
  const sums = new Map<string, Named>();
  for (const one of [...early.sums, ...late]) {
    const known = sums.get(one.name);
    if (known === undefined) sums.set(one.name, { ...one });
    else {
      known.nanoUsd += one.nanoUsd;
      known.attempts += one.attempts;
    }
  }
  const all = [...sums.values()];
  return {
    totalNanoUsd: all.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0),
    flags: new Map(all.filter(({ isFlag }) => isFlag).map(({ name, nanoUsd }) => [name, nanoUsd])),
    undefinedNames: undefinedOf(all.filter(({ isFlag }) => !isFlag)),
    unpriced: pricedNow(ctx, environmentId, await unpricedSince(db, environmentId, sinceMs), nowMs),
  };
}

function undefinedOf(names: readonly Named[]): UndefinedNames {
  const named = names.filter(({ name }) => name !== OTHER && name !== UNDEFINED);
  const top = named.toSorted((a, b) => b.nanoUsd - a.nanoUsd || b.attempts - a.attempts).slice(0, TOP_NAMES);
  return {
    top: top.map(({ name, nanoUsd, attempts }) => ({ name, nanoUsd, attempts })),
    rest: sumOf(names.filter((one) => one.name !== OTHER && !top.includes(one))),
    folded: sumOf(names.filter(({ name }) => name === OTHER)),
  };
}

function sumOf(names: readonly Named[]): { nanoUsd: number; attempts: number } {
  return {
    nanoUsd: names.reduce((sum, one) => sum + one.nanoUsd, 0),
    attempts: names.reduce((sum, one) => sum + one.attempts, 0),
  };
}

async function settledSums(db: Db, environmentId: string, sinceMs: number, nowMs: number): Promise<Settled> {
  const untilMs = Math.max(sinceMs, Math.floor((nowMs - SETTLED_AFTER_MS) / MINUTE_MS) * MINUTE_MS);
  const sums = untilMs === sinceMs ? [] : await namedSums(db, environmentId, sinceMs, untilMs);
  return { untilMs, sums };
}

const spent = sql`${usageMinutes.exactNanoUsd} + ${usageMinutes.estimatedNanoUsd}`;
const ofMinute = (environmentId: string, sinceMs: number) =>
  and(eq(usageMinutes.environmentId, environmentId), gte(usageMinutes.minute, new Date(sinceMs)));
/** Joins a minute with its flag. */
export const itsFlag = and(eq(flags.environmentId, usageMinutes.environmentId), eq(flags.key, usageMinutes.flag));
/** The key of the joined flag, or `UNDEFINED`. */
export const keyOrUndefined = sql<string>`coalesce(${flags.key}, ${sql.raw(`'${UNDEFINED}'`)})`;

/** All flags, the few dearest other names, what was folded, and what is left as one. */
async function namedSums(db: Db, environmentId: string, sinceMs: number, untilMs: number | null): Promise<Named[]> {
  const inSpan = and(
    ofMinute(environmentId, sinceMs),
    untilMs === null ? undefined : lt(usageMinutes.minute, new Date(untilMs)),
  );
  const sums = db
    .select({
      name: usageMinutes.flag,
      nanoUsd: sql<number>`sum(${spent})`.as("nano_usd"),
      attempts: sql<number>`sum(${usageMinutes.attempts})`.as("attempts"),
    })
    .from(usageMinutes)
    .where(inSpan)
    .groupBy(usageMinutes.flag)
    .as("sums");
  const ranked = db
    .select({
      name: sums.name,
      isFlag: sql<boolean>`${flags.key} is not null`.as("is_flag"),
      nanoUsd: sums.nanoUsd,
      attempts: sums.attempts,
      place:
        sql<number>`row_number() over (partition by ${flags.key} is null, ${sums.name} = ${sql.raw(`'${OTHER}'`)} order by ${sums.nanoUsd} desc, ${sums.name})`.as(
          "place",
        ),
    })
    .from(sums)
    .leftJoin(flags, and(eq(flags.environmentId, environmentId), eq(flags.key, sums.name)))
    .as("ranked");
  const name = sql<string>`case when ${ranked.isFlag} or ${ranked.place} <= ${sql.raw(String(TOP_NAMES))} then ${ranked.name}
    else ${sql.raw(`'${UNDEFINED}'`)} end`;
  return db
    .select({
      name,
      isFlag: ranked.isFlag,
      nanoUsd: sql`sum(${ranked.nanoUsd})`.mapWith(Number),
      attempts: sql`sum(${ranked.attempts})`.mapWith(Number),
    })
    .from(ranked)
    .groupBy(sql`1`, ranked.isFlag);
}

function pricedNow(
  { deps }: Ctx,
  environmentId: string,
  rows: readonly Omit<UnpricedModel, "pricedNow">[],
  nowMs: number,
): UnpricedModel[] {
  if (rows.length === 0) return [];
  // A snapshot has all rows that people added.
  const { table } = priceTable(deps.snapshots.current(environmentId)?.snapshot.prices);
  return rows.map((row) => ({ ...row, pricedNow: findPriceRow(table, row.model, nowMs) !== null }));
}

async function unpricedSince(
  db: Db,
  environmentId: string,
  sinceMs: number,
): Promise<Omit<UnpricedModel, "pricedNow">[]> {
  const calls = sql`sum(${usageMinutes.unpriced})`.mapWith(Number);
  return db
    .select({ model: usageMinutes.model, calls })
    .from(usageMinutes)
    .where(and(ofMinute(environmentId, sinceMs), gt(usageMinutes.unpriced, 0)))
    .groupBy(usageMinutes.model)
    .orderBy(desc(calls), asc(usageMinutes.model))
    .limit(TOP_UNPRICED);
}

export interface Minute {
  minuteMs: number;
  /** `UNDEFINED` for all names that no flag has. */
  flag: string;
  spentNanoUsd: number;
  attempts: number;
  errors: number;
}

/** One row a minute and flag. */
export async function minutesSince(db: Db, environmentId: string, sinceMs: number): Promise<Minute[]> {
  const rows = await db
    .select({
      minute: usageMinutes.minute,
      flag: keyOrUndefined,
      spentNanoUsd: sql`sum(${spent})`.mapWith(Number),
      attempts: sql`sum(${usageMinutes.attempts})`.mapWith(Number),
      errors: sql`sum(${usageMinutes.errors})`.mapWith(Number),
    })
    .from(usageMinutes)
    .leftJoin(flags, itsFlag)
    .where(ofMinute(environmentId, sinceMs))
    .groupBy(usageMinutes.minute, keyOrUndefined);
  return rows.map(({ minute, ...row }) => ({ minuteMs: minute.getTime(), ...row }));
}

/** Attempts by latency bucket, of flags that exist. */
export async function latencySince(db: Db, environmentId: string, sinceMs: number): Promise<Map<string, number[]>> {
  const bucket = sql`bucket.i`.mapWith(Number);
  const rows = await db
    .select({ flag: usageMinutes.flag, bucket, n: sql`sum(bucket.n)`.mapWith(Number) })
    .from(usageMinutes)
    .innerJoin(flags, itsFlag)
    .crossJoin(sql`unnest(${usageMinutes.latency}) with ordinality as bucket(n, i)`)
    .where(ofMinute(environmentId, sinceMs))
    .groupBy(usageMinutes.flag, bucket);
  const sums = new Map<string, number[]>();
  for (const { flag, bucket: at, n } of rows) {
    const sum = sums.get(flag) ?? [];
    sums.set(flag, sum);
    sum[at - 1] = n;
  }
  return sums;
}
