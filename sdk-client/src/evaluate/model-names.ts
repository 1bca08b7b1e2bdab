/**
 * What one environment knows of model names: which are one model, and which are blocked or out. Pure. Invariant: names
 * are compared here and nowhere by their text, so that guard, snapshot and board give one answer.
 */
import { canonicalModel, saysItsModel } from "../pricing/model-id.ts";
import { PROMPT_THRESHOLDS } from "../pricing/prompt-thresholds.ts";
import type { PricedModel, SnapshotBreaker } from "../wire/protocol.ts";

export interface ModelNames {
  /** The name a model id is compared by: that of its alias, or its canonical form. */
  readonly nameOf: NameOf;
  /** False for a name that says nothing about its model: neither mapped nor priced, and no Claude model's. */
  readonly isReadable: (id: string) => boolean;
  /** True for a blocked model, and while any model is blocked for every name that cannot be read. */
  readonly isBlocked: (id: string) => boolean;
  /** Some model is blocked. */
  readonly hasBlocks: boolean;
  /** A breaker has taken some model out. */
  readonly hasBreakers: boolean;
  /** The place of a model among those that a breaker has taken out, the oldest first; -1 for one that is in use. */
  readonly outAt: (id: string) => number;
  /** Whether a call with this luck, from 0 up to 1, may use the model: all may while no breaker has taken it out. */
  readonly admits: (id: string, luck: number) => boolean;
  /** Prompt sizes above which some price goes up, in tokens, ascending. */
  readonly promptThresholds: () => readonly number[];
  /** Price rows over the built-in list, as they came. */
  readonly priceRows: readonly PricedModel[];
}

export interface NameFacts {
  /** Ids of blocked models, in any spelling. */
  blocked: Iterable<string>;
  /** Those that a breaker has taken out, the oldest first. */
  breakers?: readonly SnapshotBreaker[] | undefined;
  /** Model by opaque name. */
  aliases?: Readonly<Record<string, string>> | undefined;
  /** Rows over the built-in list. */
  prices?: readonly PricedModel[] | undefined;
}

/** The name that a model id is compared by. */
export type NameOf = (id: string) => string;

/** What makes two ids one model, whatever is blocked and whatever it costs. */
export function modelNames(aliases?: Readonly<Record<string, string>>): NameOf {
  const realModel = realModels(aliases);
  return (id) => canonicalModel(realModel(id));
}

/** The model behind a name: that of its mapping, or the name itself. */
export function realModels(aliases: Readonly<Record<string, string>> = {}): (id: string) => string {
  const mapped = byKey(aliases);
  return (id) => (mapped.size === 0 ? id : (mapped.get(aliasKey(id)) ?? id));
}

export function namesOf(facts: NameFacts): ModelNames {
  const aliases = byKey(facts.aliases ?? {});
  const nameOf = modelNames(facts.aliases);
  const blocked = new Set(Array.from(facts.blocked, nameOf));
  const breakers = (facts.breakers ?? []).map(({ model, probeShare }) => ({ name: nameOf(model), probeShare }));
  const priceRows = facts.prices ?? [];
  const outAt = (id: string): number => {
    if (breakers.length === 0) return -1;
    const name = nameOf(id);
    return breakers.findIndex((breaker) => breaker.name === name);
  };
  // Names of the built-in list all say their model.
  let priced: ReadonlySet<string> | null = null;
  const isPriced = (name: string): boolean =>
    (priced ??= new Set(priceRows.flatMap((row) => [row.model, ...(row.aliases ?? [])]).map(canonicalModel))).has(name);
  const isReadable = (id: string): boolean =>
    aliases.has(aliasKey(id)) || saysItsModel(nameOf(id)) || isPriced(nameOf(id));
  return {
    nameOf,
    isReadable,
    hasBlocks: blocked.size > 0,
    hasBreakers: breakers.length > 0,
    isBlocked: (id) => blocked.size > 0 && (blocked.has(nameOf(id)) || !isReadable(id)),
    outAt,
    admits: (id, luck) => luck < (breakers[outAt(id)]?.probeShare ?? Infinity),
    promptThresholds: () =>
      [...new Set([...PROMPT_THRESHOLDS, ...priceRows.flatMap(({ long }) => long?.abovePromptTokens ?? [])])].toSorted(
        (a, b) => a - b,
      ),
    priceRows,
  };
}

/** Names of clouds are not told apart by case or by spaces around them. */
export function aliasKey(name: string): string {
  return name.trim().toLowerCase();
}

function byKey(aliases: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(aliases).map(([name, model]) => [aliasKey(name), model]));
}
