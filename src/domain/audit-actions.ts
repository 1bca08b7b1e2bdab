/** Which changes of the audit one click can take back. */

const REVERTIBLE = new Set([
  "flag.killed",
  "flag.restored",
  "flag.downgraded",
  "flag.edited",
  "chain.edited",
  "master.killed",
  "master.restored",
  "model.blocked",
  "model.unblocked",
]);

export function isRevertible(action: string): boolean {
  return REVERTIBLE.has(action);
}

/** How the story of a flag names a change of something else that moved it; null for one that its own entries tell. */
export function movedBy({ action, target, reason }: { action: string; target: string; reason?: string | null }) {
  const words = MOVES[action];
  if (words === undefined) return null;
  return `${words(target)}${reason === undefined || reason === null ? "" : `: ${reason}`}`;
}

const MOVES: Readonly<Record<string, (target: string) => string>> = {
  "model.blocked": (model) => `${model} was blocked`,
  "model.unblocked": (model) => `the block of ${model} was lifted`,
  "chain.edited": (chain) => `chain ${chain} was edited`,
  "budget.over": (budget) => `budget ${budget} reached its limit`,
  "budget.under": (budget) => `budget ${budget} is below its limit again`,
  "budget.created": (budget) => `budget ${budget} was created`,
  "budget.edited": (budget) => `budget ${budget} was edited`,
  "budget.raised": (budget) => `budget ${budget} was raised`,
  "budget.deleted": (budget) => `budget ${budget} was deleted`,
};
