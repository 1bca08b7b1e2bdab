/**
 * Prices: the built-in list with the rows that operators added or corrected. They are the same for all environments, so a
 * change is a new revision of each: snapshots carry the rows of their chains, and the ledger prices by the rows at once.
 */
import { asc, eq } from "drizzle-orm";
import { parseInstant } from "../../../sdk-client/src/wire/instant.ts";
import { PRICE_LIST } from "../../../sdk-client/src/pricing/price-list.ts";
import type { PriceRow, Rates } from "../../../sdk-client/src/wire/price-row.ts";
import { findPriceRow, type PriceTable, priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { type ChangedPrice, type NewPrice, PICO_PER_USD_PER_MILLION, type PriceResource } from "../../api/price.ts";
import { requireEnvironment, requireScope } from "../../authorize.ts";
import { afterCommit, changeIn } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read, withTransaction } from "../../transaction.ts";
import { priceRows } from "../../db/schema/usage.ts";
import { environments } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import type { AuditEntry } from "../../domain/audit.ts";
import { PRICE_NOTES } from "../../domain/price-notes.ts";
import { AppError } from "../../errors.ts";
import { resolveEndedIncidents } from "../incidents/incidents.ts";
import { one } from "../shared/one.ts";
import { checkPrice } from "./price-checks.ts";
import { countedBefore } from "./price-effect.ts";

/** `added` wins over a built-in row of the same model and moment. */
type StoredPrice = Pick<PriceResource, "source" | "addedBy" | "addedAt" | "reason"> & { row: PriceRow };

/** All rows in force, built-in and added, by model and then newest first. */
export async function listPrices(ctx: Ctx): Promise<{ items: PriceResource[] }> {
  requireScope(ctx.actor, "viewer");
  const added = await read(ctx, readAdded);
  const overridden = new Set(added.map(({ id }) => id));
  const builtIn = PRICE_LIST.filter((row) => !overridden.has(idOf(row))).map((row): StoredPrice => ({
    row,
    source: "builtIn",
    addedBy: null,
    addedAt: null,
    reason: null,
  }));
  const items = [...builtIn, ...added.map(({ price }) => price)].toSorted(
    (a, b) => compare(a.row.model, b.row.model) || fromMs(b.row) - fromMs(a.row),
  );
  const { table } = priceTable(added.map(({ price }) => price.row));
  return { items: items.map((price) => priceResource(price, table, ctx.deps.clock.nowMs())) };
}

/** The same for whoever asks about one environment, with its revision. */
export async function listPricesOf(
  ctx: Ctx,
  environmentKey: string,
): Promise<{ items: PriceResource[]; revision: string }> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const revision = ctx.deps.snapshots.revisionOf(environment.id, environment.revision);
  return { ...(await listPrices(ctx)), revision };
}

/**
 * Adds a row, or corrects the one of the same model and `validFrom` (now when null). For admins of all environments. Calls
 * that were counted before keep their cost; how many that are is answered.
 */
export async function putPrice(
  ctx: Ctx,
  model: string,
  validFrom: string | null,
  { reason, newModel, unusual, ...given }: NewPrice,
): Promise<{ price: ChangedPrice; revisions: ReadonlyMap<string, string> }> {
  const nowMs = ctx.deps.clock.nowMs();
  const key = { model, validFrom: validFrom ?? new Date(nowMs).toISOString() };
  requireAllEnvironments(ctx);
  const id = idOf(key);
  const { value, revisions } = await changeEverywhere(ctx, async (tx, at) => {
    const added = await readAdded(tx);
    const rowsBefore = added.map(({ price }) => price.row);
    const others = added.filter((entry) => entry.id !== id).map(({ price }) => price.row);
    const soFar = soFarOf(priceTable(rowsBefore).table, key);
    const row = rowOf(key, given, soFar);
    const warnings = await checkPrice(tx, {
      row,
      others,
      soFar,
      fromMs: fromMs(row),
      nowMs,
      newModel: newModel === true,
      unusual: unusual === true,
    });
    const set = { row, createdBy: ctx.actor.name, createdAt: at, reason };
    await tx
      .insert(priceRows)
      .values({ id, ...set })
      .onConflictDoUpdate({ target: priceRows.id, set });
    const before = added.find((entry) => entry.id === id)?.price.row ?? builtInOf(id) ?? null;
    const change: PriceChange = {
      action: before === null ? "price.added" : "price.corrected",
      target: row.model,
      reason,
      before,
      after: row,
    };
    const kept = keptWords(given, row);
    return { change, value: { row, at, warnings: [...warnings, ...kept], others, rowsBefore } };
  });
  const { row } = value;
  const after = priceTable([...value.others, row]).table;
  const price = { row, source: "added", addedBy: ctx.actor.name, addedAt: value.at.toISOString(), reason } as const;
  const before = priceTable(value.rowsBefore).table;
  // After the change: what is counted while it is made is told with what came before.
  const counted = await read(ctx, (db) => countedBefore(db, { row, before, after, nowMs }));
  return { price: { ...priceResource(price, after, nowMs), counted, warnings: value.warnings }, revisions };
}

