/** Money that no name stands for any more: applications report more flag names than are counted apart. */
import { usd } from "../../domain/alert-text.ts";
import { OTHER } from "../../domain/other.ts";
import type { UndefinedNames } from "../../services/usage/flag-sums.ts";
import { count } from "../text/text.ts";

/** "1,712 attempts today ($12.40) are counted together as other: …" Nothing when every name is counted apart. */
export function FoldedLine({ folded: { attempts, nanoUsd } }: { folded: UndefinedNames["folded"] }) {
  if (attempts === 0 && nanoUsd === 0) return null;
  return (
    <p class="lag">
      {`${count(attempts, "attempt")} today (${usd(nanoUsd)}) ${attempts === 1 ? "is" : "are"} counted together as ${OTHER}: applications report more`}{" "}
      <a href="#unknown">flags that nobody has made</a> than are counted apart. No budget of a flag counts them, those
      of the environment do.
    </p>
  );
}
