/** A flag that is on while Claude refuses its calls, whatever the model: it serves nobody there, and must not look fine. */
import { listed } from "../text/text.ts";

export function Refused({ refusals }: { refusals: readonly string[] }) {
  return refusals.length === 0 ? null : <p class="lag">Calls are refused. {listed(refusals)}.</p>;
}
