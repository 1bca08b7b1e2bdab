/**
 * One flag in one sentence. Invariant: what is off is never called on, whoever switched it off, and what a command has
 * prepared for later (a level, a ramp) is said to be for later.
 */
import type { FlagAnswer } from "./answers.ts";
import { usd } from "../domain/alert-text.ts";
import { capWords, limitWords } from "../domain/limit-words.ts";
import { reached, standingText, whoAndWhy } from "./text.ts";

type Trip = FlagAnswer["trips"][number];
type Standing = NonNullable<FlagAnswer["standing"]>;

/** `support-chat: off since 02:41 UTC by maria, "leaks prices"; will step to claude-haiku-4-5 when restored`. */
export function flagLine(flag: FlagAnswer): string {
  const isOff = flag.effective.state === "off";
  if (flag.standing !== undefined) return `${flag.key}: ${standingState(flag, flag.standing)}${sent(flag)}`;
  return `${flag.key}: ${isOff ? offState(flag) : onState(flag)}${sent(flag)}`;
}

/** `limits: each user: 20 a minute (each instance counts its own calls)`; none without limits. */
export function limitLines(flag: FlagAnswer): string[] {
  const limits = limitWords(flag);
  return [
    ...(limits.length === 0 ? [] : [`limits: ${limits.join("; ")} (each instance counts its own calls)`]),
    ...capWords(flag).map((cap) => `takes ${cap}`),
  ];
}

const SENT: Readonly<Record<string, (model: string) => string>> = {
  OUTSIDE: (model) => `asks for ${model}, outside its chain`,
  PASSED: (model) => `still sends ${model}, which its chain has stepped past`,
  LOWER: (model) => `all its calls use ${model}, further down its chain`,
};

/** What its calls really use, where that is not what was just said. */
function sent({ sends }: FlagAnswer): string {
  return sends.map(({ model, why }) => `; ${SENT[why]?.(model) ?? `sends ${model}`}`).join("");
}

/** Of a server that tells what holds. */
function standingState(flag: FlagAnswer, standing: Standing): string {
  const words = standingText(standing);
  const { effective } = flag;
  const forSome = share(flag);
  const ramp = forSome === "" ? "" : `, on${forSome}`;
  switch (standing.state) {
    case "off":
      return `off${words}${alsoOff(flag, standing)}${whenRestored(flag)}`;
    case "over": {
      const { over } = standing;
      const money = over === null ? "" : `: ${usd(over.spentNanoUsd)} of ${usd(over.limitNanoUsd)}`;
      return `over its limit${ramp}${effective.model === null ? "" : `, ${effective.model}`},${words}${money}`;
    }
    case "downgraded":
      return `downgraded to ${effective.model ?? "another model"}${ramp}${words}`;
    default:
      return `on${forSome}${effective.model === null ? "" : `, ${effective.model}`}`;
  }
}

/** What keeps it off besides: restoring one of two would not bring it back. */
function alsoOff({ switch: own, trips, effective }: FlagAnswer, { cause: { kind } }: Standing): string {
  const trip = trips.find(({ action }) => action === "kill");
  const also = [
    ...(own.state === "off" && kind !== "KILLED" ? [`; also off${whoAndWhy(own)}`] : []),
    ...(trip !== undefined && kind !== "TRIPPED" ? [`; also off${reached(trip)}`] : []),
  ];
  if (effective.reason === "MASTER" && own.state === "on") also.push("; its own switch is on");
  return also.join("");
}

/** Of an older server: every cause that keeps it off. */
function offState(flag: FlagAnswer): string {
  const { effective, switch: own } = flag;
  const trip = flag.trips.find(({ action }) => action === "kill");
  const causes = [
    ...(own.state === "off" ? [`off${whoAndWhy(own)}`] : []),
    ...(trip === undefined ? [] : [`off${reached(trip)}`]),
    ...(effective.reason === "MASTER" ? ["off by the master switch"] : []),
  ];
  const [first, ...more] = causes.length > 0 ? causes : [otherCause(effective.reason)];
  const ownIsOn = effective.reason === "MASTER" && own.state === "on" ? "; its own switch is on" : "";
  return `${[first, ...more.map((cause) => `also ${cause}`)].join("; ")}${ownIsOn}${whenRestored(flag)}`;
}

function otherCause(reason: string): string {
  if (reason === "TRIPPED") return "off, tripped by a budget";
  if (reason === "NO_MODEL") return "off, every model of its chain is blocked";
  // A newer server may know more reasons.
  return `off, ${reason}`;
}

/** A restore takes back what budgets did; the level that a person set stays. Lifting the master switch takes back nothing. */
function whenRestored({ effective, switch: own, level, steps, trips }: FlagAnswer): string {
  const isTripped = trips.some(({ action }) => action === "kill");
  const onlyMaster = effective.reason === "MASTER" && own.state === "on" && !isTripped;
  const later = onlyMaster ? level.level : (level.manual?.level ?? 0);
  if (later === 0 || effective.reason === "NO_MODEL") return "";
  // Which models are blocked is not known here: a step that is, is stepped over.
  const first = `${steps[later]?.model ?? `level ${String(later)}`}${later < steps.length - 1 ? " or further down" : ""}`;
  return `; will step to ${first} when ${onlyMaster ? "the master switch is " : ""}restored`;
}

function onState(flag: FlagAnswer): string {
  const { effective, level } = flag;
  if (effective.state !== "downgraded") {
    return `on${share(flag)}${effective.model === null ? "" : `, ${effective.model}`}`;
  }
  const byTrip = downgradeTrip(flag);
  const manual = level.manual === null || level.level === 0 ? "" : whoAndWhy(level.manual);
  const why = byTrip === null ? manual : reached(byTrip);
  const first = flag.steps[level.level]?.model;
  const blocked = first === undefined || first === effective.model ? "" : `; ${first} is blocked`;
  const forSome = share(flag);
  const ramp = forSome === "" ? "" : `, on${forSome}`;
  return `downgraded to ${effective.model ?? "another model"}${ramp}${why}${blocked}`;
}

/** Who is admitted: a ramp or a rollout, whichever is smaller. */
function share({ switch: own, rollout }: FlagAnswer): string {
  const percent = Math.min(own.ramp ?? 100, rollout);
  return percent === 100 ? "" : ` for ${String(percent)} %`;
}

/** The trip that set the level; null when a person set it as far down. */
function downgradeTrip({ level, trips }: FlagAnswer): Trip | null {
  if (level.level === 0 || (level.manual !== null && level.manual.level >= level.level)) return null;
  const downgrades = trips.filter(({ action }) => action === "downgrade");
  return downgrades.toSorted((a, b) => (b.level ?? 0) - (a.level ?? 0))[0] ?? null;
}
