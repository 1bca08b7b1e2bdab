/** What a price is refused for before it is written, each with its path. */
import type { PriceRow } from "../../../sdk-client/src/wire/price-row.ts";
import { findPriceRow, MAX_EXTRA_PRICE_ROWS, priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import type { Db } from "../../db/types.ts";
import { oddities, removals } from "../../domain/price-sense.ts";
import { AppError, type Fault, invalid } from "../../errors.ts";
import { requireRoom } from "../shared/one.ts";
import { checkModelsEverywhere } from "./known-models.ts";

interface Proposed {
  row: PriceRow;
  /** The rows that operators added beside it. */
  others: readonly PriceRow[];
  /** The model's price so far at that moment. */
  soFar: PriceRow | null;
  /** The row's `validFrom`, Unix time in milliseconds. */
  fromMs: number;
  nowMs: number;
  newModel: boolean;
  unusual: boolean;
}

/** Throws INVALID at the first kind of fault; answers with what is taken and may not be meant. */
export async function checkPrice(db: Db, proposed: Proposed): Promise<string[]> {
  requireReadable(proposed);
  requireSense(proposed);
  return checkModelsEverywhere(db, [{ path: "model", model: proposed.row.model }], proposed.newModel);
}

/** The table itself is the judge of a row: what it refuses would not be priced by. */
function requireReadable({ row, others }: Proposed): void {
  const tooMany = `At most ${MAX_EXTRA_PRICE_ROWS} prices are added. Delete old ones first.`;
  requireRoom(others.length + 1, MAX_EXTRA_PRICE_ROWS, tooMany);
  const { refused, table } = priceTable([...others, row]);
  const [fault] = refused.filter(({ path }) => path.startsWith(`[${others.length}]`));
  if (fault !== undefined) {
    throw invalid(fault.path.replace(/^\[\d+\]\.?/, "").replace(/\[(\d+)\]/g, ".$1"), fault.message);
  }
  const priced = (row.aliases ?? []).findIndex((alias) => table.byModel.has(alias));
  if (priced >= 0) throw invalid(`aliases.${priced}`, "has prices of its own, which would go on counting");
}

function requireSense({ row, others, soFar, fromMs, nowMs, unusual }: Proposed): void {
  if (unusual) return;
  const before = findPriceRow(priceTable(others).table, row.model, fromMs);
  const next = priceTable([...others, row]).table;
  const lost = (soFar?.aliases ?? []).filter((alias) => !next.modelByAlias.has(alias) && !next.byModel.has(alias));
  const faults = [...oddities(row, before, fromMs, nowMs), ...removals(row, soFar, lost)].map((oddity): Fault => {
    return { ...oddity, confirm: "unusual" };
  });
  const [first] = faults;
  if (first !== undefined) throw new AppError("INVALID", `${first.path}: ${first.message}`, { faults });
}
