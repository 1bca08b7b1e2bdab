/**
 * Prices: the built-in list with the rows that operators added or corrected. They are the same for all environments, so a
 * change is a new revision of each: snapshots carry the rows of their chains, and the ledger prices by the rows at once.
 */
import { asc, eq } from "drizzle-orm";
import { parseInstant } from "../../../sdk-client/src/wire/instant.ts";
import { PRICE_LIST } from "../../../sdk-client/src/pricing/price-list.ts";
import type { PriceRow, Rates } from "../../../sdk-client/src/wire/price-row.ts";
import { MAX_EXTRA_PRICE_ROWS, priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { type NewPrice, PICO_PER_USD_PER_MILLION, type PriceResource } from "../../api/price.ts";
import { requireScope } from "../../authorize.ts";
import { afterCommit, changeIn } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { read, withTransaction } from "../../transaction.ts";
import { priceRows } from "../../db/schema/money.ts";
import { environments } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import type { AuditEntry } from "../../domain/audit.ts";
import { AppError, invalid } from "../../errors.ts";
import { one, requireRoom } from "../shared/one.ts";

/** `added` wins over a built-in row of the same model and moment. */
type StoredPrice = Pick<PriceResource, "source" | "addedBy" | "addedAt"> & { row: PriceRow };

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
  }));
  const items = [...builtIn, ...added.map(({ price }) => price)].toSorted(
    (a, b) => compare(a.row.model, b.row.model) || fromMs(b.row) - fromMs(a.row),
  );
  return { items: items.map(priceResource) };
}

/** Adds a row, or corrects the one of the same model and `validFrom`. For admins of all environments. */
export async function putPrice(
  ctx: Ctx,
  model: string,
  validFrom: string,
  { reason, ...given }: NewPrice,
): Promise<PriceResource> {
  const row: PriceRow = {
    model,
    validFrom,
    rates: picoRates(given.usdPerMillion),
    ...(given.aliases !== undefined && { aliases: given.aliases }),
    ...(given.long !== undefined && {
      long: { abovePromptTokens: given.long.abovePromptTokens, rates: picoRates(given.long.usdPerMillion) },
    }),
    ...(given.fastUsdPerMillion !== undefined && { fast: picoRates(given.fastUsdPerMillion) }),
    usPremium: given.usPremium,
    ...(given.regionalPremium !== undefined && { regionalPremium: given.regionalPremium }),
  };
  requireAllEnvironments(ctx);
  await changeEverywhere(ctx, async (tx, at) => {
    const added = await readAdded(tx);
    const id = idOf(row);
    const others = added.filter((entry) => entry.id !== id);
    requireValid(others, row);
    await tx
      .insert(priceRows)
      .values({ id, row, createdBy: ctx.actor.name, createdAt: at })
      .onConflictDoUpdate({ target: priceRows.id, set: { row, createdBy: ctx.actor.name, createdAt: at } });
    const before = added.find((entry) => entry.id === id)?.price.row ?? builtInOf(id) ?? null;
    return {
      action: before === null ? "price.added" : "price.corrected",
      target: row.model,
      reason,
      before,
      after: row,
    };
  });
  const addedAt = new Date(ctx.deps.clock.nowMs()).toISOString();
  return priceResource({ row, source: "added", addedBy: ctx.actor.name, addedAt });
}

/** Removes an added row; a built-in one it stood for is in force again. NOT_FOUND when there is no such added row. */
export async function deletePrice(ctx: Ctx, model: string, validFrom: string): Promise<void> {
  requireAllEnvironments(ctx);
  const id = idOf({ model, validFrom });
  await changeEverywhere(ctx, async (tx) => {
    const gone = await tx.delete(priceRows).where(eq(priceRows.id, id)).returning({ row: priceRows.row });
    const first = one(gone, "No price of this model and moment was added. Built-in prices cannot be deleted.");
    return { action: "price.deleted", target: model, before: first.row, after: builtInOf(id) ?? null };
  });
}

type PriceChange = Extract<AuditEntry, { action: "price.added" | "price.corrected" | "price.deleted" }>;

/**
 * One change in every environment: their locks, in the order of their ids, put price changes in one order with each
 * other and with everything else.
 */
async function changeEverywhere(ctx: Ctx, work: (tx: Db, at: Date) => Promise<PriceChange>): Promise<void> {
  const { deps } = ctx;
  await withTransaction(ctx, async (tx) => {
    const rows = await tx
      .select({ id: environments.id })
      .from(environments)
      .orderBy(asc(environments.id))
      .for("update");
    const made = await work(tx, new Date(deps.clock.nowMs()));
    for (const { id } of rows) {
      await changeIn(ctx, tx, id, ({ record }) => record(made));
    }
  });
  await afterCommit(ctx, () => deps.snapshots.refresh());
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

/** The table itself is the judge of a row: what it refuses would not be priced by. */
function requireValid(others: readonly Added[], row: PriceRow): void {
  const tooMany = `At most ${MAX_EXTRA_PRICE_ROWS} prices are added. Delete old ones first.`;
  requireRoom(others.length + 1, MAX_EXTRA_PRICE_ROWS, tooMany);
  const { refused } = priceTable([...others.map(({ price }) => price.row), row]);
  const [fault] = refused.filter(({ path }) => path.startsWith(`[${others.length}]`));
  if (fault === undefined) return;
  throw invalid(fault.path.replace(/^\[\d+\]\.?/, "").replace(/\[(\d+)\]/g, ".$1"), fault.message);
}

interface Added {
  id: string;
  price: StoredPrice;
}

async function readAdded(db: Db): Promise<Added[]> {
  const rows = await db.select().from(priceRows).orderBy(asc(priceRows.createdAt), asc(priceRows.id));
  return rows.map(({ id, row, createdBy, createdAt }) => ({
    id,
    price: { row, source: "added", addedBy: createdBy, addedAt: createdAt.toISOString() },
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

function priceResource({ row, source, addedBy, addedAt }: StoredPrice): PriceResource {
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
