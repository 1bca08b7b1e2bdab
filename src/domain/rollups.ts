/**
 * Where the sums of a span are read: what lies in rolled-up days in the coarsest pieces that fit, the rest in minutes.
 * Pure. Pieces tile the span: every minute is in exactly one.
 */
import type { UsageBucket } from "./usage-query.ts";
import { windowAt } from "./window.ts";

/** A calendar month in UTC, by the seconds of thirty days. */
export const MONTH_GRAIN = 2_592_000;
export const DAY_GRAIN = 86_400;
export const HOUR_GRAIN = 3_600;
export const QUARTER_GRAIN = 900;
/** Lengths of rolled-up spans in seconds, coarsest first: each is made of whole ones of the next. Days are UTC's. */
export const GRAINS = [MONTH_GRAIN, DAY_GRAIN, HOUR_GRAIN, QUARTER_GRAIN] as const;
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
  const beginMs = beginOf(grain, span.fromMs);
  const fromMs = beginMs === span.fromMs ? beginMs : endOf(grain, beginMs);
  const untilMs = beginOf(grain, span.untilMs);
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
  if (bucket === null || bucket === "month") return GRAINS;
  if (bucket === "minute") return [];
  const offsets = offsetsOf(timezone, span);
  if (bucket === "day" && offsets.every((minutes) => minutes === 0)) return [DAY_GRAIN, HOUR_GRAIN, QUARTER_GRAIN];
  return offsets.every((minutes) => minutes % HOUR_MINUTES === 0) ? [HOUR_GRAIN, QUARTER_GRAIN] : [QUARTER_GRAIN];
}

/** The same for a span in buckets of a zone: a coarse piece of months or none is within one of them. */
export function piecesFor(bucket: UsageBucket | null, timezone: string, span: Span, rolled: Span | null): Piece[] {
  const grains = grainsFor(bucket, timezone, span);
  if (bucket !== "month") return piecesOf(span, rolled, grains);
  const pieces: Piece[] = [];
  for (let fromMs = span.fromMs; fromMs < span.untilMs;) {
    const untilMs = Math.min(span.untilMs, windowAt("month", timezone, fromMs).endMs);
    pieces.push(...piecesOf({ fromMs, untilMs }, rolled, grains));
    fromMs = untilMs;
  }
  return pieces;
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
/** The beginning of the month in UTC. */
export const monthOf = (ms: number): number => monthAt(ms, 0);

/** The beginning of the span of this grain that the moment is in. */
function beginOf(grain: Grain, ms: number): number {
  return grain === MONTH_GRAIN ? monthOf(ms) : Math.floor(ms / (grain * 1_000)) * grain * 1_000;
}

/** The end of the span that begins then. */
function endOf(grain: Grain, beginMs: number): number {
  return grain === MONTH_GRAIN ? monthAt(beginMs, 1) : beginMs + grain * 1_000;
}

function monthAt(ms: number, later: number): number {
  const at = new Date(ms);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + later);
}
