/** The verbs of money: budgets and a raise, what was used, what models cost. Each calls the API and says what is so now. */
import { RATE_NAMES, type RateName } from "../api/price.ts";
import {
  type BudgetLine,
  budgetsAnswer,
  pricesAnswer,
  putPriceAnswer,
  raisedAnswer,
  reconciliationAnswer,
  type UsageAnswer,
  usageAnswer,
} from "./answers.ts";
import { type ApiClient, createApiClient } from "./api-client.ts";
import { didYouMean } from "../domain/did-you-mean.ts";
import { baseOf, change, type ChangeOptions, type Common, show } from "./commands.ts";
import { CliError, EXIT_OK, EXIT_USAGE, type Io } from "./io.ts";
import {
  budgetLine,
  budgetLines,
  countedLines,
  priceLine,
  priceLines,
  raisedLine,
  reconciliationLines,
  usageLines,
} from "./money-text.ts";
import { requireReason } from "./reason.ts";

const RAISE_REASONS = ["Expected traffic", "Incident", "Drill"] as const;
const PRICE_REASONS = ["Published", "Our own contract", "Corrected"] as const;
const SPAN = /^(\d{1,4})(m|h|d)$/;
const SPAN_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export async function budgets(io: Io, options: Common): Promise<number> {
  const answer = await createApiClient(io).call(`${baseOf(options)}/budgets`, budgetsAnswer);
  const none = "There is no budget yet. Create one on the board.";
  return show(io, options, answer, answer.items.length === 0 ? [none] : answer.items.map(budgetLine));
}

export async function showBudget(io: Io, name: string, options: Common): Promise<number> {
  const budget = await findBudget(io, name, options);
  return show(io, options, budget, budgetLines(budget));
}

/** A raise ends with the budget's window unless told otherwise. */
export async function raiseBudget(
  io: Io,
  name: string,
  options: ChangeOptions & { add: number; until?: string },
): Promise<number> {
  const budget = await findBudget(io, name, options);
  const reason = await requireReason(io, options.reason, RAISE_REASONS);
  const body = { addUsd: options.add, until: options.until ?? budget.now.windowEndsAt, reason };
  const path = `/budgets/${encodeURIComponent(budget.id)}/raise`;
  return change(io, path, raisedAnswer, { method: "POST", body }, options, raisedLine);
}

/** By its name or its id. */
async function findBudget(io: Io, name: string, options: Common): Promise<BudgetLine> {
  const { items } = await createApiClient(io).call(`${baseOf(options)}/budgets`, budgetsAnswer);
  const found = items.find((one) => one.id === name) ?? items.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = items.map((one) => one.name);
  const known = names.map((one) => `"${one}"`).join(", ");
  const are = known === "" ? "There is none at all." : `There are: ${known}.`;
  const meant = didYouMean(name, names);
  throw new CliError(`There is no budget "${name}"${meant === "" ? "." : meant} ${are}`);
}

export interface UsageOptions extends Common {
  by: string;
  bucket?: string;
  from?: string;
  to?: string;
  last?: string;
  flag?: string;
  model?: string;
  csv?: boolean;
}

export async function usage(io: Io, options: UsageOptions): Promise<number> {
  if (options.csv === true && options.json === true) throw new CliError("Give --json or --csv, not both.", EXIT_USAGE);
  const query = new URLSearchParams({ groupBy: options.by, ...spanOf(io, options) });
  for (const name of ["bucket", "flag", "model"] as const) {
    const value = options[name];
    if (value !== undefined) query.set(name, value);
  }
  const path = `${baseOf(options)}/usage?${query.toString()}`;
  const api = createApiClient(io);
  if (options.csv === true) {
    await requireKnown(api, options);
    for await (const line of api.lines(path, "text/csv")) io.out(line);
    return EXIT_OK;
  }
  const answer = await api.call(path, usageAnswer);
  sayUnknown(answer);
  return show(io, options, answer, usageLines(answer));
}

/** A table has no room for words: what it is asked about is looked at before. */
async function requireKnown(api: ApiClient, options: UsageOptions): Promise<void> {
  const { flag, model } = options;
  if (flag === undefined && model === undefined) return;
  const about = new URLSearchParams({ ...(flag !== undefined && { flag }), ...(model !== undefined && { model }) });
  sayUnknown(await api.call(`${baseOf(options)}/usage?${about.toString()}`, usageAnswer));
}

/** Nothing under a name that nothing knows is a slip, and no sum of 0. */
function sayUnknown({ unknown }: UsageAnswer): void {
  const [first] = unknown;
  if (first === undefined) return;
  const said = unknown.map(({ message }) => message).join("; ");
  throw new CliError(`${said.charAt(0).toUpperCase()}${said.slice(1)}${said.endsWith("?") ? "" : "."}`);
}

