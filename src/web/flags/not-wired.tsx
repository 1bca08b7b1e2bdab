/** A flag that applications evaluate and no guard holds: its switch stops only what the code asks about. */
import type { FlagResource } from "../../api/flag.ts";

export const NOT_WIRED = "Not wired: it is evaluated, and no guarded call was seen yet.";

/** Nothing for a flag that nobody evaluates: that is said on its page. */
export function NotWired({ flag: { evaluated, guarded } }: { flag: FlagResource }) {
  return evaluated === null || guarded !== null ? null : <p class="lag sends">{NOT_WIRED}</p>;
}
