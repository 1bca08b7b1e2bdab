/** Spending against a limit as one bar with a mark at each ladder step. Attributes only: the policy forbids styles. */
import type { LadderStep } from "../../domain/budget.ts";
import { sharePercent, usdLimit } from "../text/money.ts";
import { usd } from "../../domain/alert-text.ts";
import type { Light } from "../text/text.ts";

const MARK_PX = 3;

export interface SpendBarProps {
  spentNanoUsd: number;
  limitNanoUsd: number;
  ladder: readonly LadderStep[];
  /** What the colour means: on, downgraded or off. */
  light: Light;
}

export function SpendBar({ spentNanoUsd, limitNanoUsd, ladder, light }: SpendBarProps) {
  const share = limitNanoUsd <= 0 ? 1 : spentNanoUsd / limitNanoUsd;
  const scale = Math.max(100, ...ladder.map((step) => step.atPercent));
  const filled = Math.min(100, ((share * 100) / scale) * 100);
  const marks = [...new Set([100, ...ladder.map((step) => step.atPercent)])].filter((percent) => percent < scale);
  const label = `${sharePercent(spentNanoUsd, limitNanoUsd)} % spent: ${usd(spentNanoUsd)} of ${usdLimit(limitNanoUsd)}`;
  return (
    <svg class="bar" width="100%" height="10" role="img" aria-label={label}>
      <rect class="bar-ground" width="100%" height="100%" rx="4" />
      <rect class={`fill-${light}`} width={`${filled.toFixed(2)}%`} height="100%" rx="4" />
      {marks.map((percent) => (
        <rect class="bar-mark" x={`${((percent / scale) * 100).toFixed(2)}%`} width={MARK_PX} height="100%" />
      ))}
    </svg>
  );
}
