/** `<lineage>.<n>`: within one lineage `n` grows by one per change of the environment. */
export type Revision = string;

/** Parses `<lineage>.<n>`; null when the text is not a revision. */
export function parseRevision(revision: string): { lineage: string; n: number } | null {
  const dot = revision.lastIndexOf(".");
  if (dot <= 0) return null;
  const digits = revision.slice(dot + 1);
  if (!/^\d{1,15}$/.test(digits)) return null;
  return { lineage: revision.slice(0, dot), n: Number(digits) };
}
