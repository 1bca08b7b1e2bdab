/**
 * A sum on its way out: a number as long as a number holds it exactly, else its digits as text. Sums of records have no
 * bound; the integers of JSON readers end at 2^53.
 */
export type Total = number | string;

/** @param digits a whole number in decimal digits, as the database writes it */
export function totalOf(digits: string): Total {
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : digits;
}
