/** A flag's spending against its budget and its calls over the window, each as a chart with its figures in a table. */
import { usd } from "../../domain/alert-text.ts";
import { thresholdNanoUsd } from "../../domain/ladder.ts";
import type { BudgetGlance } from "../../services/board/money.ts";
import type { FlagSpend } from "../../services/usage/flag-spend.ts";
import { clockIn, dateIn, periodNow, resetText, usdLimit, burnText, zoneName } from "../text/money.ts";
import { count } from "../text/text.ts";
import { TimeChart, type TimeChartProps } from "../chart/time-chart.tsx";

/** Points of the line; more would not be seen. */
const MAX_POINTS = 400;
const BARS = 48;
const TABLE_ROWS = 24;

interface ChartsProps {
  spend: FlagSpend;
  /** The budget that the window is of; null: a day without one. */
  budget: BudgetGlance | null;
  nowMs: number;
}

export function SpendChart({ spend, budget, nowMs }: ChartsProps) {
  const line = cumulative(spend, nowMs);
  const sum = line.at(-1)?.value ?? 0;
  const exact = spend.usage.reduce((total, row) => total + Number(row.exactNanoUsd), 0);
  const unpriced = spend.usage.reduce((total, row) => total + (row.unpriced ?? 0), 0);
  const marks = tripsOf(spend, budget).map(({ sinceMs, action, model }) => ({
    atMs: sinceMs,
    value: valueAt(line, sinceMs),
    label: `${clockIn(sinceMs, spend.timezone)} ${action === "kill" ? "off" : `→ ${model ?? "downgraded"}`}`,
    kind: action === "kill" ? ("off" as const) : ("downgraded" as const),
  }));
  const title = `Spend ${periodNow(spend.period)}${budget === null ? "" : " against budget"}`;
  return (
    <section class="card" aria-labelledby="spend-title">
      <div class="title">
        <h2 id="spend-title">{title}</h2>
        <p class="dim">
          {budget === null ? (
            <>
              {usd(sum)} · no budget · times in {spend.timezone}
            </>
          ) : (
            <>
              {usd(budget.spentNanoUsd)} of {usdLimit(budget.limitNanoUsd)} · {burnText(budget.burnNanoUsdPerHour)} ·{" "}
              {resetText(budget.windowEndsAt, budget.timezone, budget.period)}
            </>
          )}
        </p>
      </div>
      <TimeChart
        id="spend"
        title={title}
        description={descriptionOf(sum, budget, marks)}
        {...frameOf(spend)}
        line={line}
        levels={levelsOf(budget)}
        marks={marks}
        valueText={usdLimit}
      />
      <p class="dim">
        {usd(exact)} exact, by the provider's own count; {usd(sum - exact)} estimated, of calls that broke off.
        {unpriced === 0
          ? null
          : ` In both, ${count(unpriced, "attempt")} at a model without a price, at the dearest rate.`}
      </p>
      <Table spend={spend} nowMs={nowMs} />
    </section>
  );
}

export function CallsChart({ spend, nowMs }: Omit<ChartsProps, "budget">) {
  const slots = slotsOf(spend, nowMs, BARS);
  const calls = slots.reduce((sum, slot) => sum + slot.calls, 0);
  const errors = slots.reduce((sum, slot) => sum + slot.errors, 0);
  const title = `Calls ${periodNow(spend.period)}`;
  return (
    <section class="card" aria-labelledby="calls-title">
      <div class="title">
        <h2 id="calls-title">{title}</h2>
        <p class="dim">
          {count(calls, "call")} · {errors === 0 ? "no errors" : `${count(errors, "error")} (bright)`}
        </p>
      </div>
      <TimeChart
        id="calls"
        title={title}
        description={`${count(calls, "call")}, ${count(errors, "error")}; the figures are in the table of the chart above.`}
        {...frameOf(spend)}
        bars={slots.map(({ fromMs, toMs, attempts, errors: part }) => ({ fromMs, toMs, value: attempts, part }))}
        valueText={(value) => (Number.isInteger(value) ? String(value) : "")}
      />
    </section>
  );
}

/** Steps that acted at one moment are one mark: the strongest. */
function tripsOf({ trips }: FlagSpend, budget: BudgetGlance | null): FlagSpend["trips"] {
  const own = trips.filter((trip) => trip.budgetId === budget?.id);
  return own.filter((trip) => !own.some((other) => other.sinceMs === trip.sinceMs && other.atPercent > trip.atPercent));
}

function frameOf({ startMs, endMs, period, timezone }: FlagSpend) {
  return { startMs, endMs, period, timezone };
}

