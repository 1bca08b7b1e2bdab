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