/** The model's price at that moment so far. What is an alias of another model begins a price of its own. */
function soFarOf(table: PriceTable, key: Pick<PriceRow, "model" | "validFrom">): PriceRow | null {
  const found = findPriceRow(table, key.model, fromMs(key));
  if (found?.model !== key.model) return null;
  // Those that were given prices of their own since are aliases no more.
  const aliases = found.aliases?.filter((alias) => !table.byModel.has(alias));
  return { ...found, ...(aliases !== undefined && { aliases }) };
}

/** What is not given stays as the model's price has it so far; null removes it. */
function rowOf(
  key: Pick<PriceRow, "model" | "validFrom">,
  given: Omit<NewPrice, "reason" | "newModel" | "unusual">,
  soFar: PriceRow | null,
): PriceRow {
  const { usdPerMillion, long, fastUsdPerMillion: fast } = given;
  const aliases = given.aliases ?? soFar?.aliases;
  const regionalPremium = given.regionalPremium ?? soFar?.regionalPremium;
  const nextLong =
    long === undefined
      ? soFar?.long
      : long && { abovePromptTokens: long.abovePromptTokens, rates: picoRates(long.usdPerMillion) };
  const nextFast = fast === undefined ? soFar?.fast : fast && picoRates(fast);
  return {
    ...key,
    rates: picoRates(usdPerMillion),
    ...(aliases !== undefined && { aliases }),
    ...(nextLong && { long: nextLong }),
    ...(nextFast && { fast: nextFast }),
    usPremium: given.usPremium ?? soFar?.usPremium ?? true,
    ...(regionalPremium !== undefined && { regionalPremium }),
  };
}

/** What a row has that was not given, so that nobody takes it for new. */
function keptWords({ long, fastUsdPerMillion }: Pick<NewPrice, "long" | "fastUsdPerMillion">, row: PriceRow): string[] {
  const kept = [
    ...(row.fast !== undefined && fastUsdPerMillion === undefined ? ["fast mode"] : []),
    ...(row.long !== undefined && long === undefined ? ["long prompts"] : []),
  ];
  return kept.length === 0 ? [] : [`What ${kept.join(" and ")} cost was not given and stays as it was.`];
}

/** The same, with the revision that it made of one environment. */
export async function putPriceOf(
  ctx: Ctx,
  environmentKey: string,
  model: string,
  validFrom: string | null,
  given: NewPrice,
): Promise<ChangedPrice & { revision: string }> {
  const { id, revision } = await requireEnvironment(ctx, environmentKey, "admin");
  const { price, revisions } = await putPrice(ctx, model, validFrom, given);
  return { ...price, revision: revisions.get(id) ?? ctx.deps.snapshots.revisionOf(id, revision) };
}

/** Removes an added row; a built-in one it stood for is in force again. NOT_FOUND when there is no such added row. */
export async function deletePrice(ctx: Ctx, model: string, validFrom: string, reason?: string): Promise<void> {
  requireAllEnvironments(ctx);
  const id = idOf({ model, validFrom });
  await changeEverywhere(ctx, async (tx) => {
    const gone = await tx.delete(priceRows).where(eq(priceRows.id, id)).returning({ row: priceRows.row });
    const first = one(gone, "No price of this model and moment was added. Built-in prices cannot be deleted.");
    const change: PriceChange = {
      action: "price.deleted",
      target: model,
      before: first.row,
      after: builtInOf(id) ?? null,
      ...(reason !== undefined && { reason }),
    };
    return { change, value: null };
  });
}

