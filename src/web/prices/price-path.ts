/** Where a price is added for the first of these models. */
export function pricePathOf(base: string, models: readonly string[]): string {
  const [model] = models;
  return `${base}/prices${model === undefined ? "" : `?model=${encodeURIComponent(model)}`}#price`;
}
