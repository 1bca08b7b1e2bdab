/** A budget as its form has it, and the way from there to what the service takes. Field names are the API's paths. */
import { type BudgetResource, createBudgetBody, type NewBudget } from "../../api/budget.ts";
import { DEFAULT_MIN_TOKENS, DEFAULT_RESERVE_WAIT_MS, MAX_LADDER_STEPS } from "../../domain/budget.ts";

import type { Form } from "../shell/page-context.ts";
import { parseForm } from "../form/submit.ts";

export interface LadderDraft {
  atPercent: string;
  action: string;
  level: string;
}

export interface BudgetDraft {
  name: string;
  /** `""`: all flags. */
  flag: string;
  /** `each` or one id; `""`: all together. */
  user: string;
  session: string;
  /** Flags with this tag; `""`: all. */
  tag: string;
  /** `""`: all models. */
  model: string;
  limitUsd: string;
  period: string;
  timezone: string;
  enforcement: string;
  /** Under `reserve`. */
  onUnavailable: string;
  reserveWaitMs: string;
  minTokens: string;
  whenHeld: string;
  onReset: string;
  paused: boolean;
  ladder: LadderDraft[];
}

/** What a budget does unless somebody says otherwise. */
export const EMPTY_BUDGET: BudgetDraft = {
  name: "",
  flag: "",
  user: "",
  session: "",
  tag: "",
  model: "",
  limitUsd: "",
  period: "day",
  timezone: "UTC",
  enforcement: "trip",
  onUnavailable: "allow",
  reserveWaitMs: String(DEFAULT_RESERVE_WAIT_MS),
  minTokens: String(DEFAULT_MIN_TOKENS),
  whenHeld: "wait",
  onReset: "restore",
  paused: false,
  ladder: [
    { atPercent: "50", action: "alert", level: "" },
    { atPercent: "80", action: "downgrade", level: "" },
    { atPercent: "100", action: "kill", level: "" },
  ],
};

export function budgetDraftOf(budget: BudgetResource): BudgetDraft {
  return {
    name: budget.name,
    flag: budget.scope.flag ?? "",
    user: budget.scope.user ?? "",
    session: budget.scope.session ?? "",
    tag: budget.scope.tag ?? "",
    model: budget.scope.model ?? "",
    limitUsd: String(budget.limitUsd),
    period: budget.period,
    timezone: budget.timezone,
    enforcement: budget.enforcement,
    onUnavailable: budget.onUnavailable,
    reserveWaitMs: String(budget.reserveWaitMs),
    minTokens: String(budget.minTokens),
    whenHeld: budget.whenHeld,
    onReset: budget.onReset,
    paused: budget.paused,
    ladder: budget.ladder.map((step) => ({
      atPercent: String(step.atPercent),
      action: step.action,
      level: step.level === undefined ? "" : String(step.level),
    })),
  };
}

export function budgetDraftFrom(form: Form): BudgetDraft {
  const ladder: LadderDraft[] = [];
  for (let at = 0; at < MAX_LADDER_STEPS && form.has(`ladder.${at}.atPercent`); at += 1) {
    const path = `ladder.${at}`;
    ladder.push({
      atPercent: form.trimmed(`${path}.atPercent`),
      action: form.text(`${path}.action`),
      level: form.trimmed(`${path}.level`),
    });
  }
  return {
    name: form.trimmed("name"),
    flag: form.text("scope.flag"),
    user: form.trimmed("scope.user"),
    session: form.trimmed("scope.session"),
    tag: form.trimmed("scope.tag"),
    model: form.trimmed("scope.model"),
    limitUsd: form.trimmed("limitUsd"),
    period: form.text("period"),
    timezone: form.trimmed("timezone"),
    enforcement: form.text("enforcement"),
    onUnavailable: form.text("onUnavailable") || EMPTY_BUDGET.onUnavailable,
    reserveWaitMs: form.trimmed("reserveWaitMs") || EMPTY_BUDGET.reserveWaitMs,
    minTokens: form.trimmed("minTokens") || EMPTY_BUDGET.minTokens,
    whenHeld: form.text("whenHeld") || EMPTY_BUDGET.whenHeld,
    onReset: form.text("onReset"),
    paused: form.has("paused"),
    ladder,
  };
}

/** `add-step`, `remove-step.1`: what a button other than "save" does. Null for "save". */
export function reshapedBudget(draft: BudgetDraft, operation: string): BudgetDraft | null {
  const [verb = "", position = ""] = operation.split(".");
  const ladder = structuredClone(draft.ladder);
  switch (verb) {
    case "add-step":
      if (ladder.length < MAX_LADDER_STEPS) ladder.push({ atPercent: "", action: "alert", level: "" });
      break;
    case "remove-step":
      ladder.splice(Number(position), 1);
      break;
    default:
      return null;
  }
  return { ...draft, ladder };
}

/** The budget as the service takes it. INVALID with the path of each fault. */
export function parseBudget(draft: BudgetDraft): NewBudget {
  const { flag, tag, model, user, session, limitUsd, ladder, reserveWaitMs, minTokens, ...rest } = draft;
  return parseForm(createBudgetBody, {
    ...rest,
    scope: {
      ...(flag !== "" && { flag }),
      ...(tag !== "" && { tag }),
      ...(model !== "" && { model }),
      ...(user !== "" && { user }),
      ...(session !== "" && { session }),
    },
    limitUsd: amountOf(limitUsd),
    reserveWaitMs: amountOf(reserveWaitMs),
    minTokens: amountOf(minTokens),
    ladder: ladder.map(({ atPercent, action, level }) => ({
      atPercent: atPercent === "" ? Number.NaN : Number(atPercent),
      action,
      // A level left over from another action means nothing.
      ...(level !== "" && action === "downgrade" && { level: Number(level) }),
    })),
  });
}

/** "$1,200.50" as people write it; NaN for anything that is no amount. */
export function amountOf(text: string): number {
  const plain = text.replace(/^\$\s*/, "").replaceAll(/,(?=\d{3}(?:\D|$))/g, "");
  return /^\d+(?:\.\d+)?$/.test(plain) ? Number(plain) : Number.NaN;
}
