/**
 * Claude's bill held against the ledger, by day in UTC and model. Pure. Invariant: what Claude reports of workspaces that no
 * environment is known by is never a difference of an environment, and calls that are billed elsewhere (a cloud, a gateway)
 * are never held against Claude's bill.
 */
import { findPriceRow, type PriceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { WEB_SEARCH_NANO_USD } from "../../sdk-client/src/pricing/price.ts";
import { canonicalModel, saysItsModel } from "../../sdk-client/src/pricing/model-id.ts";
import type { NameOf } from "../../sdk-client/src/evaluate/model-names.ts";
import { TOKEN_CLASSES, type TokenClass } from "../../sdk-client/src/wire/usage-protocol.ts";
import { isComparable, type ProviderCost, type ProviderUsage } from "./provider-report.ts";
import { DAY_MS, type Span } from "./rollups.ts";

export type Tokens = Record<TokenClass, bigint>;

/** What the ledger counted of one model on one day. */
export interface LedgerDay {
  dayMs: number;
  /** See {@link billedName}. */
  name: string | null;
  nanoUsd: bigint;
  estimatedNanoUsd: bigint;
  webSearches: number;
  tokens: Tokens;
}

/** What is compared by name: a model, or what is billed beside tokens, such as `web_search`. */
export type LineKind = "model" | "other";

/** Where a difference is. */
export interface DriftPlace {
  /** `2026-11-26`, in UTC. */
  day: string;
  kind: LineKind;
  /** The model's name, or the kind of cost. */
  name: string;
}

/**
 * Why the two differ, as far as their tokens tell. `unseen`: Claude counted tokens that Andon did not. `price`: the same
 * tokens cost otherwise. `estimated`: what Andon estimates is above the bill. `elsewhere`: Andon counted calls that Claude did not bill here.
 */
export type DriftCause = "unseen" | "price" | "estimated" | "elsewhere";

export interface Line extends DriftPlace {
  /** What Claude bills: of it `priority` by list price, as its cost report leaves the Priority Tier out. */
  providerNanoUsd: bigint;
  priorityNanoUsd: bigint;
  /** What Claude's tokens cost by Andon's prices; null beside tokens. */
  listNanoUsd: bigint | null;
  ledgerNanoUsd: bigint;
  estimatedNanoUsd: bigint;
  providerTokens: Tokens;
  ledgerTokens: Tokens;
  /** Claude's less the ledger's. */
  differenceNanoUsd: bigint;
  /** More than the threshold, on a day that can be compared. */
  isOver: boolean;
  cause: DriftCause | null;
}

/** `unread`: Claude was not asked yet. `fresh`: it was read too soon. `partial`: Andon counted only since that day. */
export type DayState = "unread" | "fresh" | "partial" | "compared";

export interface ComparedDay {
  day: string;
  dayMs: number;
  state: DayState;
  providerNanoUsd: bigint;
  ledgerNanoUsd: bigint;
  estimatedNanoUsd: bigint;
  differenceNanoUsd: bigint;
  lines: Line[];
  /** Calls of the ledger that Claude does not bill here: through a cloud or a gateway, of other vendors, under names not kept apart. */
  elsewhereNanoUsd: bigint;
}

export interface Compared {
  days: ComparedDay[];
  /** What Claude reports of workspaces and keys that no environment is known by: calls that Andon did not see. */
  unmappedNanoUsd: bigint;
}

/** Ids of workspaces and keys: this environment's own and those of others. Null: all is its own. */
export interface Places {
  own: ReadonlySet<string>;
  others: ReadonlySet<string>;
}

export interface Facts {
  span: Span;
  usage: readonly ProviderUsage[];
  costs: readonly ProviderCost[];
  ledger: readonly LedgerDay[];
  /** When each day was read, by its midnight. */
  readMs: ReadonlyMap<number, number>;
  /** The day on which Andon began to count; null: it has counted nothing. */
  beganMs: number | null;
  places: Places | null;
  table: PriceTable;
  percent: number;
  minNanoUsd: bigint;
}

const NO_TOKENS: Tokens = { input: 0n, output: 0n, cacheWrite5m: 0n, cacheWrite1h: 0n, cacheRead: 0n };
const WEB_SEARCH = "web_search";
/** Not in the cost report: "Priority Tier costs use a different billing model". */
const PRIORITY = "priority";
const BATCH = "batch";
const LONG_CONTEXT = "200k-1M";
const LONG_CONTEXT_TOKENS = 200_000;
const PICO_PER_NANO = 1_000n;

export const dayText = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

export function compare(facts: Facts): Compared {
  const { span, usage, costs, places } = facts;
  const days: ComparedDay[] = [];
  for (let dayMs = span.fromMs; dayMs < span.untilMs; dayMs += DAY_MS) days.push(compareDay(facts, dayMs));
  const isMapped = (id: string): boolean => places === null || places.own.has(id) || places.others.has(id);
  const hasKeys = usage.some(({ apiKey }) => apiKey !== "");
  const unmapped = hasKeys
    ? usage.filter((row) => !isMapped(row.workspace) && !isMapped(row.apiKey)).map((row) => listPrice(row, facts.table))
    : costs.filter((row) => !isMapped(row.workspace)).map((row) => row.nanoUsd);
  return { days: days.toReversed(), unmappedNanoUsd: unmapped.reduce((sum, one) => sum + one, 0n) };
}

type Draft = Omit<Line, "differenceNanoUsd" | "isOver" | "cause">;

function compareDay(facts: Facts, dayMs: number): ComparedDay {
  const day = dayText(dayMs);
  const drafts = new Map<string, Draft>();
  const draft = (kind: LineKind, name: string): Draft => {
    const key = `${kind} ${name}`;
    const known = drafts.get(key) ?? emptyDraft(day, kind, name);
    drafts.set(key, known);
    return known;
  };
  for (const row of facts.costs) if (row.dayMs === dayMs) addCost(draft, row, facts);
  for (const row of facts.usage) if (row.dayMs === dayMs) addUsage(draft, row, facts);
  let elsewhereNanoUsd = 0n;
  for (const row of facts.ledger) {
    if (row.dayMs !== dayMs) continue;
    if (row.name === null) elsewhereNanoUsd += row.nanoUsd;
    else addLedger(draft, row, row.name);
  }
  const state = stateOf(facts, dayMs);
  const lines = [...drafts.values()]
    .map((one) => judged(one, state, facts))
    .toSorted((a, b) => compareBig(abs(b.differenceNanoUsd), abs(a.differenceNanoUsd)) || (a.name < b.name ? -1 : 1));
  const sum = (of: (line: Line) => bigint): bigint => lines.reduce((total, line) => total + of(line), 0n);
  return {
    day,
    dayMs,
    state,
    providerNanoUsd: sum((line) => line.providerNanoUsd),
    ledgerNanoUsd: sum((line) => line.ledgerNanoUsd),
    estimatedNanoUsd: sum((line) => line.estimatedNanoUsd),
    differenceNanoUsd: sum((line) => line.differenceNanoUsd),
    lines,
    elsewhereNanoUsd,
  };
}

function emptyDraft(day: string, kind: LineKind, name: string): Draft {
  return {
    day,
    kind,
    name,
    providerNanoUsd: 0n,
    priorityNanoUsd: 0n,
    listNanoUsd: kind === "model" ? 0n : null,
    ledgerNanoUsd: 0n,
    estimatedNanoUsd: 0n,
    providerTokens: NO_TOKENS,
    ledgerTokens: NO_TOKENS,
  };
}

type DraftOf = (kind: LineKind, name: string) => Draft;

function addCost(draft: DraftOf, row: ProviderCost, { places }: Facts): void {
  if (places !== null && !places.own.has(row.workspace)) return;
  const line = row.model === "" ? draft("other", row.kind) : draft("model", canonicalModel(row.model));
  line.providerNanoUsd += row.nanoUsd;
}

/**
 * Tokens of a day. The cost report knows workspaces alone: what a key used is told by list price, and taken out of a workspace
 * that another environment is known by.
 */
function addUsage(draft: DraftOf, row: ProviderUsage, { places, table }: Facts): void {
  const isOwnKey = places !== null && places.own.has(row.apiKey);
  const isOwnWorkspace = places === null || places.own.has(row.workspace);
  const isOthersKey = places !== null && places.others.has(row.apiKey);
  if (!isOwnKey && !isOwnWorkspace) return;
  const nanoUsd = listPrice(row, table);
  const line = draft("model", canonicalModel(row.model));
  if (isOthersKey) {
    // Its money is in the costs of the workspace, and it is another's.
    if (row.tier !== PRIORITY) line.providerNanoUsd -= nanoUsd;
    return;
  }
  line.listNanoUsd = (line.listNanoUsd ?? 0n) + nanoUsd;
  line.providerTokens = plusTokens(line.providerTokens, row.tokens);
  if (row.tier === PRIORITY) line.priorityNanoUsd += nanoUsd;
  if (row.tier === PRIORITY || !isOwnWorkspace) line.providerNanoUsd += nanoUsd;
  if (!isOwnWorkspace && row.webSearches > 0)
    draft("other", WEB_SEARCH).providerNanoUsd += searchPrice(row.webSearches);
}

function addLedger(draft: DraftOf, row: LedgerDay, name: string): void {
  const searches = searchPrice(row.webSearches);
  const line = draft("model", name);
  line.ledgerNanoUsd += row.nanoUsd - searches;
  line.estimatedNanoUsd += row.estimatedNanoUsd;
  line.ledgerTokens = plusTokens(line.ledgerTokens, row.tokens);
  if (row.webSearches > 0) draft("other", WEB_SEARCH).ledgerNanoUsd += searches;
}

/**
 * The name under which calls of an id of the ledger can be on the organisation's bill; null when they cannot: ids of clouds
 * and gateways are written with a vendor or a place, and other vendors' models are no Claude.
 */
export function billedName(model: string, nameOf: NameOf): string | null {
  const name = nameOf(model);
  return !/[/@:]|anthropic\./.test(model) && saysItsModel(name) ? name : null;
}

/** By the base rates in force that day. Fast mode is not told apart, nor a threshold below 200,000 tokens. */
function listPrice(row: ProviderUsage, table: PriceTable): bigint {
  const price = findPriceRow(table, row.model, row.dayMs + DAY_MS - 1);
  if (price === null) return 0n;
  const isLong = row.contextWindow === LONG_CONTEXT && price.long?.abovePromptTokens === LONG_CONTEXT_TOKENS;
  const rates = isLong && price.long !== undefined ? price.long.rates : price.rates;
  let pico = TOKEN_CLASSES.reduce((sum, name) => sum + row.tokens[name] * BigInt(rates[name]), 0n);
  if (row.geo === "us" && price.usPremium) pico = (pico * 11n) / 10n;
  if (row.tier === BATCH) pico /= 2n;
  return pico / PICO_PER_NANO;
}

function searchPrice(webSearches: number): bigint {
  return BigInt(webSearches) * BigInt(WEB_SEARCH_NANO_USD);
}

function stateOf({ readMs, beganMs }: Facts, dayMs: number): DayState {
  const read = readMs.get(dayMs);
  if (read === undefined) return "unread";
  if (beganMs === null || dayMs <= beganMs) return "partial";
  return isComparable(dayMs, read) ? "compared" : "fresh";
}

function judged(draft: Draft, state: DayState, { percent, minNanoUsd }: Facts): Line {
  const { providerNanoUsd, ledgerNanoUsd } = draft;
  // What came in after a day's estimates is in both sums; a part of a sum is never more than it.
  const estimatedNanoUsd = min(draft.estimatedNanoUsd, ledgerNanoUsd);
  const differenceNanoUsd = providerNanoUsd - ledgerNanoUsd;
  const size = abs(differenceNanoUsd);
  const larger = providerNanoUsd > ledgerNanoUsd ? providerNanoUsd : ledgerNanoUsd;
  const isOver = state === "compared" && size > minNanoUsd && size * 100n > larger * BigInt(percent);
  const line = { ...draft, estimatedNanoUsd, differenceNanoUsd, isOver };
  return { ...line, cause: isOver ? causeOf(line) : null };
}

function causeOf(line: Omit<Line, "cause">): DriftCause {
  const { differenceNanoUsd: difference, listNanoUsd, ledgerNanoUsd, estimatedNanoUsd } = line;
  // How much of it the tokens explain.
  const byTokens = (listNanoUsd ?? line.providerNanoUsd) - ledgerNanoUsd;
  const isPrice = abs(difference - byTokens) * 2n > abs(difference);
  if (isPrice) return "price";
  if (difference > 0n) return "unseen";
  return estimatedNanoUsd >= abs(difference) ? "estimated" : "elsewhere";
}

/** Differences over the threshold, the largest first. */
export function driftsOf({ days }: Compared): Line[] {
  return days
    .flatMap(({ lines }) => lines.filter(({ isOver }) => isOver))
    .toSorted((a, b) => compareBig(abs(b.differenceNanoUsd), abs(a.differenceNanoUsd)));
}

export function samePlace(a: DriftPlace, b: DriftPlace): boolean {
  return a.day === b.day && a.kind === b.kind && a.name === b.name;
}

function plusTokens(a: Tokens, b: Tokens): Tokens {
  return {
    input: a.input + b.input,
    output: a.output + b.output,
    cacheWrite5m: a.cacheWrite5m + b.cacheWrite5m,
    cacheWrite1h: a.cacheWrite1h + b.cacheWrite1h,
    cacheRead: a.cacheRead + b.cacheRead,
  };
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function compareBig(a: bigint, b: bigint): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
