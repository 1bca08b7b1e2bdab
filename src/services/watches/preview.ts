/**
 * What a watch would have told of the last days: the ledger's quarters of an hour, read by the functions that the job decides
 * by. Bounded: the flags that were called most, and a deadline of the database for its reads.
 */
import { sql } from "drizzle-orm";
import { DEFAULT_PREVIEW_DAYS, type PreviewQuery, watchFault, type WatchPreview } from "../../api/watch.ts";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { flags as flagTable } from "../../db/schema/state.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { DAY_MS, GRAINS, type Piece, piecesOf, type Span } from "../../domain/rollups.ts";
import {
  type Episode,
  episodesOf,
  MEAN_SPAN_MS,
  QUARTER_MS,
  type Sight,
  slowBucket,
  WATCHED_HOUR_MS,
  type WatchKind,
  type WatchSetting,
  type WatchSums,
} from "../../domain/watch.ts";
import { watchTitle } from "../../domain/watch-text.ts";
import { invalid } from "../../errors.ts";
import { read } from "../../transaction.ts";
import { rolledSpan, usageOf } from "../usage/rollups.ts";
import { type Usuals, usualsOver } from "../usage/usual.ts";
import { readSettings } from "./settings.ts";
import { sumsIn, sumsOf, type Watched } from "./sights.ts";

/** Flags that one answer looks at: those with most attempts. */
const MAX_FLAGS = 40;
const FLAGS_AT_ONCE = 20;
const MAX_EPISODES = 100;

/** INVALID for figures out of their bounds. */
export async function previewWatch(
  ctx: Ctx,
  environmentKey: string,
  kind: WatchKind,
  query: PreviewQuery,
): Promise<WatchPreview> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const untilMs = Math.floor(ctx.deps.clock.nowMs() / QUARTER_MS) * QUARTER_MS;
  const days = query.days ?? DEFAULT_PREVIEW_DAYS;
  const span = { fromMs: untilMs - days * DAY_MS, untilMs };
  return read(ctx, async (db) => {
    const settings = await readSettings(db, environment.id);
    const settingFor = (flag: string | null): WatchSetting => {
      const { enabled, limit, minimum } = settings.of(kind, flag);
      return { enabled, limit: query.limit ?? limit, minimum: query.minimum ?? minimum };
    };
    const fault = watchFault(kind, settingFor(query.flag ?? null));
    if (fault !== null) throw invalid(fault.path, fault.message);
    const rolled = await rolledSpan(db, environment.id);
    const isAsked = query.limit !== undefined || query.minimum !== undefined;
    // Figures for all flags are of those that have none of their own; without figures each has its own, or is off.
    const counts = (flag: string): boolean =>
      flag === query.flag ||
      (isAsked
        ? settings.rows.every((row) => row.kind !== kind || row.flag !== flag)
        : settings.of(kind, flag).enabled);
    const all = await mostCalled(db, environment.id, piecesOf(span, rolled, GRAINS), query.flag);
    const called = all.filter(counts);
    const names = called.slice(0, MAX_FLAGS);
    const leadMs = kind === "largeCall" ? MEAN_SPAN_MS : WATCHED_HOUR_MS - QUARTER_MS;
    const pieces = piecesOf({ fromMs: span.fromMs - leadMs, untilMs }, rolled, [900]);
    const found: WatchPreview["episodes"] = [];
    const known: Known = { called: called.length, firstAnswerMs: untilMs, countedMs: null, span };
    // A few flags at a time: others are answered in between.
    for (let at = 0; at < names.length; at += FLAGS_AT_ONCE) {
      const some = names.slice(at, at + FLAGS_AT_ONCE);
      const watched = some.map((flag) => ({
        flag,
        slowBucket: slowBucket(kind === "latency" ? settingFor(flag).limit : 50),
      }));
      const quarters = await readQuarters(db, environment.id, pieces, watched);
      const usuals = kind === "burn" ? await usualsOver(db, environment.id, { span, flags: some }) : null;
      for (const [flag, own] of quarters) {
        const setting = settingFor(flag);
        const sights = sightsOf(own, { flag, kind, span, usuals });
        const episodes = episodesOf(kind, setting, sights, untilMs);
        found.push(...episodes.map((episode) => episodeResource(kind, { flag, setting, episode }, usuals)));
        learn(known, kind, own);
      }
    }
    const newestFirst = found.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at));
    const hasOne = query.flag !== undefined || isAsked;
    return {
      from: new Date(span.fromMs).toISOString(),
      to: new Date(untilMs).toISOString(),
      limit: hasOne ? settingFor(query.flag ?? null).limit : null,
      minimum: hasOne ? settingFor(query.flag ?? null).minimum : null,
      flags: names.length,
      fired: found.length,
      episodes: newestFirst.slice(0, MAX_EPISODES),
      notes: notesOf(kind, known, found.length),
    };
  });
}

