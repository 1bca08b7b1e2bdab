/**
 * The last hour in one line: spending per minute, two minutes a point. Scaled to its own peak, which the label names.
 * In whole steps: two hundred of them are on a page, and nobody sees a tenth of a pixel.
 */
import { usd } from "../../domain/alert-text.ts";
import type { Light } from "../text/text.ts";

const WIDTH = 120;
const HEIGHT = 30;
const MARGIN = 2;

interface SparklineProps {
  id?: string;
  minutesNanoUsd: readonly number[];
  light: Light;
}

export function Sparkline({ id, minutesNanoUsd, light }: SparklineProps) {
  const pairs = inPairs(minutesNanoUsd);
  // The minutes that run always look like a fall until they are over: they are drawn when they have risen.
  const falls = (pairs.at(-1) ?? 0) < (pairs.at(-2) ?? 0);
  const peak = Math.max(...pairs, 1);
  const step = (WIDTH - 2 * MARGIN) / Math.max(1, pairs.length - 1);
  const points = pairs.slice(0, falls ? -1 : undefined).map((spent, at) => {
    const y = HEIGHT - MARGIN - (spent / peak) * (HEIGHT - 2 * MARGIN);
    return `${Math.round(MARGIN + at * step)},${Math.round(y)}`;
  });
  return (
    <svg
      id={id}
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Spending per minute over the last hour, at most ${usd(Math.max(...minutesNanoUsd, 0))} in one`}
    >
      <polyline class={`line-${light}`} points={points.join(" ")} />
    </svg>
  );
}

/** Sums of two neighbours each. */
function inPairs(minutes: readonly number[]): number[] {
  return minutes.flatMap((spent, at) => (at % 2 === 0 ? [spent + (minutes[at + 1] ?? 0)] : []));
}
