/**
 * Semantic versions (semver.org 2.0.0) for targeting rules: parse strictly, compare by precedence.
 * A leading "v" is allowed, build metadata is ignored, everything else that is not a version is null.
 */

export interface Semver {
  /** Major, minor, patch. */
  readonly core: readonly [number, number, number];
  /** Identifiers after the hyphen; empty for a release. */
  readonly prerelease: readonly string[];
}

/** Longest text read as a version, in characters. */
const MAX_SEMVER_LENGTH = 256;

const NUMBER = "(0|[1-9]\\d*)";
const IDENTIFIER = "(?:0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)";
const SEMVER = new RegExp(
  `^v?${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-(${IDENTIFIER}(?:\\.${IDENTIFIER})*))?(?:\\+[0-9a-zA-Z-]+(?:\\.[0-9a-zA-Z-]+)*)?$`,
);

/** Parses a version; null when the text is not one or a number in it exceeds 2^53 - 1. */
export function parseSemver(text: string): Semver | null {
  if (text.length > MAX_SEMVER_LENGTH) return null;
  const match = SEMVER.exec(text);
  if (match === null) return null;
  const core: [number, number, number] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (!core.every(Number.isSafeInteger)) return null;
  return { core, prerelease: match[4]?.split(".") ?? [] };
}

/** Negative when `a` comes before `b`, 0 for equal precedence, positive when after. */
export function compareSemver(a: Semver, b: Semver): number {
  for (const position of [0, 1, 2] as const) {
    const difference = a.core[position] - b.core[position];
    if (difference !== 0) return difference;
  }
  return comparePrerelease(a.prerelease, b.prerelease);
}

function comparePrerelease(a: readonly string[], b: readonly string[]): number {
  // A release comes after all of its prereleases.
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index++) {
    const order = compareIdentifier(a[index] ?? "", b[index] ?? "");
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareIdentifier(a: string, b: string): number {
  const aIsNumber = isDigits(a);
  const bIsNumber = isDigits(b);
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  // Digits without leading zeros order by length first, which holds for numbers of any size.
  if (aIsNumber && a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function isDigits(text: string): boolean {
  return /^\d+$/.test(text);
}
