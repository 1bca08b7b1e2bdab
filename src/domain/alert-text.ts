/** What a step of a budget's ladder did, in a sentence that on-call reads at 3 AM. */
import { type AccountFault, isWide, type Reach } from "./account-fault.ts";
import type { TripBound } from "./bound.ts";
import { FIRST_WAIT_MS, type FleetCalls, whyOut } from "./breaker.ts";
import type { Budget, LadderStep } from "./budget.ts";
import type { WindowState } from "./ladder.ts";
import { overCause, type OverBudget, type OverCause, type Overridden } from "./over-limit.ts";
import { aPeriod } from "./window.ts";

const NANO_PER_CENT = 10_000_000;

/** Nano-USD as people read it: `$1,234.56`, rounded up to a cent, so that it never looks cheaper than it is. */
export function usd(nanoUsd: number): string {
  const cents = Math.ceil(nanoUsd / NANO_PER_CENT);
  const whole = Math.floor(cents / 100);
  const grouped = String(whole).replace(/\B(?=(\d{3})+$)/g, ",");
  return `$${grouped}.${String(cents % 100).padStart(2, "0")}`;
}

/** The title of an incident by its newest step. */
export function stepTitle(input: { budget: Budget; step: LadderStep; limitNanoUsd: number }): string {
  return `${input.budget.name} reached ${input.step.atPercent} % of ${usd(input.limitNanoUsd)}`;
}

/** The title of an incident whose flags are on over the limit. */
export function overTitle({ budget, over, percent }: { budget: Budget; over: OverBudget; percent: number }): string {
  return `${budget.name} is over ${percent} % of ${usd(over.limitNanoUsd)}`;
}

/** The title of the incident of a model that a breaker has taken out. */
export function breakerTitle(model: string): string {
  return `${model} is failing: its breaker took it out`;
}

/** Why a model was taken out, and which flags go on without it. */
export function breakerText(input: {
  model: string;
  fleet: FleetCalls;
  /** Those whose chains go on without it, and those that have no other model. */
  flags: readonly string[];
  staying: readonly string[];
}): string {
  const { model, fleet, flags, staying } = input;
  const why = `${model}: ${whyOut(fleet)}. Out of the chains of: ${named(flags)}.`;
  return staying.length === 0 ? why : `${why} Still on it, for want of another model: ${named(staying)}.`;
}

/** How it comes back, for the alert that tells of it at once. */
export function breakerHoldsText(): string {
  const seconds = FIRST_WAIT_MS / 1_000;
  return ` It is probed with few calls from ${seconds} s on, and comes back by itself when they are answered.`;
}

const REFUSED: Readonly<Record<AccountFault, string>> = {
  money: "The Claude account is out of money",
  key: "A key for Claude was revoked",
};

/** The title of the incident of an account that Claude refuses. */
export function accountTitle(fault: AccountFault, reach: Pick<Reach, "instances" | "running">): string {
  const { instances, running } = reach;
  return `${REFUSED[fault]}${isWide(reach) ? "" : ` on ${instances.length} of ${running} instances`}`;
}

/** What is refused, for which flags and where. */
export function accountText(fault: AccountFault, { flags, instances, running }: Reach): string {
  const why =
    fault === "money" ? "a spend limit is reached or credit is used up" : "it answers 401, or 403 to any call";
  const where = `on ${instances.length} of ${running} instances (${named(instances)})`;
  return `${REFUSED[fault]}: ${why}. Refused ${where}: ${named(flags)}.`;
}

/** What is done about it, for the alert that tells of it at once. */
export function accountHoldsText(fault: AccountFault): string {
  const held = fault === "money" ? " Its calls are held back but for single probes." : "";
  return `${held} Nothing was switched. This ends by itself when calls are answered again.`;
}

/** "Acknowledged by maria: Daily reached 80 % of $100.00." */
export function acknowledgedText(by: string, title: string): string {
  return `Acknowledged by ${by}: ${title}.`;
}

/** "Nobody has acknowledged for 15 min: Daily reached 80 % of $100.00", and what happened last. */
export function escalatedTitle(minutes: number, title: string): string {
  return `Nobody has acknowledged for ${minutes} min: ${title}`;
}

export function resolvedText(title: string): string {
  return `Resolved: ${title}.`;
}

