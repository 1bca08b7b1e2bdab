/** The last hour in one line: spending per minute. Scaled to its own peak, which the label names. */
import { usd } from "../domain/alert-text.ts";
import type { Light } from "./text.ts";

const WIDTH = 120;
const HEIGHT = 30;
const MARGIN = 2;

export function Sparkline({ minutesNanoUsd, light }: { minutesNanoUsd: readonly number[]; light: Light }) {
  // The minute that runs always looks like a fall until it is over: it is drawn when it has risen.
  const falls = (minutesNanoUsd.at(-1) ?? 0) < (minutesNanoUsd.at(-2) ?? 0);
  const peak = Math.max(...minutesNanoUsd, 1);
  const step = (WIDTH - 2 * MARGIN) / Math.max(1, minutesNanoUsd.length - 1);
  const points = minutesNanoUsd.slice(0, falls ? -1 : undefined).map((spent, at) => {
    const x = MARGIN + at * step;
    const y = HEIGHT - MARGIN - (spent / peak) * (HEIGHT - 2 * MARGIN);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Spending per minute over the last hour, at most ${usd(peak)} in one`}
    >
      <polyline class={`line-${light}`} points={points.join(" ")} />
    </svg>
  );
}
