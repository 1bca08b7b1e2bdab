/** A price as its form has it, and the way from there to what the service takes. Field names are the API's paths. */
import { TOKEN_CLASSES, type TokenClass } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { datedPriceBody, type PriceResource } from "../../api/price.ts";
import { amountOf } from "../budgets/draft.ts";
import { parseForm } from "../form/submit.ts";
import type { Form } from "../shell/page-context.ts";

export type RatesDraft = Record<TokenClass, string>;

export interface PriceDraft {
  model: string;
  /** `""`: now. */
  validFrom: string;
  rates: RatesDraft;
  /** All empty: no fast mode. */
  fast: RatesDraft;
  /** `""`: no other price for long prompts. */
  abovePromptTokens: string;
  long: RatesDraft;
  aliases: string;
  usPremium: boolean;
  regionalPremium: boolean;
  reason: string;
}

const NO_RATES: RatesDraft = { input: "", output: "", cacheWrite5m: "", cacheWrite1h: "", cacheRead: "" };

export function emptyPrice(model: string): PriceDraft {
  return {
    model,
    validFrom: "",
    rates: NO_RATES,
    fast: NO_RATES,
    abovePromptTokens: "",
    long: NO_RATES,
    aliases: "",
    usPremium: true,
    regionalPremium: true,
    reason: "",
  };
}

/** The next price of a model begins with what the last one is. */
export function priceDraftOf(price: PriceResource): PriceDraft {
  return {
    ...emptyPrice(price.model),
    rates: ratesOf((name) => rateText(price.usdPerMillion[name])),
    fast: ratesOf((name) => (price.fastUsdPerMillion === null ? "" : rateText(price.fastUsdPerMillion[name]))),
    abovePromptTokens: price.long === null ? "" : String(price.long.abovePromptTokens),
    long: ratesOf((name) => (price.long === null ? "" : rateText(price.long.usdPerMillion[name]))),
    aliases: price.aliases.join("\n"),
    usPremium: price.usPremium,
    regionalPremium: price.regionalPremium,
  };
}

export function priceDraftFrom(form: Form): PriceDraft {
  return {
    model: form.trimmed("model"),
    validFrom: form.trimmed("validFrom"),
    rates: ratesOf((name) => form.trimmed(`usdPerMillion.${name}`)),
    fast: ratesOf((name) => form.trimmed(`fastUsdPerMillion.${name}`)),
    abovePromptTokens: form.trimmed("long.abovePromptTokens"),
    long: ratesOf((name) => form.trimmed(`long.usdPerMillion.${name}`)),
    aliases: form.text("aliases"),
    usPremium: form.has("usPremium"),
    regionalPremium: form.has("regionalPremium"),
    reason: form.trimmed("reason"),
  };
}

/** The price as the service takes it. INVALID with the path of each fault. */
export function parsePrice(draft: PriceDraft, confirmed: { newModel: boolean; unusual: boolean }) {
  const { validFrom, rates, fast, abovePromptTokens, long, aliases, usPremium, regionalPremium, reason } = draft;
  const others = aliases.split(/[\s,]+/).filter((alias) => alias !== "");
  const hasLong = abovePromptTokens !== "" || isGiven(long);
  return parseForm(datedPriceBody, {
    ...(validFrom !== "" && { validFrom }),
    usdPerMillion: amountsOf(rates),
    // The form shows all that there is: what is empty in it is to be none, and the service asks whether that is meant.
    fastUsdPerMillion: isGiven(fast) ? amountsOf(fast) : null,
    long: hasLong ? { abovePromptTokens: amountOf(abovePromptTokens), usdPerMillion: amountsOf(long) } : null,
    aliases: others,
    usPremium,
    regionalPremium,
    reason,
    ...confirmed,
  });
}

/** `8`, `0.20`, `0.125`: a rate in USD per million tokens. */
export function rateText(usd: number): string {
  const text = String(usd);
  return /\.\d$/.test(text) ? `${text}0` : text;
}

function isGiven(rates: RatesDraft): boolean {
  return TOKEN_CLASSES.some((name) => rates[name] !== "");
}

function amountsOf(rates: RatesDraft): Record<TokenClass, number> {
  return byClass((name) => amountOf(rates[name]));
}

function ratesOf(text: (name: TokenClass) => string): RatesDraft {
  return byClass(text);
}

function byClass<T>(value: (name: TokenClass) => T): Record<TokenClass, T> {
  return {
    input: value("input"),
    output: value("output"),
    cacheWrite5m: value("cacheWrite5m"),
    cacheWrite1h: value("cacheWrite1h"),
    cacheRead: value("cacheRead"),
  };
}
