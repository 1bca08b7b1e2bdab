/** A flag that applications ask for and no guard holds: its switch acts where the code asks next, and ends nothing. */
import type { FlagResource } from "../../api/flag.ts";

export const NOT_WIRED =
  "Not wired to a guard: only the code's own checks ask for it. A kill acts at the next check, and ends no running call.";

/** Nothing for a flag that nobody evaluates: that is said on its page. */
export function NotWired({ flag: { evaluated, guarded } }: { flag: FlagResource }) {
  return evaluated === null || guarded !== null ? null : <p class="lag sends">{NOT_WIRED}</p>;
}
