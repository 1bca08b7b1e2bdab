/** Who or what used it: the dearest first, what is left as one row, and the ledger's sum, which the rows add up to. */
import { usd } from "../../domain/alert-text.ts";
import { usdParts } from "../../domain/usd-parts.ts";
import type { Explored, ExploreBy } from "../../services/usage/explore.ts";
import type { NameSums } from "../../services/usage/top-names.ts";
import { MAX_TOP_NAMES } from "../../services/usage/top-spans.ts";
import { BY_LABELS } from "./query.ts";

/** More are in the CSV. */
const SHOWN = 50;

interface PartsTableProps {
  found: Explored;
  by: ExploreBy;
}

export function PartsTable({ found: { parts, rest, total, leftOutNanoUsd }, by }: PartsTableProps) {
  if (total.attempts === 0) return null;
  const shown = parts.slice(0, SHOWN);
  const folded = parts.slice(SHOWN);
  const hidden = folded.length === 0 ? [] : [folded.reduce(sum, { ...ZERO, name: `${folded.length} more` })];
  const left = rest === null || rest.attempts === 0 ? [] : [{ ...rest, name: "the rest" }];
  const rows = [...shown, ...hidden, ...left];
  const spent = usdParts(rows.map(({ costNanoUsd }) => costNanoUsd));
  return (
    <>
      <div class="scroll" tabindex={0} role="region" aria-label={`Usage by ${BY_LABELS[by].toLowerCase()}`}>
        <table class="prices">
          <thead>
            <tr>
              <th scope="col">{BY_LABELS[by]}</th>
              {["Spent", "Share", "Calls", "Errors", "Prompt", "Output"].map((label) => (
                <th scope="col" class="num">
                  {label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((part, at) => (
              <Row part={part} spent={spent[at] ?? ""} total={total} isName={shown.includes(part)} />
            ))}
            <Row part={{ ...total, name: "All" }} spent={usd(Number(total.costNanoUsd))} total={total} isName={false} />
          </tbody>
        </table>
      </div>
      {leftOutNanoUsd === null ? null : (
        <p class="dim">
          {`Of each hour the ${MAX_TOP_NAMES.toLocaleString("en-US")} that cost most are kept. The rest is what the ledger counted beside them, and calls that name none. `}
          {leftOutNanoUsd === 0n
            ? "Nobody used more than is told here."
            : `Nobody used more than is told here and ${usd(Number(leftOutNanoUsd))}.`}
        </p>
      )}
    </>
  );
}

const ZERO: NameSums = {
  name: "",
  calls: 0,
  attempts: 0,
  errors: 0,
  promptTokens: 0n,
  outputTokens: 0n,
  costNanoUsd: 0n,
};

function sum(a: NameSums, b: NameSums): NameSums {
  return {
    name: a.name,
    calls: a.calls + b.calls,
    attempts: a.attempts + b.attempts,
    errors: a.errors + b.errors,
    promptTokens: a.promptTokens + b.promptTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    costNanoUsd: a.costNanoUsd + b.costNanoUsd,
  };
}

interface RowProps {
  part: NameSums;
  /** As it is shown. */
  spent: string;
  total: NameSums;
  isName: boolean;
}

function Row({ part, spent, total, isName }: RowProps) {
  const share = total.costNanoUsd === 0n ? 0 : Number((1000n * part.costNanoUsd) / total.costNanoUsd) / 10;
  return (
    <tr>
      <th scope="row">{isName ? <code>{part.name === "" ? "(none)" : part.name}</code> : <b>{part.name}</b>}</th>
      <td class="num">{spent}</td>
      <td class="num">{share === 0 && part.costNanoUsd > 0n ? "< 0.1 %" : `${share.toFixed(1)} %`}</td>
      <td class="num">{part.calls.toLocaleString("en-US")}</td>
      <td class="num">{part.errors.toLocaleString("en-US")}</td>
      <td class="num">{tokens(part.promptTokens)}</td>
      <td class="num">{tokens(part.outputTokens)}</td>
    </tr>
  );
}

/** `812`, `4.1k`, `12M`. */
function tokens(n: bigint): string {
  return new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(n);
}