/** One sentence or two: which budget, how much of it, and what Andon did about it. */
export function stepText(input: {
  budget: Budget;
  state: WindowState;
  step: LadderStep;
  flags: readonly string[];
  limitNanoUsd: number;
  bound: TripBound | null;
}): string {
  const { budget, state, step, flags, limitNanoUsd, bound } = input;
  const spent = `Budget ${budget.name} has reached ${step.atPercent} %: ${usd(state.spentNanoUsd)} of ${usd(limitNanoUsd)} ${aPeriod(budget.period)}.`;
  const most = bound === null || flags.length === 0 ? "" : ` ${tripBoundText(bound, budget)}`;
  return `${spent} ${consequence(budget, step, flags)}${most}`;
}

/** What can still be spent after a trip: "At most $31.46 in the end, by the calls that were running when it tripped." */
function tripBoundText({ nanoUsd, notReporting }: TripBound, { enforcement }: Pick<Budget, "enforcement">): string {
  const by = enforcement === "reserve" ? RESERVED : ", by the calls that were running when it tripped";
  return `At most ${usd(nanoUsd)} in the end${by}${notReporting === 0 ? "" : `; ${unknownWords(notReporting)}`}.`;
}

const RESERVED = ": calls spend only what is set aside for them";

/** "unknown: 2 instances not reporting": beside a bound that is of the others alone. */
export function unknownWords(notReporting: number): string {
  return `unknown: ${notReporting} ${notReporting === 1 ? "instance" : "instances"} not reporting`;
}

/** How far a budget is over its limit. */
export function overText({ budget, over, percent }: { budget: Budget; over: OverBudget; percent: number }): string {
  return `Budget ${budget.name} is over ${percent} %: ${usd(over.spentNanoUsd)} of ${usd(over.limitNanoUsd)} ${aPeriod(budget.period)}.`;
}

/** What of it is on, and who let it: for the alert that tells of it at once. */
export function stillOnText(input: {
  over: OverBudget;
  overridden: readonly Overridden[];
  flags: readonly string[];
  timezone: string;
}): string {
  const { over, overridden, flags, timezone } = input;
  const on = flags.length === 0 ? "It is still spent from" : `Still on: ${named(flags)}`;
  return ` ${on}; ${letBy(overCause(over, overridden), timezone)}.`;
}

function letBy(cause: OverCause, timezone: string): string {
  switch (cause.kind) {
    case "OVERRIDE":
      return `${cause.by ?? "somebody"} restored it over this budget at ${localMinute(cause.at.getTime(), timezone)}: nothing stops it`;
    case "RAISE_ENDED":
      return `the raise${cause.by === null ? "" : ` by ${cause.by}`} ended at ${localMinute(cause.at.getTime(), timezone)}`;
    case "TRACK":
      return "this budget only tracks: nothing stops it";
    case "NO_KILL":
      return cause.killsAtPercent === null
        ? "its ladder turns nothing off: nothing stops it"
        : `its ladder turns off at ${cause.killsAtPercent} %`;
  }
}

/** More flags than these are counted: an environment may have hundreds. */
const NAMED_FLAGS = 10;

function named(flags: readonly string[]): string {
  const more = flags.length - NAMED_FLAGS;
  return `${flags.slice(0, NAMED_FLAGS).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** What was done then; how long it holds is not history, see `holdsText`. */
function consequence(budget: Budget, step: LadderStep, flags: readonly string[]): string {
  if (budget.enforcement === "track") return "This budget only tracks: nothing was switched.";
  switch (step.action) {
    case "alert":
      return "Nothing was switched.";
    case "downgrade":
      return flags.length === 0 ? "There was no further step to downgrade to." : `Downgraded: ${flags.join(", ")}.`;
    case "kill":
      return flags.length === 0 ? "There was no flag to turn off." : `Turned off: ${flags.join(", ")}.`;
  }
}

/** How long what a step did holds, for the alert that tells of it at once; `""` for a step that did nothing. */
export function holdsText(input: Pick<Parameters<typeof stepText>[0], "budget" | "state" | "step" | "flags">): string {
  const { budget, state, step, flags } = input;
  if (budget.enforcement === "track" || step.action === "alert" || flags.length === 0) return "";
  return budget.onReset === "restore"
    ? ` It holds until ${localMinute(state.window.endMs, budget.timezone)}, unless somebody restores it before.`
    : " It holds until somebody restores.";
}

/** `2026-11-22 00:00 Europe/Berlin`. */
function localMinute(atMs: number, timeZone: string): string {
  const text = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" }).format(atMs);
  return `${text} ${timeZone}`;
}