/** The limit, and each step below or above it that switches something. */
function levelsOf(budget: BudgetGlance | null): NonNullable<TimeChartProps["levels"]> {
  if (budget === null) return [];
  const { limitNanoUsd, enforcement, ladder } = budget;
  const acts = enforcement === "track" ? [] : ladder.filter((step) => step.action !== "alert");
  const atLimit = acts.find((step) => step.atPercent === 100);
  return [
    {
      value: limitNanoUsd,
      label: `limit ${usdLimit(limitNanoUsd)}${atLimit === undefined ? "" : `: ${atLimit.action}`}`,
      kind: atLimit === undefined ? "on" : atLimit.action === "kill" ? "off" : "downgraded",
    },
    ...acts
      .filter((step) => step.atPercent !== 100)
      .map((step) => ({
        value: thresholdNanoUsd(limitNanoUsd, step.atPercent),
        label: `${step.atPercent} %: ${step.action}`,
        kind: step.action === "kill" ? ("off" as const) : ("downgraded" as const),
      })),
  ];
}

function cumulative(spend: FlagSpend, nowMs: number): { atMs: number; value: number }[] {
  const points = [{ atMs: spend.startMs, value: 0 }];
  let sum = 0;
  for (const row of spend.usage) {
    const atMs = row.at === null ? spend.startMs : Date.parse(row.at);
    // Flat until the spending of this bucket began.
    points.push({ atMs, value: sum });
    sum += Number(row.costNanoUsd);
    points.push({ atMs: Math.min(nowMs, atMs + bucketMs(spend)), value: sum });
  }
  points.push({ atMs: nowMs, value: sum });
  const every = Math.ceil(points.length / MAX_POINTS);
  return points.filter((_, at) => at % every === 0 || at === points.length - 1);
}

function bucketMs({ period }: FlagSpend): number {
  return period === "week" || period === "month" ? 3_600_000 : 60_000;
}

function valueAt(line: readonly { atMs: number; value: number }[], atMs: number): number {
  return line.find((point) => point.atMs >= atMs)?.value ?? line.at(-1)?.value ?? 0;
}

interface Slot {
  fromMs: number;
  toMs: number;
  spentNanoUsd: number;
  calls: number;
  attempts: number;
  errors: number;
}

/** The window in `n` equal parts, up to now. */
function slotsOf(spend: FlagSpend, nowMs: number, n: number): Slot[] {
  const lengthMs = Math.max(bucketMs(spend), (spend.endMs - spend.startMs) / n);
  const slots: Slot[] = [];
  for (let fromMs = spend.startMs; fromMs < Math.min(nowMs, spend.endMs); fromMs += lengthMs) {
    slots.push({ fromMs, toMs: fromMs + lengthMs, spentNanoUsd: 0, calls: 0, attempts: 0, errors: 0 });
  }
  for (const row of spend.usage) {
    const at = row.at === null ? 0 : Math.floor((Date.parse(row.at) - spend.startMs) / lengthMs);
    const slot = slots[at];
    if (slot === undefined) continue;
    slot.spentNanoUsd += Number(row.costNanoUsd);
    slot.calls += row.calls;
    slot.attempts += row.attempts;
    slot.errors += row.errors;
  }
  return slots;
}

function Table({ spend, nowMs }: { spend: FlagSpend; nowMs: number }) {
  const slots = slotsOf(spend, nowMs, TABLE_ROWS).filter((slot) => slot.attempts > 0);
  const long = spend.period === "week" || spend.period === "month";
  return (
    <details id="figures">
      <summary class="line-summary">The figures</summary>
      <div class="scroll" tabindex={0} role="region" aria-label="Figures of the charts">
        <table>
          <thead>
            <tr>
              <th scope="col">From, {zoneName(spend.timezone)}</th>
              <th scope="col">Spent</th>
              <th scope="col">Calls</th>
              <th scope="col">Attempts</th>
              <th scope="col">Errors</th>
            </tr>
          </thead>
          <tbody>
            {slots.map((slot) => (
              <tr>
                <th scope="row">
                  {long ? `${dateIn(slot.fromMs, spend.timezone)} ` : ""}
                  {clockIn(slot.fromMs, spend.timezone)}
                </th>
                <td>{usd(slot.spentNanoUsd)}</td>
                <td>{slot.calls}</td>
                <td>{slot.attempts}</td>
                <td>{slot.errors}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function descriptionOf(sum: number, budget: BudgetGlance | null, marks: readonly { label: string }[]): string {
  const limit = budget === null ? "" : ` of ${usdLimit(budget.limitNanoUsd)}`;
  const events = marks.length === 0 ? "" : ` Marked: ${marks.map((mark) => mark.label).join(", ")}.`;
  return `The sum so far: ${usd(sum)}${limit}.${events}`;
}
