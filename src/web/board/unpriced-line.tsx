/** Calls whose cost is a guess: their model had no price, so that they count at the dearest rate until one is added. */
import type { UnpricedModel } from "../../services/usage/flag-sums.ts";
import { pricePathOf } from "../prices/price-path.ts";
import { count, listed } from "../text/text.ts";

/**
 * "12 calls today at a model without a price (gpt-9), counted at the dearest rate." Nothing when all had a price. One that
 * has been given a price since is told until the day is over, and asks for nothing.
 */
export function UnpricedLine({ unpriced, base }: { unpriced: readonly UnpricedModel[]; base: string }) {
  if (unpriced.length === 0) return null;
  const calls = unpriced.reduce((sum, one) => sum + one.calls, 0);
  const at = unpriced.length === 1 ? "a model" : "models";
  const names = listed(unpriced.map(({ model }) => model));
  const open = unpriced.filter(({ pricedNow }) => !pricedNow).map(({ model }) => model);
  return (
    <p class="lag">
      {`${count(calls, "call")} today at ${at} without a price (${names}), counted at the dearest rate.`}{" "}
      {open.length === 0 ? (
        "A price has been added since."
      ) : (
        <>
          <a href={pricePathOf(base, open)}>Add a price…</a> It counts from then on.
        </>
      )}
    </p>
  );
}