type PriceChange = Extract<AuditEntry, { action: "price.added" | "price.corrected" | "price.deleted" }>;

/**
 * One change in every environment: their locks, in the order of their ids, put price changes in one order with each
 * other and with everything else.
 */
async function changeEverywhere<T>(
  ctx: Ctx,
  work: (tx: Db, at: Date) => Promise<{ change: PriceChange; value: T }>,
): Promise<{ value: T; revisions: ReadonlyMap<string, string> }> {
  const { deps } = ctx;
  const done = await withTransaction(ctx, async (tx) => {
    const rows = await tx
      .select({ id: environments.id })
      .from(environments)
      .orderBy(asc(environments.id))
      .for("update");
    const { change, value } = await work(tx, new Date(deps.clock.nowMs()));
    const revisions = new Map<string, string>();
    for (const { id } of rows) {
      const { revision } = await changeIn(ctx, tx, id, async (open) => {
        await open.record(change);
        // A model that was called without a price may have one now.
        await resolveEndedIncidents(ctx, open);
      });
      revisions.set(id, revision);
    }
    return { value, revisions };
  });
  await afterCommit(ctx, () => deps.snapshots.refresh());
  return done;
}

function requireAllEnvironments(ctx: Ctx): void {
  requireScope(ctx.actor, "admin");
  if (ctx.actor.environmentIds !== null) {
    throw new AppError(
      "FORBIDDEN",
      "Prices are the same for all environments: this needs an admin token for all of them.",
    );
  }
}

interface Added {
  id: string;
  price: StoredPrice;
}

async function readAdded(db: Db): Promise<Added[]> {
  const rows = await db.select().from(priceRows).orderBy(asc(priceRows.createdAt), asc(priceRows.id));
  return rows.map(({ id, row, createdBy, createdAt, reason }) => ({
    id,
    price: { row, source: "added", addedBy: createdBy, addedAt: createdAt.toISOString(), reason },
  }));
}

function builtInOf(id: string): PriceRow | undefined {
  return PRICE_LIST.find((row) => idOf(row) === id);
}

/** What makes two rows one: the model and the moment, however it is written. */
function idOf(row: Pick<PriceRow, "model" | "validFrom">): string {
  return `${row.model} ${fromMs(row)}`;
}

function fromMs({ validFrom }: Pick<PriceRow, "validFrom">): number {
  return parseInstant(validFrom) ?? 0;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function priceResource(price: StoredPrice, table: PriceTable, nowMs: number): PriceResource {
  const { row, source, addedBy, addedAt, reason } = price;
  const { model, validFrom, aliases, rates, long, fast, usPremium, regionalPremium } = row;
  return {
    model,
    validFrom,
    aliases: [...(aliases ?? [])],
    usdPerMillion: usdRates(rates),
    long:
      long === undefined ? null : { abovePromptTokens: long.abovePromptTokens, usdPerMillion: usdRates(long.rates) },
    fastUsdPerMillion: fast === undefined ? null : usdRates(fast),
    usPremium,
    regionalPremium: regionalPremium ?? true,
    source,
    addedBy,
    addedAt,
    reason,
    inForce: fromMs(findPriceRow(table, model, nowMs) ?? row) === fromMs(row),
    note: source === "builtIn" ? (PRICE_NOTES[model] ?? null) : null,
  };
}

function picoRates(rates: Rates): Rates {
  return eachRate(rates, (usd) => Math.round(usd * PICO_PER_USD_PER_MILLION));
}

function usdRates(rates: Rates): Rates {
  return eachRate(rates, (pico) => pico / PICO_PER_USD_PER_MILLION);
}

function eachRate(rates: Rates, convert: (rate: number) => number): Rates {
  return {
    input: convert(rates.input),
    output: convert(rates.output),
    cacheWrite5m: convert(rates.cacheWrite5m),
    cacheWrite1h: convert(rates.cacheWrite1h),
    cacheRead: convert(rates.cacheRead),
  };
}
