/**
 * Usage as CSV, however long: read and sent a piece at a time, so that neither the database nor this server holds all of it.
 * Invariant: a piece ends where a bucket ends, so that no bucket comes in two rows.
 */
import type { UsageAnswer, UsageQuery, UsageRow } from "../../api/usage.ts";
import type { Ctx } from "../../deps.ts";
import { DEFAULT_SPAN_MS, MAX_CSV_SPAN_MS } from "../../domain/usage-query.ts";
import { isTimeZone, windowAt } from "../../domain/window.ts";
import { invalid } from "../../errors.ts";
import { csvHead, csvLines } from "../../domain/csv.ts";
import { TOP_BYS } from "../../domain/name-sums.ts";
import { readUsage } from "./view.ts";

/** Of one piece; an hour of minutes of a thousand flags has less. */
const MAX_PIECE_ROWS = 200_000;
const DAY_MS = 86_400_000;

const COLUMNS = [
  "calls",
  "attempts",
  "errors",
  "aborted",
  "refused",
  "promptTokens",
  "outputTokens",
  "input",
  "cacheWrite5m",
  "cacheWrite1h",
  "cacheRead",
  "webSearches",
  "costNanoUsd",
  "exactNanoUsd",
  "estimatedNanoUsd",
  "unpriced",
  "p50Ms",
  "p95Ms",
  "p99Ms",
];

interface Span {
  from: Date;
  to: Date;
}

/** Its bytes, once the first piece is read: what is refused is refused before that. */
export async function usageCsv(
  ctx: Ctx,
  environmentKey: string,
  query: UsageQuery,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const [first, ...later] = spansOf(ctx, query);
  if (first === undefined) throw invalid("to", "must be after from");
  const read = (span: Span) => readUsage(ctx, environmentKey, { ...query, ...span }, MAX_PIECE_ROWS);
  const groups = new Set(query.groupBy);
  const columns = [
    ...(query.bucket === undefined ? [] : ["at"]),
    ...groups,
    ...COLUMNS,
    // What nobody is told of is a row of its own, marked: the rows of a bucket are the ledger's sum.
    ...(TOP_BYS.some((by) => groups.has(by)) ? ["rest"] : []),
  ];
  const encoder = new TextEncoder();
  const begin = csvHead(columns) + linesOf(columns, await read(first));
  return new ReadableStream({
    start: (stream) => stream.enqueue(encoder.encode(begin)),
    // Whoever reads no more is sent no more, and nothing is read for them.
    pull: async (stream) => {
      const span = later.shift();
      if (span === undefined) stream.close();
      else stream.enqueue(encoder.encode(linesOf(columns, await read(span))));
    },
  });
}

const cells = ({ tokens, ...row }: UsageRow) => ({ ...row, ...tokens });

function linesOf(columns: readonly string[], { items, rest = [] }: UsageAnswer): string {
  return csvLines(columns, [...items.map(cells), ...rest.map((row) => ({ ...cells(row), rest: "yes" }))]);
}

/** One without buckets. Else a day of the zone each, or an hour where buckets are that short. */
function spansOf(ctx: Ctx, { bucket, timezone = "UTC", ...query }: UsageQuery): Span[] {
  const to = query.to ?? new Date(ctx.deps.clock.nowMs());
  const from = query.from ?? new Date(to.getTime() - DEFAULT_SPAN_MS);
  const toMs = to.getTime();
  if (bucket === undefined || !isTimeZone(timezone)) return [{ from, to }];
  if (toMs - from.getTime() > MAX_CSV_SPAN_MS) {
    throw invalid("from", `at most ${String(MAX_CSV_SPAN_MS / DAY_MS)} days are answered`);
  }
  const spans: Span[] = [];
  for (let atMs = from.getTime(); atMs < toMs;) {
    const untilMs = Math.min(toMs, windowAt(bucket === "day" ? "day" : "hour", timezone, atMs).endMs);
    spans.push({ from: new Date(atMs), to: new Date(untilMs) });
    atMs = untilMs;
  }
  return spans;
}
