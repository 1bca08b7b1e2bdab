/** Order statistics of samples. Pure; an empty list has none and throws, as a figure of nothing would be a lie. */

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** The sample below which the share `q` (0 to 1) of all samples lies, between two samples by interpolation. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * Math.min(Math.max(q, 0), 1);
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) throw new Error("no samples to take a quantile of");
  return below + (above - below) * (position - Math.floor(position));
}
