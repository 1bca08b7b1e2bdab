/** How the commands speak of money. Sums are rounded up to a cent, so that nothing looks cheaper than it is; their parts add up. */
import { RATE_NAMES } from "../api/price.ts";
import { unknownWords, usd } from "../domain/alert-text.ts";
import { NANO_PER_USD } from "../domain/budget.ts";
import { usdParts } from "../domain/usd-parts.ts";
import { aPeriod } from "../domain/window.ts";
import { kindText, signedUsd } from "../domain/drift-words.ts";
import type { BudgetLine, PriceLine, PutPriceAnswer, ReconciliationLines, UsageAnswer } from "./answers.ts";
import { moment } from "./text.ts";

/** `Support chat, daily: $12.40 of $100.00 a day (12 %), $3.20/h, limit reached 17:40 …; trip`. */
export function budgetLine(budget: BudgetLine): string {
  const { name, enforcement, now, paused } = budget;
  const how = paused ? "paused" : enforcement;
  if (now.subjects !== null) {
    return `${name}: ${usd(now.limitNanoUsd)} for each, ${periodOf(budget)}; ${subjectsText(now.subjects)}; ${how}`;
  }
  const percent = Math.floor((Number(now.spentNanoUsd) / Math.max(1, now.limitNanoUsd)) * 100);
  const spent = `${usd(Number(now.spentNanoUsd))} of ${usd(now.limitNanoUsd)} ${periodOf(budget)} (${String(percent)} %)`;
  const reached =
    Number(now.spentNanoUsd) >= now.limitNanoUsd
      ? ", limit reached"
      : now.limitReachedAt === null
        ? ""
        : `, limit reached ${moment(now.limitReachedAt)} at this rate`;
  return `${name}: ${spent}, ${usd(now.burnNanoUsdPerHour)}/h${reached}; ${how}`;
}

type Subjects = NonNullable<BudgetLine["now"]["subjects"]>;

/** Each has the limit alone: a sum, or a share of it, would say nothing. */
function subjectsText({ counted, stopped, downgraded, warned }: Subjects): string {
  const held = [
    ...(stopped > 0 ? [`${String(stopped)} stopped`] : []),
    ...(downgraded > 0 ? [`${String(downgraded)} downgraded`] : []),
    ...(warned > 0 ? [`${String(warned)} near it`] : []),
  ];
  return [`${String(counted)} spent from it`, ...held].join(", ");
}

/** Whom it holds, or who spent most; of a `reserve` budget, what calls and silent clients hold. */
function holdsLines({ subjects, leases, bound }: BudgetLine["now"]): string[] {
  const top = subjects?.top ?? [];
  return [
    ...top.map(({ user, session, spentNanoUsd, action }) => {
      const who = [user, session].filter((one) => one !== undefined).join(" · ");
      return `  ${who}: ${usd(spentNanoUsd)}${action === null ? "" : `, ${action}`}`;
    }),
    ...(leases === null
      ? []
      : [
          `  held for calls ${usd(leases.heldNanoUsd)} by ${String(leases.holders)} clients, ${String(leases.waiting)} calls wait; indeterminate ${usd(leases.indeterminateNanoUsd)}`,
          ...(bound.notReporting > 0
            ? [`  ${unknownWords(bound.notReporting)}: they may send calls that nothing was set aside for`]
            : []),
        ]),
  ];
}

export function budgetLines(budget: BudgetLine): string[] {
  const { id, ladder, raises, now, scope } = budget;
  const counts = Object.entries(scope).map(([kind, value]) => `${kind} ${value}`);
  return [
    budgetLine(budget),
    `  id ${id}; counts ${counts.length === 0 ? "all calls of the environment" : `calls of ${counts.join(", ")}`}`,
    `  window from ${moment(now.windowStartsAt)} to ${moment(now.windowEndsAt)}`,
    ...ladder.map(({ atPercent, action }) => `  at ${String(atPercent)} %: ${action}`),
    ...raises.map(
      ({ addUsd, until, by, reason }) =>
        `  raised by ${usd(Math.round(addUsd * NANO_PER_USD))} until ${moment(until)} by ${by}, "${reason}"`,
    ),
    ...holdsLines(now),
    ...now.trips.map(
      ({ flag, action, atPercent, overriddenBy }) =>
        `  ${flag}: ${action} at ${String(atPercent)} %${overriddenBy === null ? "" : `, overridden by ${overriddenBy}`}`,
    ),
  ];
}

export function raisedLine(budget: BudgetLine): string {
  const [raise] = budget.raises.toSorted((a, b) => (a.at < b.at ? 1 : -1));
  return `Raised${raise === undefined ? "" : ` until ${moment(raise.until)}`}. ${budgetLine(budget)}`;
}

function periodOf({ period }: BudgetLine): string {
  // A newer server may know more periods.
  return period === "hour" || period === "day" || period === "week" || period === "month" ? aPeriod(period) : period;
}

