/**
 * A chart over a window of time, drawn on the server: a line or bars, levels across it and marked moments. Drawn twice,
 * for wide and for narrow screens, so that its words can be read on both; those who do not see it have its description
 * and the table beside it.
 */
import type { Period } from "../../domain/window.ts";
import { timeTicks, valueTicks } from "./axis.ts";
import { placeLevels, placeMarks, type Spot } from "./labels.ts";
import { zoneName } from "../text/money.ts";

export interface TimeChartProps {
  /** Unique on the page. */
  id: string;
  title: string;
  description: string;
  startMs: number;
  endMs: number;
  period: Period | "year";
  timezone: string;
  /** A line with the ground under it filled; ordered by time. */
  line?: readonly { atMs: number; value: number }[];
  /** Bars from `fromMs` to `toMs`; `part` of each is drawn brighter. */
  bars?: readonly { fromMs: number; toMs: number; value: number; part: number }[];
  /** Levels across the chart. */
  levels?: readonly { value: number; label: string; kind: "on" | "downgraded" | "off" }[];
  marks?: readonly { atMs: number; value: number; label: string; kind: "downgraded" | "off" }[];
  valueText: (value: number) => string;
}

interface Size {
  name: "wide" | "narrow";
  width: number;
  height: number;
}

const SIZES: readonly Size[] = [
  { name: "wide", width: 760, height: 256 },
  { name: "narrow", width: 330, height: 246 },
];
const TOP = 14;
/** Room for the clock, and for the zone under it. */
const BOTTOM = 40;
/** Room for the values at the left. */
const LEFT = 46;
const RIGHT = 6;
const HEADROOM = 1.08;
const MAX_VALUE_TICKS = 4;
/** A level's label is left out when another one is nearer than this. */
const LABEL_HEIGHT = 15;

export function TimeChart(props: TimeChartProps) {
  return (
    <div class="chart">
      {SIZES.map((size) => (
        <Drawing {...props} size={size} />
      ))}
    </div>
  );
}

function Drawing(props: TimeChartProps & { size: Size }) {
  const { size, startMs, endMs, line = [], bars = [], levels = [], marks = [], valueText } = props;
  const { width, height, name } = size;
  const highest = Math.max(...[...line, ...bars, ...levels].map((one) => one.value), 0);
  const max = highest === 0 ? 1 : highest * HEADROOM;
  const x = (atMs: number) => LEFT + ((atMs - startMs) / (endMs - startMs)) * (width - LEFT - RIGHT);
  const y = (value: number) => TOP + (1 - value / max) * (height - TOP - BOTTOM);
  const ticks = valueTicks(max, MAX_VALUE_TICKS).filter((value) =>
    levels.every((level) => Math.abs(y(value) - y(level.value)) >= LABEL_HEIGHT),
  );
  // The words of a level may stand higher than the frame of the figures.
  const frame = { left: LEFT, right: width - RIGHT, top: 0, bottom: y(0) };
  const levelSpots = placeLevels(
    levels.map(({ value, label }) => ({ y: y(value), label })),
    frame,
  );
  const markSpots = placeMarks(
    marks.map(({ atMs, value, label }) => ({ x: x(atMs), y: y(value), label })),
    levels.map(({ label }, at) => ({ label, spot: levelSpots[at] ?? null })),
    frame,
  );
  const points = line.map(({ atMs, value }) => `${x(atMs).toFixed(1)},${y(value).toFixed(1)}`);
  const [first] = line;
  const last = line.at(-1);
  const ground = y(0).toFixed(1);
  const titleId = `${props.id}-${name}-title`;
  const descriptionId = `${props.id}-${name}-description`;
  return (
    <svg
      class={`drawing-${name}`}
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-labelledby={`${titleId} ${descriptionId}`}
    >
      <title id={titleId}>{props.title}</title>
      <desc id={descriptionId}>{props.description}</desc>
      {ticks.map((value) => (
        <line class="grid" x1={LEFT} x2={width - RIGHT} y1={y(value).toFixed(1)} y2={y(value).toFixed(1)} />
      ))}
      <line class="axis" x1={LEFT} x2={width - RIGHT} y1={ground} y2={ground} />
      {bars.map(({ fromMs, toMs, value, part }) => {
        const barWidth = Math.max(1, x(toMs) - x(fromMs) - 1).toFixed(1);
        return (
          <>
            <rect
              class="bar-all"
              x={x(fromMs).toFixed(1)}
              y={y(value).toFixed(1)}
              width={barWidth}
              height={Math.max(0, y(0) - y(value)).toFixed(1)}
            />
            {part === 0 ? null : (
              <rect
                class="bar-part"
                x={x(fromMs).toFixed(1)}
                y={y(part).toFixed(1)}
                width={barWidth}
                height={Math.max(1, y(0) - y(part)).toFixed(1)}
              />
            )}
          </>
        );
      })}
      {first === undefined || last === undefined ? null : (
        <>
          <polygon
            class="area"
            points={`${x(first.atMs).toFixed(1)},${ground} ${points.join(" ")} ${x(last.atMs).toFixed(1)},${ground}`}
          />
          <polyline class="line" points={points.join(" ")} />
        </>
      )}
      {levels.map(({ value, label, kind }, at) => (
        <>
          <line
            class={`level level-${kind}`}
            x1={LEFT}
            x2={width - RIGHT}
            y1={y(value).toFixed(1)}
            y2={y(value).toFixed(1)}
          />
          <Word spot={levelSpots[at]} kind={kind} label={label} />
        </>
      ))}
      {marks.map(({ atMs, value, label, kind }, at) => (
        <>
          <circle class={`fill-${kind}`} cx={x(atMs).toFixed(1)} cy={y(value).toFixed(1)} r="5">
            <title>{label}</title>
          </circle>
          <Word spot={markSpots[at]} kind={kind} label={label} />
        </>
      ))}
      {ticks.map((value) => (
        <text class="tick" x={LEFT - 6} y={(y(value) + 4).toFixed(1)} text-anchor="end">
          {valueText(value)}
        </text>
      ))}
      {timeTicks(props, name === "narrow").map(({ at, label }) => (
        <text
          class="tick"
          x={x(at).toFixed(1)}
          y={height - 22}
          text-anchor={at === startMs ? "start" : at === endMs ? "end" : "middle"}
        >
          {label}
        </text>
      ))}
      <text class="tick" x={width - RIGHT} y={height - 5} text-anchor="end">
        {`${zoneName(props.timezone)} time`}
      </text>
    </svg>
  );
}

function Word({ spot, kind, label }: { spot: Spot | null | undefined; kind: string; label: string }) {
  if (spot === null || spot === undefined) return null;
  return (
    <text class={`label word-${kind}`} x={spot.x.toFixed(1)} y={spot.y.toFixed(1)} text-anchor={spot.anchor}>
      {label}
    </text>
  );
}