function spanOf(io: Io, { from, to, last }: UsageOptions): Record<string, string> {
  if (last === undefined) return { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
  if (from !== undefined) throw new CliError("Give --last or --from, not both.", EXIT_USAGE);
  const [, n, unit = ""] = SPAN.exec(last) ?? [];
  const unitMs = SPAN_MS[unit];
  if (n === undefined || unitMs === undefined) {
    throw new CliError("--last is a number of minutes, hours or days, such as 30m, 24h or 7d.", EXIT_USAGE);
  }
  const toMs = to === undefined ? io.nowMs() : Date.parse(to);
  if (Number.isNaN(toMs)) throw new CliError("--to is a time with its zone, such as 2030-01-31T06:00:00Z.", EXIT_USAGE);
  return { from: new Date(toMs - Number(n) * unitMs).toISOString(), to: new Date(toMs).toISOString() };
}

/** Claude's bill beside what was counted. */
export async function reconcile(io: Io, options: Common & { days?: number }): Promise<number> {
  const query = options.days === undefined ? "" : `?days=${String(options.days)}`;
  const answer = await createApiClient(io).call(`${baseOf(options)}/reconciliation${query}`, reconciliationAnswer);
  return show(io, options, answer, reconciliationLines(answer));
}

export async function prices(io: Io, model: string | undefined, options: Common): Promise<number> {
  const answer = await createApiClient(io).call(`${baseOf(options)}/prices`, pricesAnswer);
  const items = answer.items.filter((price) => model === undefined || price.model === model);
  if (items.length === 0 && model !== undefined) {
    const meant = didYouMean(
      model,
      answer.items.map((price) => price.model),
    );
    throw new CliError(`No price is known for "${model}"${meant === "" ? "." : meant}`);
  }
  return show(io, options, { ...answer, items }, priceLines(items));
}

export interface PriceOptions extends ChangeOptions, Partial<Record<RateName, number>> {
  from?: string;
  fast?: readonly number[];
  long?: readonly number[];
  longAbove?: number;
  alias?: readonly string[];
  newModel?: boolean;
  unusual?: boolean;
}

/** What is not given stays as it is in the price in force. */
export async function setPrice(io: Io, model: string, options: PriceOptions): Promise<number> {
  const { items } = await createApiClient(io).call(`${baseOf(options)}/prices`, pricesAnswer);
  const now = items.find((price) => price.model === model && price.inForce);
  const missing = RATE_NAMES.filter((name) => options[name] === undefined && now === undefined);
  if (missing.length > 0) {
    const flags = missing.map((name) => OPTION_OF[name]).join(", ");
    throw new CliError(`${model} has no price yet: give ${flags} too, in USD per million tokens.`, EXIT_USAGE);
  }
  const fast = options.fast === undefined ? (now?.fastUsdPerMillion ?? null) : ratesOf(options.fast);
  const above = options.longAbove ?? now?.long?.abovePromptTokens;
  const long = options.long === undefined ? (now?.long?.usdPerMillion ?? null) : ratesOf(options.long);
  if ((above === undefined) !== (long === null)) {
    throw new CliError("--long and --long-above belong together.", EXIT_USAGE);
  }
  const aliases = options.alias ?? now?.aliases ?? [];
  const body = {
    usdPerMillion: Object.fromEntries(RATE_NAMES.map((name) => [name, options[name] ?? now?.usdPerMillion[name]])),
    ...(options.from !== undefined && { validFrom: options.from }),
    ...(fast !== null && { fastUsdPerMillion: fast }),
    ...(long !== null && { long: { abovePromptTokens: above, usdPerMillion: long } }),
    ...(aliases.length > 0 && { aliases }),
    ...(now !== undefined && { usPremium: now.usPremium, regionalPremium: now.regionalPremium }),
    reason: await requireReason(io, options.reason, PRICE_REASONS),
    ...(options.newModel === true && { newModel: true }),
    ...(options.unusual === true && { unusual: true }),
  };
  const path = `/prices/${encodeURIComponent(model)}`;
  return change(io, path, putPriceAnswer, { method: "PUT", body }, options, priceLine, {
    more: ({ counted, warnings }) => Promise.resolve([...countedLines(counted), ...warnings]),
  });
}

export const OPTION_OF: Readonly<Record<RateName, string>> = {
  input: "--input",
  output: "--output",
  cacheWrite5m: "--cache-write-5m",
  cacheWrite1h: "--cache-write-1h",
  cacheRead: "--cache-read",
};

function ratesOf(rates: readonly number[]): Record<RateName, number> {
  const [input = 0, output = 0, cacheWrite5m = 0, cacheWrite1h = 0, cacheRead = 0] = rates;
  return { input, output, cacheWrite5m, cacheWrite1h, cacheRead };
}