/** A table by what is grouped by, dearest first unless over time, and the sum of all. */
export function usageLines({ from, to, groupBy, bucket, source, items, rest = [] }: UsageAnswer): string[] {
  const span = `From ${moment(from)} to ${moment(to)}`;
  if (items.length + rest.length === 0) return [`${span}: no calls.`];
  const rows = bucket === null ? items.toSorted((a, b) => Number(b.costNanoUsd) - Number(a.costNanoUsd)) : items;
  const nameOf = (row: (typeof items)[number]): string[] =>
    groupBy.map((group) => {
      const name = new Map<string, unknown>(Object.entries(row)).get(group);
      return typeof name === "string" && name !== "" ? name : "(none)";
    });
  const total = {
    cost: [...items, ...rest].reduce((sum, row) => sum + Number(row.costNanoUsd), 0),
    calls: [...items, ...rest].reduce((sum, row) => sum + row.calls, 0),
    errors: [...items, ...rest].reduce((sum, row) => sum + row.errors, 0),
  };
  const spent = usdParts([...rows, ...rest].map((row) => BigInt(row.costNanoUsd)));
  const table = [
    [...(bucket === null ? [] : ["from"]), ...groupBy, "spent", "calls", "errors", "prompt", "output"],
    ...[...rows, ...rest].map((row, at) => [
      ...(bucket === null ? [] : [moment(row.at ?? from)]),
      ...(rest.includes(row) ? nameOf(row).map((name) => (name === "(none)" ? "(the rest)" : name)) : nameOf(row)),
      spent[at] ?? "",
      String(row.calls),
      String(row.errors),
      String(row.promptTokens),
      String(row.outputTokens),
    ]),
  ];
  return [
    `${span}: ${usd(total.cost)}, ${String(total.calls)} calls, ${String(total.errors)} errors.`,
    ...aligned(table, (bucket === null ? 0 : 1) + groupBy.length),
    ...(source === "recentCalls" ? ["Of the calls that are kept: under load only the newest of each moment are."] : []),
  ];
}

const NOT_COMPARED: Readonly<Record<string, string>> = {
  unmapped: "This environment is not compared: ANDON_ANTHROPIC_WORKSPACES of the server does not name its workspaces.",
  hidden: "The bill is compared with all environments together, which this token does not see.",
};

/** What differs, in words; then each day with its models. */
export function reconciliationLines({ configured, scope, poll, days, unmappedNanoUsd }: ReconciliationLines): string[] {
  if (!configured) {
    return [
      "Claude's bill is not read: the server has no ANDON_ANTHROPIC_ADMIN_KEY (an admin key of the organisation).",
    ];
  }
  const notCompared = NOT_COMPARED[scope];
  if (notCompared !== undefined) return [notCompared];
  const read = poll?.readAt ?? null;
  const over = days.flatMap(({ lines }) => lines.flatMap(({ text }) => text ?? []));
  const table = [
    ["day", "model", "billed", "counted", "estimated", "difference"],
    ...days.flatMap(({ day, state, lines }) =>
      lines.map((line) => [
        day,
        line.kind === "model" ? line.name : kindText(line.name),
        ...[line.providerNanoUsd, line.ledgerNanoUsd, line.estimatedNanoUsd].map((sum) => usd(Number(sum))),
        `${signedUsd(Number(line.differenceNanoUsd))}${state === "compared" ? "" : ` (${state})`}`,
      ]),
    ),
  ];
  return [
    read === null ? "Claude's bill was not read yet." : `Claude's bill was read ${moment(read)}.`,
    ...(poll?.error === null || poll === null ? [] : [poll.error]),
    ...(over.length === 0 ? ["No difference is over the threshold."] : over),
    ...(unmappedNanoUsd === null ? [] : [`Elsewhere in the organisation: ${usd(Number(unmappedNanoUsd))}.`]),
    ...(table.length === 1 ? [] : aligned(table, 2)),
  ];
}

/** Names to the left, figures to the right. */
function aligned(rows: readonly (readonly string[])[], names: number): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, at) => (at < names ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

export function priceLines(items: readonly PriceLine[]): string[] {
  const rows = items.flatMap((price) => [
    [price.model, ...figures(price.usdPerMillion), whenOf(price)],
    ...(price.fastUsdPerMillion === null ? [] : [["  fast mode", ...figures(price.fastUsdPerMillion), ""]]),
    ...(price.long === null
      ? []
      : [[`  above ${String(price.long.abovePromptTokens)} tokens`, ...figures(price.long.usdPerMillion), ""]]),
  ]);
  const heads = ["USD per million tokens", "input", "output", "write 5m", "write 1h", "read", ""];
  const widths = heads.map((_, at) => Math.max(...[heads, ...rows].map((row) => row[at]?.length ?? 0)));
  return [heads, ...rows].map((row) =>
    row
      .map((cell, at) =>
        at === 0 || at === row.length - 1 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}

function figures(rates: PriceLine["usdPerMillion"]): string[] {
  return RATE_NAMES.map((name) => String(rates[name]));
}

function whenOf({ source, validFrom, inForce, addedBy, reason, note }: PriceLine): string {
  if (source === "builtIn") return note === null ? (inForce ? "" : `from ${validFrom}, not in force`) : note;
  const why = reason === null ? "" : `, "${reason}"`;
  return `from ${validFrom}${inForce ? "" : ", not in force"}, by ${addedBy ?? "somebody"}${why}`;
}

export function priceLine({ model, validFrom, usdPerMillion: { input, output } }: PriceLine): string {
  return `${model}: ${String(input)} USD per million tokens of input and ${String(output)} of output from ${validFrom} on`;
}

/** What was counted before the price was there, and stays. */
export function countedLines(counted: PutPriceAnswer["counted"]): string[] {
  if (counted === null) return [];
  const { attempts, from, countedNanoUsd, atThisPriceNanoUsd } = counted;
  return [
    `${String(attempts)} attempts since ${moment(from)} were already counted, at ${usd(Number(countedNanoUsd))}, and keep that; by this price they would be about ${usd(Number(atThisPriceNanoUsd))}.`,
  ];
}
