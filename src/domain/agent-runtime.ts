/** What the running time of a managed agent's session costs, beside the tokens of its models. Pure. */

/** 0.08 USD an hour of `active_seconds`: https://platform.claude.com/docs/en/about-claude/pricing, "Claude Managed Agents pricing". */
const NANO_USD_PER_HOUR = 80_000_000;
const HOUR_MS = 3_600_000;

/** Rounded up to a nano-USD. */
export function runtimeNanoUsd(runtimeMs: number): number {
  return Math.ceil((runtimeMs * NANO_USD_PER_HOUR) / HOUR_MS);
}