interface Found {
  flag: string;
  setting: WatchSetting;
  episode: Episode;
}

function episodeResource(
  kind: WatchKind,
  { flag, setting, episode }: Found,
  usuals: Usuals | null,
): WatchPreview["episodes"][number] {
  const { fromMs, heldUntilMs, endedMs, worst, worstAtMs } = episode;
  const usual = usuals?.until(flag, worstAtMs) ?? null;
  const at = usual === null || usuals === null ? null : { usual, atMs: worstAtMs, zone: usuals.zone };
  return {
    flag,
    at: new Date(fromMs).toISOString(),
    until: endedMs === null ? null : new Date(heldUntilMs).toISOString(),
    title: watchTitle({ kind, flag, setting, reading: worst, usual: at }),
    value: worst.value,
    against: worst.against,
  };
}

/** What the notes are made from. */
interface Known {
  /** Flags that were called. */
  called: number;
  firstAnswerMs: number;
  /** Since when what this kind looks at is counted; null: never. */
  countedMs: number | null;
  span: Span;
}

function learn(known: Known, kind: WatchKind, quarters: readonly Quarter[]): void {
  const answered = quarters.find((one) => callsOf(one) > 0);
  known.firstAnswerMs = Math.min(known.firstAnswerMs, answered?.atMs ?? known.firstAnswerMs);
  const counted = quarters.find(({ sums }) => (kind === "cut" ? sums.ended > 0 : sums.largestTokens > 0));
  if (counted !== undefined) known.countedMs = Math.min(known.countedMs ?? counted.atMs, counted.atMs);
}

/** What the ledger does not have is not passed off as nothing. */
function notesOf(kind: WatchKind, { called, firstAnswerMs, countedMs, span }: Known, fired: number): string[] {
  const notes = [
    "Looked at by quarters of an hour. The watch itself looks every 15 seconds: it may tell earlier, and of something shorter.",
  ];
  if (called > MAX_FLAGS)
    notes.push(`Of ${called} flags that were called, the ${MAX_FLAGS} with most attempts are looked at.`);
  if (fired > MAX_EPISODES) notes.push(`The newest ${MAX_EPISODES} of ${fired} are listed.`);
  if (kind === "cut" || kind === "largeCall") {
    const what = kind === "cut" ? "How answers ended" : "The largest call of a minute";
    if (countedMs === null) notes.push(`${what} is not known of any of these days.`);
    else if (countedMs > Math.max(span.fromMs, firstAnswerMs)) {
      const since = new Date(countedMs).toISOString().slice(0, 16).replace("T", " ");
      notes.push(`${what} is known since ${since} UTC: nothing is seen of before.`);
    }
  }
  notes.push("When a flag was off is not looked at: what it called then counts here.");
  notes.push("Who was behind each is not told: single calls are kept only for the newest.");
  return notes;
}

/** Flags that exist and were called, those with most attempts first. */
async function mostCalled(
  db: Db,
  environmentId: string,
  pieces: readonly Piece[],
  flag: string | undefined,
): Promise<string[]> {
  const rows = await db.execute(sql`
    select flag, sum(attempts) as attempts from ${usageOf(environmentId, pieces)}
    where flag in (select ${flagTable.key} from ${flagTable} where ${flagTable.environmentId} = ${environmentId})
      and ${flag === undefined ? sql`true` : sql`flag = ${flag}`}
    group by flag order by attempts desc, flag`);
  return returnedRows(rows).map((row) => String(row["flag"]));
}

interface Quarter {
  atMs: number;
  sums: WatchSums;
  tokens: number;
}

