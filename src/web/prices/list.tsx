/** Prices as a table: of each model what is in force, what was, and what will be. */
import { TOKEN_CLASSES, type TokenClass } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { parseInstant } from "../../../sdk-client/src/wire/instant.ts";
import type { PriceResource } from "../../api/price.ts";
import { count } from "../text/text.ts";
import { Moment } from "../shell/moment.tsx";
import { rateText } from "./draft.ts";

const HEADS: readonly [TokenClass, string][] = [
  ["input", "Input"],
  ["output", "Output"],
  ["cacheWrite5m", "Write 5 min"],
  ["cacheWrite1h", "Write 1 h"],
  ["cacheRead", "Cache read"],
];

interface PriceTableProps {
  items: readonly PriceResource[];
  base: string;
  admin: boolean;
  nowMs: number;
}

export function PriceTable({ items, base, admin, nowMs }: PriceTableProps) {
  return (
    <div class="scroll" tabindex={0} role="region" aria-label="Prices">
      <table class="prices">
        <thead>
          <tr>
            <th scope="col">Model</th>
            {HEADS.map(([, label]) => (
              <th scope="col" class="num">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((price) => (
            <Rows price={price} items={items} base={base} admin={admin} nowMs={nowMs} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Rows({ price, items, base, admin, nowMs }: PriceTableProps & { price: PriceResource }) {
  const { model, long, fastUsdPerMillion: fast, note } = price;
  return (
    <>
      <tr>
        <th scope="row">
          {admin && price.inForce ? (
            <a
              href={`${base}/prices?model=${encodeURIComponent(model)}#price`}
              aria-label={`${model}, correct its price`}
            >
              <code>{model}</code>
            </a>
          ) : (
            <code>{model}</code>
          )}
          {price.source === "added" ? <b> · added here</b> : null}
          <When price={price} items={items} nowMs={nowMs} />
          {note === null ? null : <small>{note}</small>}
        </th>
        <Figures rates={price.usdPerMillion} />
      </tr>
      {fast === null ? null : (
        <tr>
          <td class="sub">fast mode</td>
          <Figures rates={fast} />
        </tr>
      )}
      {long === null ? null : (
        <tr>
          <td class="sub">{`above ${tokensText(long.abovePromptTokens)}`}</td>
          <Figures rates={long.usdPerMillion} />
        </tr>
      )}
    </>
  );
}

function Figures({ rates }: { rates: PriceResource["usdPerMillion"] }) {
  return (
    <>
      {TOKEN_CLASSES.map((name) => (
        <td class="num">{rateText(rates[name])}</td>
      ))}
    </>
  );
}

/** `200k`, `1,500`. */
function tokensText(tokens: number): string {
  return tokens > 0 && tokens % 1_000 === 0 ? `${String(tokens / 1_000)}k` : tokens.toLocaleString("en-US");
}

/** A date as it was given, a moment to the minute. */
export function fromText(validFrom: string): string {
  const atMs = parseInstant(validFrom);
  if (atMs === null || /^\d{4}-\d\d-\d\d$/.test(validFrom)) return validFrom;
  return `${new Date(atMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** Nothing for the only row of a model. */
function When({ price, items, nowMs }: { price: PriceResource; items: readonly PriceResource[]; nowMs: number }) {
  const ofModel = items.filter(({ model }) => model === price.model);
  if (ofModel.length === 1 && price.source === "builtIn") return null;
  const isFuture = (parseInstant(price.validFrom) ?? 0) > nowMs;
  const next = ofModel[ofModel.indexOf(price) - 1];
  const until = next === undefined ? "" : `until ${fromText(next.validFrom)}`;
  const words = isFuture
    ? `from ${fromText(price.validFrom)} on`
    : price.inForce
      ? `in force${until === "" ? "" : `, ${until}`}`
      : until;
  return <small>{words}</small>;
}

/** Rows that people added, with who and why, and the way back. */
export function AddedPrices({ items, base, admin, nowMs }: PriceTableProps) {
  const added = items.filter(({ source }) => source === "added");
  if (added.length === 0) return null;
  return (
    <section class="card stack">
      <h2>{`Added here: ${count(added.length, "price")}`}</h2>
      <ul class="list">
        {added.map((price) => (
          <li class="entry">
            <div>
              <p>
                <code>{price.model}</code> {`from ${fromText(price.validFrom)}`}:{" "}
                {`${rateText(price.usdPerMillion.input)} in, `}
                {`${rateText(price.usdPerMillion.output)} out`}
              </p>
              <p class="dim">
                {price.addedBy === null ? "" : `By ${price.addedBy} `}
                {price.addedAt === null ? null : <Moment at={price.addedAt} nowMs={nowMs} />}
                {price.reason === null ? "" : ` — ${price.reason}`}
              </p>
            </div>
            {admin ? (
              <a
                class="button"
                href={`${base}/prices/remove?model=${encodeURIComponent(price.model)}&validFrom=${encodeURIComponent(price.validFrom)}`}
                aria-label={`Remove the price of ${price.model} from ${price.validFrom}…`}
              >
                Remove…
              </a>
            ) : null}
          </li>
        ))}
      </ul>
    </section>
  );
}
