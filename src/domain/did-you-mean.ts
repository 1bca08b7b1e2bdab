/** The name that was meant, for one that nobody has. Pure: the one measure of similarity, for models, flags and chains. */
import { closestMatch } from "leven";

/** Letters to insert, remove or replace between what was written and what may have been meant. */
const MAX_SLIPS = 3;
/** A name of five letters with three slips is another name. Two letters swapped, the commonest of slips, are two. */
const LETTERS_PER_SLIP = 3;

/** The most similar of `known`; undefined when none is similar. */
export function similarName(name: string, known: Iterable<string>): string | undefined {
  const maxDistance = Math.min(MAX_SLIPS, Math.floor(name.length / LETTERS_PER_SLIP));
  return maxDistance === 0 ? undefined : closestMatch(name, [...known], { maxDistance });
}

/** `; did you mean "support-chat"?`, or nothing. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const similar = similarName(name, known);
  return similar === undefined ? "" : `; did you mean "${similar}"?`;
}
