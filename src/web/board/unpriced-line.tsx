/** Calls whose cost is a guess: their model has no price, so that they count at the dearest rate until one is added. */
import type { UnpricedModel } from "../../services/usage/flag-sums.ts";
import { count, listed } from "../text/text.ts";

/** What adding a price takes; there is no form for it. */
const HOW = "/docs#shape-PutPrice";

/** "12 calls today at a model without a price (gpt-9), counted at the dearest rate." Nothing when all had a price. */
export function UnpricedLine({ unpriced }: { unpriced: readonly UnpricedModel[] }) {
  if (unpriced.length === 0) return null;
  const calls = unpriced.reduce((sum, one) => sum + one.calls, 0);
  const at = unpriced.length === 1 ? "a model" : "models";
  return (
    <p class="lag">
      {`${count(calls, "call")} today at ${at} without a price (${listed(unpriced.map(({ model }) => model))}), counted at the dearest rate.`}{" "}
      <a href={HOW}>Add a price…</a> It counts from then on.
    </p>
  );
}
