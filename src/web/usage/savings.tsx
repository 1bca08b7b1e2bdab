/** What would have cost less, in words, and by flag or model: bounds, as nobody but the application knows what repeats and what may wait. */
import type { SavingsAnswer, SavingsGroup } from "../../api/savings.ts";
import { usd } from "../../domain/alert-text.ts";
import { usdParts } from "../../domain/usd-parts.ts";
import { BY_LABELS } from "./query.ts";

/** More are in the CSV. */
const SHOWN = 10;

interface SavingsCardProps {
  savings: SavingsAnswer;
  by: SavingsGroup;
  csvPath: string;
}

export function SavingsCard({ savings: { items, total, assumptions }, by, csvPath }: SavingsCardProps) {
  if (Number(total.costNanoUsd) === 0) return null;
  const shown = items.slice(0, SHOWN);
  // Of all rows, so that they add up to the figures above.
  const cached = usdParts(items.map(({ perTenthCachedNanoUsd }) => BigInt(perTenthCachedNanoUsd)));
  const inBatches = usdParts(items.map(({ batchesNanoUsd }) => BigInt(batchesNanoUsd)));
  return (
    <section class="card stack" aria-labelledby="savings-title">
      <div class="title">
        <h2 id="savings-title">What would have cost less</h2>
        <p class="dim">
          <a href={csvPath}>CSV by flag and model</a>
        </p>
      </div>
      <p>
        <b>Caching.</b>{" "}
        {`${cachedPercent(total)} % of the prompt tokens came from a cache. For each further tenth of the input that had, it would have cost about `}
        <b>{usd(Number(total.perTenthCachedNanoUsd))}</b> less.
      </p>
      <p>
        <b>Batches.</b> What may wait costs half in a batch: at most <b>{usd(Number(total.batchesNanoUsd))}</b> less,
        had every call been in one.
      </p>
      <div class="scroll" tabindex={0} role="region" aria-label={`What would have cost less, by ${by}`}>
        <table class="prices wraps">
          <thead>
            <tr>
              <th scope="col">{BY_LABELS[by]}</th>
              {["Cached", "In batches"].map((label) => (
                <th scope="col" class="num">
                  {label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row, at) => (
              <tr>
                <th scope="row">
                  <code>{row[by] === "" ? "(none)" : row[by]}</code>
                </th>
                <td class="num">{less(cached[at])}</td>
                <td class="num">{less(inBatches[at])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {items.length > shown.length ? <p class="dim">{`${items.length - shown.length} more are in the CSV.`}</p> : null}
      {assumptions.map((text) => (
        <p class="dim">{text}</p>
      ))}
    </section>
  );
}

/** `−$3.99`; `$0.00` and `< $0.01` as they are. */
function less(text = ""): string {
  return text.startsWith("<") || text === usd(0) ? text : `−${text}`;
}

function cachedPercent({ promptTokens, cachedTokens }: Pick<SavingsAnswer["total"], "promptTokens" | "cachedTokens">) {
  return promptTokens === 0 ? "0.0" : ((100 * Number(cachedTokens)) / Number(promptTokens)).toFixed(1);
}
