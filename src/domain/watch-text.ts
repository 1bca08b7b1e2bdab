/** What a watch tells, in sentences that on-call reads at 3 AM: what, since when, who is behind it. Pure. */
import { usd } from "./alert-text.ts";
import { basisWords, hourOf, type Usual, usualWords } from "./usual.ts";
import { CALM_MS, type Reading, type WatchKind, type WatchSetting } from "./watch.ts";

const MINUTE_MS = 60_000;
const NANO_PER_USD = 1_000_000_000;
/** Burn of so many times the usual is not told more exactly. */
const MANY_TIMES = 1_000;

/** Who is behind it, the one with most first. */
export interface Behind {
  by: "user" | "session" | "model" | "app" | "version";
  name: string;
  /** Of what is unusual: of what was spent, or of the attempts that failed, were cut or slow. */
  percent: number;
  /** How many times the usual of that one; null when nobody knows. */
  times: number | null;
}

/** What the words of a burn are made from besides. */
export interface UsualAt {
  usual: Usual;
  atMs: number;
  zone: string;
}

export interface WatchFound {
  kind: WatchKind;
  flag: string;
  setting: WatchSetting;
  reading: Reading;
  /** Of `burn`; null for the others. */
  usual: UsualAt | null;
}

/** The title while it is so. */
export function watchTitle({ kind, flag, setting, reading, usual }: WatchFound): string {
  switch (kind) {
    case "burn":
      return `${flag} burns ${timesTheUsual(reading, usual)}`;
    case "largeCall":
      return `A call of ${flag} used ${tokens(reading.value)} tokens, ${times(reading.value / reading.against)} times its mean`;
    case "cut":
      return `${percent(reading.value)} of the answers of ${flag} are cut by max_tokens`;
    case "errors":
      return `${percent(reading.value)} of the attempts of ${flag} fail`;
    case "latency":
      return `p95 of ${flag} is over ${duration(setting.limit)}`;
  }
}

/** The title once it is over: what it came to at most. `value`: the worst reading's. */
export function endedTitle(
  { kind, flag, limit }: { kind: WatchKind; flag: string; limit: number },
  value: number,
): string {
  switch (kind) {
    case "burn":
      return `${flag} burned up to ${usd(value)} in an hour, more than ${limit} times its usual`;
    case "largeCall":
      return `A call of ${flag} used ${tokens(value)} tokens, more than ${limit} times its mean`;
    case "cut":
      return `Up to ${percent(value)} of the answers of ${flag} were cut by max_tokens`;
    case "errors":
      return `Up to ${percent(value)} of the attempts of ${flag} failed`;
    case "latency":
      return `p95 of ${flag} was over ${duration(limit)}`;
  }
}

/** The title of an incident of several flags, while it is so and once it is over. */
export function groupTitle(kind: WatchKind, n: number, isOver: boolean): string {
  switch (kind) {
    case "burn":
      return `${n} flags ${isOver ? "burned" : "burn"} far above their usual`;
    case "largeCall":
      return `Calls of ${n} flags ${isOver ? "were" : "are"} far above their mean`;
    case "cut":
      return `Answers of ${n} flags ${isOver ? "were" : "are"} cut by max_tokens`;
    case "errors":
      return `Attempts of ${n} flags ${isOver ? "failed" : "fail"}`;
    case "latency":
      return `p95 of ${n} flags ${isOver ? "was" : "is"} over its limit`;
  }
}

/** What is so, with its figures. */
export function watchText(found: WatchFound): string {
  const { kind, flag, setting, reading, usual } = found;
  switch (kind) {
    case "burn": {
      const hour = `${flag} spent ${usd(reading.value)} in the last hour and burns ${usd(reading.now)} an hour now`;
      return usual === null ? `${hour}.` : `${hour}. ${usualText(usual)}`;
    }
    case "largeCall":
      return `One call of ${flag} used ${tokens(reading.value)} tokens: more than any of the ${whole(reading.total)} calls of the 7 days before, whose mean is ${tokens(reading.against)}.`;
    case "cut":
      return `${bad(reading)} answers of ${flag} in the last hour were cut by max_tokens, ${percent(reading.now)} of those of the last 15 min. The limit is ${percent(setting.limit)}.`;
    case "errors":
      return `${bad(reading)} attempts of ${flag} in the last hour failed, those that a retry mended too, ${percent(reading.now)} of those of the last 15 min. The limit is ${percent(setting.limit)}.`;
    case "latency":
      return `${bad(reading)} attempts of ${flag} in the last hour took longer than ${duration(setting.limit)}, ${percent(reading.now)} of those of the last 15 min: p95 is over it.`;
  }
}

