/** Prompt sizes above which a price of the built-in list goes up, in tokens, ascending: known without the list itself. */
export const PROMPT_THRESHOLDS: readonly number[] = [100_000, 200_000];
