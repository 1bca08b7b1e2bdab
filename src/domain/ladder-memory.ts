/** What is stored of a budget's window between two looks at its ladder. */
import type { Budget } from "./budget.ts";
import type { Override, WindowState } from "./ladder.ts";
import { windowAt } from "./window.ts";

export interface LadderMemory {
  standing: readonly string[];
  acted: readonly { step: string; limitNanoUsd: number }[];
  overrides: Readonly<Record<string, Override>>;
}

export interface StoredWindow {
  startsAt: Date;
  endsAt: Date;
  spentNanoUsd: number;
  ladderState: LadderMemory | null;
  closedAt: Date | null;
}

/** The ladder's state of a stored window. */
export function windowState(budget: Pick<Budget, "period" | "timezone">, stored: StoredWindow): WindowState {
  const startMs = stored.startsAt.getTime();
  const { key } = windowAt(budget.period, budget.timezone, startMs);
  return {
    window: { startMs, endMs: stored.endsAt.getTime(), key },
    spentNanoUsd: stored.spentNanoUsd,
    standing: stored.ladderState?.standing ?? [],
    acted: stored.ladderState?.acted ?? [],
    overrides: stored.ladderState?.overrides ?? {},
    closed: stored.closedAt !== null,
  };
}

export function memoryOf(state: WindowState): LadderMemory {
  const { standing, acted, overrides } = state;
  return { standing, acted, overrides };
}
