/** `If-Match` on edits: the version the editor saw must still be the one that is stored. */
import { AppError } from "../../errors.ts";

/**
 * Throws PRECONDITION_FAILED when `ifMatch` (`"<version>"`, a list of them, or `*`) does not name `version`. A weak tag is
 * taken too: a proxy that compresses (nginx) weakens ours on the way, and the version in it is the same.
 */
export function requireMatch(ifMatch: string | undefined, version: number): void {
  if (ifMatch === undefined || ifMatch.trim() === "*") return;
  const wanted = ifMatch.split(",").map((tag) => tag.trim().replace(/^(?:W\/)?"|"$/g, ""));
  if (wanted.includes(String(version))) return;
  throw new AppError(
    "PRECONDITION_FAILED",
    `Somebody changed this meanwhile (it is at version ${version}). Load it again, look at what changed, and repeat your edit.`,
  );
}