/** "Usually it spends $7.00 in the hour of Saturday 03:00 UTC: the median of 4 weeks." */
function usualText({ usual, atMs, zone }: UsualAt): string {
  return `Its usual ${usualWords(usual, hourOf(atMs), zone)} is ${usd(usual.nanoUsdPerHour)} an hour: ${basisWords(usual)}.`;
}

/** " It began about 02:41 UTC." */
export function beganText(atMs: number | null, zone: string): string {
  return atMs === null ? "" : ` It began about ${clockOf(atMs, zone)}.`;
}

/** " Behind it: user u-77 (71 % of what was spent, 12 times the usual of u-77), model claude-opus-5-5 (94 %)." */
export function behindText(kind: WatchKind, behind: readonly Behind[]): string {
  if (behind.length === 0) return kind === "largeCall" ? " Whose call it was is not known any more." : "";
  if (kind === "largeCall") return ` It was of ${behind.map(({ by, name }) => `${by} ${name}`).join(", ")}.`;
  const words = behind.map(({ by, name, percent: share, times: more }, n) => {
    const often = more === null ? "" : `, ${times(more)} times its usual`;
    return `${by} ${name} (${share} %${n === 0 ? ` of ${OF_WHAT[kind]}` : ""}${often})`;
  });
  return ` Behind it: ${words.join(", ")}.`;
}

const OF_WHAT: Readonly<Record<Exclude<WatchKind, "largeCall">, string>> = {
  burn: "what was spent",
  cut: "the answers that were cut",
  errors: "the attempts that failed",
  latency: "the slow attempts",
};

/** Why a watch has ended. */
export type WatchEnd = "calm" | "off" | "gone" | "disabled";

/** "Over: support-chat has been below the limit for 30 min." */
export function endText(why: WatchEnd, flag: string): string {
  switch (why) {
    case "calm":
      return `Over: ${flag} has been within its limit for ${CALM_MS / MINUTE_MS} min.`;
    case "off":
      return `Over: ${flag} is off.`;
    case "gone":
      return `Over: there is no flag ${flag} any more.`;
    case "disabled":
      return `Over: this watch of ${flag} was turned off.`;
  }
}

/** When that holds for the last of several flags. */
export function groupEndText(kind: WatchKind): string {
  const what = kind === "burn" ? "burn" : kind === "largeCall" ? "calls" : kind === "latency" ? "p95" : "share";
  return `Over: the ${what} of each of these flags has been within its limit for ${CALM_MS / MINUTE_MS} min, or it is off.`;
}

/** "6 times its usual for Saturday 03:00 UTC". */
function timesTheUsual({ value }: Reading, at: UsualAt | null): string {
  if (at === null) return usd(value);
  const { usual, atMs, zone } = at;
  const words = usualWords(usual, hourOf(atMs), zone);
  const often = value / usual.nanoUsdPerHour;
  // Of nothing everything is infinitely often.
  if (usual.nanoUsdPerHour < NANO_PER_USD / 100) return `${usd(value)} an hour, where its usual ${words} is nothing`;
  return `${often >= MANY_TIMES ? `more than ${MANY_TIMES}` : times(often)} times its usual ${words}`;
}

/** "4", "2.5": rounded down, so that it never looks like more than it is. */
function times(value: number): string {
  return String(value < 10 ? Math.floor(value * 10) / 10 : Math.floor(value));
}

function percent(value: number): string {
  const digits = value < 10 ? Math.round(value * 10) / 10 : Math.round(value);
  return `${digits} %`;
}

const bad = (reading: Reading): string =>
  `${percent(reading.value)} (${whole(reading.bad)} of ${whole(reading.total)}) of the`;

function tokens(value: number): string {
  return whole(Math.round(value));
}

function whole(value: number): string {
  return value.toLocaleString("en-US");
}

/** "30 s", "2 min", "750 ms". */
export function duration(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  return ms < 120_000 ? `${ms / 1_000} s` : `${ms / MINUTE_MS} min`;
}

/** `02:41 Europe/Berlin`. */
function clockOf(atMs: number, timeZone: string): string {
  return `${new Intl.DateTimeFormat("sv-SE", { timeZone, timeStyle: "short" }).format(atMs)} ${timeZone}`;
}
