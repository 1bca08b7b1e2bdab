/** What an off switch means for calls that run at that moment. */
import type { FlagResource } from "../../api/flag.ts";

/** Applied is not stopped: what a receipt means for calls that were running. */
export function Running({ flag }: { flag: FlagResource }) {
  return (
    <p class="dim">
      {flag.abortInFlight
        ? "An instance that applied it starts no new call and aborts its running ones."
        : "An instance that applied it starts no new call; calls that were running may finish."}
    </p>
  );
}
