/** `If-Match` on edits: the version the editor saw must still be the one that is stored. */
import { AppError } from "../errors.ts";

/** Throws PRECONDITION_FAILED when `ifMatch` (`"<version>"`, a list of them, or `*`) does not name `version`. */
export function requireMatch(ifMatch: string | undefined, version: number): void {
  if (ifMatch === undefined || ifMatch.trim() === "*") return;
  const wanted = ifMatch.split(",").map((tag) => tag.trim().replace(/^"|"$/g, ""));
  if (wanted.includes(String(version))) return;
  throw new AppError(
    "PRECONDITION_FAILED",
    `Somebody changed this meanwhile (it is at version ${version}). Load it again, look at what changed, and repeat your edit.`,
  );
}
