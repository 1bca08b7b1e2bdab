/** Spending against a limit as one bar with a mark at each ladder step. Attributes only: the policy forbids styles. */
import type { LadderStep } from "../domain/budget.ts";
import { sharePercent, usdLimit } from "./money-text.ts";
import { usd } from "../domain/alert-text.ts";
import type { Light } from "./text.ts";

const WIDTH = 300;
const HEIGHT = 10;
const MARK_WIDTH = 3;

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
  const width = Math.min(WIDTH, ((share * 100) / scale) * WIDTH);
  const marks = [...new Set([100, ...ladder.map((step) => step.atPercent)])].filter((percent) => percent < scale);
  const label = `${sharePercent(spentNanoUsd, limitNanoUsd)} % spent: ${usd(spentNanoUsd)} of ${usdLimit(limitNanoUsd)}`;
  return (
    <svg class="bar" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <rect class="bar-ground" width={WIDTH} height={HEIGHT} rx="4" />
      <rect class={`fill-${light}`} width={width.toFixed(1)} height={HEIGHT} rx="4" />
      {marks.map((percent) => (
        <rect
          class="bar-mark"
          x={((percent / scale) * WIDTH - MARK_WIDTH / 2).toFixed(1)}
          width={MARK_WIDTH}
          height={HEIGHT}
        />
      ))}
    </svg>
  );
}
