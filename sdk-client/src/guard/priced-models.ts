/** The models of the current snapshot with their prices, which the core of the client does without. */
import type { ModelNames } from "../evaluate/model-names.ts";
import { type ModelTable, withPrices } from "../evaluate/model-table.ts";
import type { GuardHost } from "../guard-host.ts";
import { type PriceTable, priceTable } from "../pricing/price-table.ts";

/** Of each snapshot, as long as it decides. */
const tables = new WeakMap<ModelNames, ModelTable>();

/** What `host.models` knows, and what each model costs: a malformed row is left out and said once in the log. */
export function pricedModels({
  models,
  logger,
}: Pick<GuardHost, "models"> & { logger: Pick<GuardHost["logger"], "warn"> }): ModelTable {
  const known = tables.get(models);
  if (known !== undefined) return known;
  const made = withPrices(models, (): PriceTable => {
    const { table, refused } = priceTable(models.priceRows);
    for (const { path, message } of refused) {
      logger.warn({ at: `prices${path}: ${message}` }, "A price row of the snapshot is malformed and was left out");
    }
    return table;
  });
  tables.set(models, made);
  return made;
}
