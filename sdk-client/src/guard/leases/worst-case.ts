/**
 * The most that one attempt can cost, before it is sent. Invariant: it is never below the bill of what is sent; what nothing
 * bounds has no worst case, and is refused in words.
 */
import { priceUsage } from "../../pricing/price.ts";
import type { PriceTable } from "../../pricing/price-table.ts";
import type { UsagePart } from "../../pricing/usage.ts";
import type { TokenUsage } from "../../wire/usage-protocol.ts";
import { type Asked, mostParts } from "../attempt-usage.ts";
import { namesDocuments } from "../prompt-bound.ts";
import type { Body } from "../request.ts";
import { serverToolsOf } from "../server-tools.ts";

export type WorstCase =
  | { kind: "bounded"; nanoUsd: number; /** Of that, whatever its answer will be. */ promptNanoUsd: number }
  /** `canCount`: the API's count of tokens would bound it. `why` ends a sentence that begins "Its budget reserves, but". */
  | { kind: "unbounded"; why: string; canCount: boolean };

/** Prices a request. `asked.body` is the body as it would be sent; `batch`: as one of a message batch. */
export function worstCase(asked: Asked, table: PriceTable, atMs: number, batch = false): WorstCase {
  const body = asked.body ?? {};
  const unbounded = whyUnbounded(body, asked);
  if (unbounded !== null) return { kind: "unbounded", ...unbounded };
  let nanoUsd = 0;
  let promptNanoUsd = 0;
  for (const each of mostParts(asked)) {
    const cost = (usage: TokenUsage): number =>
      priceUsage(table, { ...pricedAs(each, batch), atMs, usage }).costNanoUsd;
    nanoUsd += cost(each.usage);
    promptNanoUsd += cost({ ...each.usage, output: 0 });
  }
  return { kind: "bounded", nanoUsd, promptNanoUsd };
}

/** What an attempt can still cost once the API has told its prompt, with this much output at most. */
export function worstCaseOf(main: UsagePart, maxTokens: number, table: PriceTable, atMs: number): number {
  return priceUsage(table, { ...pricedAs(main, false), atMs, usage: { ...main.usage, output: maxTokens } }).costNanoUsd;
}

function pricedAs(
  { model, fast, geo }: UsagePart,
  batch: boolean,
): Pick<UsagePart, "model" | "fast" | "geo" | "batch"> {
  return { model, fast, geo, batch };
}

function whyUnbounded(body: Body, asked: Asked): { why: string; canCount: boolean } | null {
  if (!isCount(body["max_tokens"])) return { why: "it has no `max_tokens`", canCount: false };
  const { unstated, advisors } = serverToolsOf(body);
  if (unstated !== null && asked.toolUses === undefined) {
    const why = `its tool ${unstated} states no \`max_uses\`, and the guard has no \`toolUses\``;
    return { why, canCount: false };
  }
  if (advisors.some(({ maxTokens }) => maxTokens === null)) {
    return { why: "its advisor states no `max_tokens`", canCount: false };
  }
  if (asked.counted !== null || asked.documentTokens !== undefined || !namesDocuments(body["messages"])) return null;
  return { why: "it names a document by URL or file id, and the guard has no `documentTokens`", canCount: true };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
