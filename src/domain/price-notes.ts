/** What is not certain about built-in prices, as it is shown beside them. */

/** By model. A row that an operator added has no such note. */
export const PRICE_NOTES: Readonly<Record<string, string>> = {
  "claude-fable-5-2": "From third parties: the provider's own list did not have it yet.",
  "claude-mythos-5-2": "Assumed: no price is published. Each Mythos has cost what its Fable costs.",
};
