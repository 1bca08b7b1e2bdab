/** Budgets and windows for the tests of this folder. */
import type { Budget } from "../../../src/domain/budget.ts";
import { advance, type LadderChange, openWindow, type WindowState } from "../../../src/domain/ladder.ts";
import { windowAt } from "../../../src/domain/window.ts";

export const USD = 1_000_000_000;
export const NOW_MS = Date.UTC(2026, 10, 20, 12);

/** 100 USD a day; alert at 50 %, one further at 80 %, off at 100 %. */
export function budget(changes: Partial<Budget> = {}): Budget {
  return {
    id: "b1",
    name: "support chat, daily",
    scope: { flag: "support-chat" },
    limitNanoUsd: 100 * USD,
    period: "day",
    timezone: "UTC",
    enforcement: "trip",
    onUnavailable: "allow",
    reserveWaitMs: 2_000,
    minTokens: 256,
    whenHeld: "wait",
    ladder: [
      { atPercent: 100, action: "kill" },
      { atPercent: 50, action: "alert" },
      { atPercent: 80, action: "downgrade" },
    ],
    onReset: "restore",
    paused: false,
    raises: [],
    ...changes,
  };
}

export function raise(addUsd: number, fromMs = 0, untilMs = Number.MAX_SAFE_INTEGER) {
  return { id: `r${addUsd}`, addNanoUsd: addUsd * USD, fromMs, untilMs };
}

export function today(): WindowState {
  return openWindow(windowAt("day", "UTC", NOW_MS));
}

/** One window that is driven step by step; each call answers with what is to be done, as short texts. */
export function driver(start: Budget) {
  let state = today();
  return {
    get state() {
      return state;
    },
    set state(next: WindowState) {
      state = next;
    },
    spend(usd: number, using = start, nowMs = NOW_MS): string[] {
      const result = advance(using, state, usd * USD, nowMs);
      state = result.state;
      return result.changes.map(text);
    },
  };
}

export function text(change: LadderChange): string {
  return `${change.type} ${change.key}`;
}
