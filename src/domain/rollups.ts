/**
 * Where the sums of a span are read: what lies in rolled-up days in the coarsest pieces that fit, the rest in minutes.
 * Pure. Pieces tile the span: every minute is in exactly one.
 */
import type { UsageBucket } from "./usage-query.ts";

/** Lengths of rolled-up spans in seconds, coarsest first: each is a multiple of the next. Days are UTC's. */
export const GRAINS = [86_400, 3_600, 900] as const;
export type Grain = (typeof GRAINS)[number];

export const DAY_MS = 86_400_000;
const HOUR_MINUTES = 60;

/** Unix times in milliseconds; the end is exclusive. */
export interface Span {
  fromMs: number;
  untilMs: number;
}

export interface Piece extends Span {
  /** Null: in minutes. */
  grain: Grain | null;
}

/** @param rolled the days that are rolled up; null: none */
export function piecesOf(span: Span, rolled: Span | null, grains: readonly Grain[]): Piece[] {
  const fromMs = rolled === null ? span.untilMs : Math.min(span.untilMs, Math.max(span.fromMs, rolled.fromMs));
  const untilMs = rolled === null ? span.untilMs : Math.max(fromMs, Math.min(span.untilMs, rolled.untilMs));
  const pieces = [
    ...inMinutes({ fromMs: span.fromMs, untilMs: fromMs }),
    ...divided({ fromMs, untilMs }, grains),
    ...inMinutes({ fromMs: untilMs, untilMs: span.untilMs }),
  ];
  return pieces.filter((piece) => piece.fromMs < piece.untilMs);
}

function divided(span: Span, grains: readonly Grain[]): Piece[] {
  const [grain, ...finer] = grains;
  if (grain === undefined || span.fromMs >= span.untilMs) return inMinutes(span);
  const lengthMs = grain * 1_000;
  const fromMs = Math.ceil(span.fromMs / lengthMs) * lengthMs;
  const untilMs = Math.floor(span.untilMs / lengthMs) * lengthMs;
  if (fromMs >= untilMs) return divided(span, finer);
  return [
    ...divided({ fromMs: span.fromMs, untilMs: fromMs }, finer),
    { fromMs, untilMs, grain },
    ...divided({ fromMs: untilMs, untilMs: span.untilMs }, finer),
  ];
}

function inMinutes(span: Span): Piece[] {
  return [{ ...span, grain: null }];
}

/** The grains whose spans lie in one bucket each. */
export function grainsFor(bucket: UsageBucket | null, timezone: string, span: Span): readonly Grain[] {
  if (bucket === null) return GRAINS;
  if (bucket === "minute") return [];
  const offsets = offsetsOf(timezone, span);
  if (bucket === "day" && offsets.every((minutes) => minutes === 0)) return GRAINS;
  return offsets.every((minutes) => minutes % HOUR_MINUTES === 0) ? [3_600, 900] : [900];
}

/** The zone's distances from UTC in minutes during a span, looked at twice a day: no zone changes for less. */
function offsetsOf(timezone: string, { fromMs, untilMs }: Span): number[] {
  const format = new Intl.DateTimeFormat("en", { timeZone: timezone, timeZoneName: "longOffset" });
  const offsets = new Set<number>();
  for (let atMs = fromMs; atMs < untilMs + DAY_MS / 2; atMs += DAY_MS / 2)
    offsets.add(offsetAt(format, Math.min(atMs, untilMs)));
  return [...offsets];
}

function offsetAt(format: Intl.DateTimeFormat, atMs: number): number {
  const name = format.formatToParts(atMs).find(({ type }) => type === "timeZoneName")?.value ?? "";
  const [, sign, hours, minutes] = /^GMT(?:([+-])(\d\d):(\d\d))?$/.exec(name) ?? [];
  if (hours === undefined || minutes === undefined) return name === "GMT" ? 0 : 1;
  return (sign === "-" ? -1 : 1) * (Number(hours) * HOUR_MINUTES + Number(minutes));
}

/** The beginning of the day in UTC. */
export const dayOf = (ms: number): number => Math.floor(ms / DAY_MS) * DAY_MS;
