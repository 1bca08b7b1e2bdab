/** How much of a conversation a model takes. */

/**
 * The models with the large window, by the names they are compared by (platform.claude.com, "Context windows", read on
 * 2026-11-27). All others have the small one.
 */
const LARGE = /^claude-(?:(?:opus|sonnet|fable|mythos)-[5-9]|(?:opus|sonnet)-4-[6-9]|haiku-5)/;
const LARGE_TOKENS = 1_000_000;
const SMALL_TOKENS = 200_000;

/** The window of a model in tokens, input and output together. */
export function windowTokens(name: string): number {
  return LARGE.test(name) ? LARGE_TOKENS : SMALL_TOKENS;
}
