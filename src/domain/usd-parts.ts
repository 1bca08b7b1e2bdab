/**
 * The parts of a sum as people read them. Pure. Invariant: the figures shown add up to the sum shown, to the cent: each
 * part alone rounded up would show more than there is.
 */
import { usd } from "./alert-text.ts";

const NANO_PER_CENT = 10_000_000n;
/** A part that there was no cent for, and that is not nothing. */
const UNDER_A_CENT = "< $0.01";

/**
 * Their sum is rounded up to a cent, as everywhere. Each part is rounded down, and the cents that are left go to those that
 * lost most by it (the method of largest remainders).
 * @param partsNanoUsd all parts of the sum
 */
export function usdParts(partsNanoUsd: readonly bigint[]): string[] {
  const cents = partsNanoUsd.map((part) => part / NANO_PER_CENT);
  const wholeCents = (total(partsNanoUsd) + NANO_PER_CENT - 1n) / NANO_PER_CENT;
  const byLoss = partsNanoUsd
    .map((part, at) => ({ at, loss: part % NANO_PER_CENT }))
    .toSorted((a, b) => (a.loss === b.loss ? a.at - b.at : a.loss < b.loss ? 1 : -1));
  for (const { at } of byLoss.slice(0, Number(wholeCents - total(cents)))) cents[at] = (cents[at] ?? 0n) + 1n;
  return partsNanoUsd.map((part, at) => {
    const own = cents[at] ?? 0n;
    return own === 0n && part > 0n ? UNDER_A_CENT : usd(Number(own * NANO_PER_CENT));
  });
}

function total(parts: readonly bigint[]): bigint {
  return parts.reduce((sum, part) => sum + part, 0n);
}
