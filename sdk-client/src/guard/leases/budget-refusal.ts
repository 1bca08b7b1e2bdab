/** What a budget says to a call that gets no money: words fit for users, why, and what a developer can see in it. */
import type { Held } from "./book.ts";

/**
 * - `held`: it would fit, but running calls hold the money
 * - `tooLarge`: it may cost more than the budget has left
 * - `spent`: the budget is used up
 * - `unavailable`: no server can be asked, and the budget's `onUnavailable` is `deny`
 * - `unbounded`: nobody can tell what it may cost
 */
export type BudgetBecause = "held" | "tooLarge" | "spent" | "unavailable" | "unbounded";

export interface BudgetRefusal {
  because: BudgetBecause;
  /** Of the budget. */
  name: string;
  /** When money is to be had again; null when time does not tell. */
  until: Date | null;
  message: string;
  hint: string;
}

const NANO_PER_USD = 1e9;

export function refusedAsHeld(name: string, needNanoUsd: number, held: Held | null): BudgetRefusal {
  const others =
    held === null
      ? "others hold its money"
      : held.holders === 0
        ? "no money came for it in time"
        : `${held.holders} ${held.holders === 1 ? "instance holds" : "instances hold"} ${usd(held.heldNanoUsd)} USD for calls; ` +
          `this budget runs ${Math.floor(held.restNanoUsd / Math.max(1, needNanoUsd))} such calls at once`;
  return {
    because: "held",
    name,
    until: null,
    message: "This feature is busy at the moment. Please try again in a moment.",
    hint: `budget "${name}": this call may cost ${usd(needNanoUsd)} USD, and ${others}`,
  };
}

export function refusedAsTooLarge(name: string, needNanoUsd: number, restNanoUsd: number): BudgetRefusal {
  return {
    because: "tooLarge",
    name,
    until: null,
    message: "This request may cost more than is left of its budget. Please ask for less.",
    hint: `budget "${name}": it needs ${usd(needNanoUsd)} USD, ${usd(restNanoUsd)} are left. Ask for fewer \`max_tokens\`, or set \`clampMaxTokens\``,
  };
}

export function refusedAsSpent(name: string, until: string | null): BudgetRefusal {
  const ends = until === null ? Number.NaN : Date.parse(until);
  return {
    because: "spent",
    name,
    until: Number.isNaN(ends) ? null : new Date(ends),
    message: "This feature has used up its budget for now. Please try again later.",
    hint: `budget "${name}" is spent${until === null ? "" : ` until ${until}`}`,
  };
}

export function refusedAsUnavailable(name: string): BudgetRefusal {
  return {
    because: "unavailable",
    name,
    until: null,
    message: "This feature is not available at the moment. Please try again in a moment.",
    hint: `budget "${name}": Andon cannot be asked for money, and its \`onUnavailable\` is "deny"`,
  };
}

export function refusedAsUnbounded(name: string, why: string): BudgetRefusal {
  return {
    because: "unbounded",
    name,
    until: null,
    message: "This request cannot be answered here: nobody can tell what it may cost.",
    hint: `budget "${name}" reserves, but ${why}`,
  };
}

function usd(nanoUsd: number): string {
  const amount = nanoUsd / NANO_PER_USD;
  return amount.toFixed(amount < 1 ? 4 : 2);
}
