/** The name that was meant, for one that nobody has. Pure: the one measure of similarity, for models, flags and chains. */
import { closestMatch } from "leven";

/** Letters to insert, remove or replace between what was written and what may have been meant. */
const MAX_SLIPS = 3;
/** A name of five letters with three slips is another name. Neighbours swapped, the commonest of slips, are one in any. */
const LETTERS_PER_SLIP = 3;

/** The most similar of `known`; undefined when none is similar. */
export function similarName(name: string, known: Iterable<string>): string | undefined {
  const names = [...known];
  const swapped = names.find((other) => isSwapped(name, other));
  if (swapped !== undefined) return swapped;
  const maxDistance = Math.min(MAX_SLIPS, Math.floor(name.length / LETTERS_PER_SLIP));
  return maxDistance === 0 ? undefined : closestMatch(name, names, { maxDistance });
}

/** Whether the two differ by neighbouring letters that changed places, and by nothing else. */
function isSwapped(a: string, b: string): boolean {
  if (a.length !== b.length || a.length < LETTERS_PER_SLIP) return false;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  return at < a.length - 1 && a.slice(at, at + 2) === `${b[at + 1]}${b[at]}` && a.slice(at + 2) === b.slice(at + 2);
}

/** `; did you mean "support-chat"?`, or nothing. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const similar = similarName(name, known);
  return similar === undefined ? "" : `; did you mean "${similar}"?`;
}
