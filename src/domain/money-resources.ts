/** What the API and the board show of money. Times are ISO 8601 in UTC, money is integer nano-USD. */
import type { Budget, LadderStep } from "./budget.ts";
import type { Total } from "./total.ts";
import type { Period } from "./window.ts";

export interface BudgetResource {
  id: string;
  name: string;
  scope: Budget["scope"];
  limitUsd: number;
  period: Period;
  timezone: string;
  enforcement: Budget["enforcement"];
  onUnavailable: Budget["onUnavailable"];
  ladder: LadderStep[];
  onReset: Budget["onReset"];
  version: number;
  createdAt: string;
  updatedAt: string;
  raises: { id: string; addUsd: number; until: string; reason: string; by: string; at: string }[];
  now: BudgetNow;
}

/** A budget in its current window. */
export interface BudgetNow {
  windowStartsAt: string;
  windowEndsAt: string;
  spentNanoUsd: number;
  /** The part the provider's own usage proves; the rest is estimated. */
  exactNanoUsd: number;
  /** Both with every digit, where a number may not hold them. */
  totals: { spentNanoUsd: Total; exactNanoUsd: Total };
  /** The limit with the raises in force. */
  limitNanoUsd: number;
  /** Spending per hour over the last `burnSpanSeconds`; of a flag that is off, what began since then. */
  burnNanoUsdPerHour: number;
  burnSpanSeconds: number;
  /** When the limit is reached at this rate; null: not in this window. */
  limitReachedAt: string | null;
  /** How far the limit can be overspent at this rate before a trip stops it. */
  overshootBoundNanoUsd: number;
  /** Ladder steps crossed now. */
  standing: string[];
  trips: { flag: string; action: "downgrade" | "kill"; atPercent: number; overriddenBy: string | null }[];
}

export interface IncidentResource {
  id: string;
  title: string;
  budget: { id: string; name: string } | null;
  /** The flag of the budget's scope; null when it has none. */
  flag: string | null;
  steps: { at: string; atPercent: number; action: string; text: string }[];
  openedAt: string;
  acknowledgedAt: string | null;
  acknowledgedBy: string | null;
  resolvedAt: string | null;
  alerts: { sent: number; waiting: number; failed: number };
}

/** What a generic webhook receives, signed by Standard Webhooks. `text` is fit to be shown as it is. */
export type AlertPayload =
  | {
      type: "incident.step";
      environment: string;
      incidentId: string;
      title: string;
      text: string;
      at: string;
      url: string;
      budget: { id: string; name: string };
      step: { atPercent: number; action: string };
      flags: string[];
      spentNanoUsd: number;
      limitNanoUsd: number;
    }
  | {
      type: "incident.resolved" | "test";
      environment: string;
      incidentId: string | null;
      title: string;
      text: string;
      at: string;
      url: string;
    };