async function readQuarters(
  db: Db,
  environmentId: string,
  pieces: readonly Piece[],
  watched: readonly Watched[],
): Promise<Map<string, Quarter[]>> {
  const seconds = sql.raw(String(QUARTER_MS / 1_000));
  const rows = await db.execute(sql`
    select m.flag, floor(extract(epoch from m.minute) / ${seconds})::float8 as quarter, ${sumsOf("quarter", sql`true`)},
      sum(m.input + m.output + m.cache_write_5m + m.cache_write_1h + m.cache_read)::float8 as tokens
    from (select * from ${usageOf(environmentId, pieces)}) as m
    join jsonb_to_recordset(cast(${JSON.stringify(watched)} as text)::jsonb) as asked(flag text, "slowBucket" integer)
      on asked.flag = m.flag
    group by 1, 2 order by 1, 2`);
  const quarters = new Map<string, Quarter[]>();
  for (const row of returnedRows(rows)) {
    const flag = String(row["flag"]);
    const own = quarters.get(flag) ?? [];
    quarters.set(flag, own);
    own.push({
      atMs: Number(row["quarter"]) * QUARTER_MS,
      sums: sumsIn(row, "quarter"),
      tokens: Number(row["tokens"]),
    });
  }
  return quarters;
}

/** What was seen at the end of each quarter with calls. */
function sightsOf(
  quarters: readonly Quarter[],
  { flag, kind, span, usuals }: { flag: string; kind: WatchKind; span: Span; usuals: Usuals | null },
): Sight[] {
  const sights: Sight[] = [];
  const before = new Sliding();
  for (const [index, quarter] of quarters.entries()) {
    const atMs = quarter.atMs + QUARTER_MS;
    if (kind === "largeCall") before.dropUntil(atMs - MEAN_SPAN_MS);
    if (atMs > span.fromMs) {
      const sinceMs = atMs - WATCHED_HOUR_MS;
      const hour = quarters.slice(Math.max(0, index - 3), index + 1).filter((one) => one.atMs >= sinceMs);
      sights.push({
        atMs,
        hour: hour.map(({ sums }) => sums).reduce(plus),
        quarter: quarter.sums,
        usual: usuals?.until(flag, atMs) ?? null,
        mean: kind === "largeCall" ? before.meanWith(quarter) : null,
      });
    }
    if (kind === "largeCall") before.add(quarter);
  }
  return sights;
}

/** The calls of the last days, of which the oldest fall out. */
class Sliding {
  #kept: Quarter[] = [];
  #calls = 0;
  #tokens = 0;

  add(quarter: Quarter): void {
    this.#kept.push(quarter);
    this.#calls += callsOf(quarter);
    this.#tokens += quarter.tokens;
  }

  dropUntil(atMs: number): void {
    const gone = this.#kept.findIndex((quarter) => quarter.atMs >= atMs);
    for (const quarter of this.#kept.splice(0, gone < 0 ? this.#kept.length : gone)) {
      this.#calls -= callsOf(quarter);
      this.#tokens -= quarter.tokens;
    }
  }

  /** With those of the quarter, but for its largest: that would be compared with itself. */
  meanWith(quarter: Quarter): Sight["mean"] {
    const calls = this.#calls + callsOf(quarter) - 1;
    const tokens = this.#tokens + quarter.tokens - quarter.sums.largestTokens;
    // Only of a call that may be large for the mean the others are looked through.
    const isLarge = quarter.sums.largestTokens * calls > tokens;
    const largestTokens = isLarge ? this.#kept.reduce((most, { sums }) => Math.max(most, sums.largestTokens), 0) : 0;
    return { calls, tokens, largestTokens };
  }
}

const callsOf = ({ sums }: Quarter): number => sums.attempts - sums.errors;

function plus(a: WatchSums, b: WatchSums): WatchSums {
  return {
    attempts: a.attempts + b.attempts,
    errors: a.errors + b.errors,
    ended: a.ended + b.ended,
    cut: a.cut + b.cut,
    slow: a.slow + b.slow,
    nanoUsd: a.nanoUsd + b.nanoUsd,
    largestTokens: Math.max(a.largestTokens, b.largestTokens),
  };
}
