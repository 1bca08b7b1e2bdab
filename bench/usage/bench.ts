/**
 * `usage.query30d`: what a month costs, by day, flag and model, over HTTP, of a ledger of 1.15 million minute rows in
 * PostgreSQL. Beside it the same sums by plain SQL over all minutes, on the same data.
 */
import { randomBytes } from "node:crypto";
import { pino } from "pino";
import postgres from "postgres";
import { z } from "zod";
import { systemClock } from "../../src/clock.ts";
import { connect } from "../../src/db/connect.ts";
import { rollNext } from "../../src/services/usage/rollups.ts";
import { ENVIRONMENT_PATH, FLAGS, startAndonServer } from "../support/andon-server.ts";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { startCluster } from "../support/postgres.ts";
import { median } from "../support/statistics.ts";

const DAYS = 30;
const DAY_MS = 86_400_000;
const MINUTES_PER_DAY = 1_440;
/** Twenty-seven flags and models a minute: 1,166,400 rows. */
const ROWS_PER_MINUTE = 27;
const MODELS = 3;
const SECRET_BYTES = 32;
/** Hours that are not over for good yet: a day for late records, one for transactions, and the one under way. */
const UNSETTLED_HOURS = 26;

const usageSchema = z.object({ items: z.array(z.object({ attempts: z.number(), costNanoUsd: z.number() })) });
type Sql = ReturnType<typeof postgres>;

export async function benchUsage(effort: Effort): Promise<Figure> {
  const cluster = await startCluster();
  try {
    const url = await cluster.createDatabase();
    const secret = randomBytes(SECRET_BYTES).toString("base64url");
    const andon = await startAndonServer({ DATABASE_URL: url, ANDON_SECRET: secret });
    const sql = postgres(url, { max: 1, onnotice: () => undefined });
    try {
      const toMs = Math.floor(Date.now() / 60_000) * 60_000;
      const span = { from: new Date(toMs - DAYS * DAY_MS), to: new Date(toMs) };
      const rows = await fill(sql, span, by(effort, 1, 30));
      effort.say(`  ${rows} minute rows; rolling their days up`);
      const dayMs = await rollUp(sql, url);
      const question = `from=${span.from.toISOString()}&to=${span.to.toISOString()}&bucket=day&groupBy=flag,model`;
      const ask = () => andon.api.call("GET", `${ENVIRONMENT_PATH}/usage?${question}`, null, usageSchema);
      const plain = () => plainSums(sql, span);
      const answered = (await ask()).items.reduce((sum, { attempts }) => sum + attempts, 0);
      const inLedger = Number((await plain()).reduce((sum, { attempts }) => sum + BigInt(String(attempts)), 0n));
      if (answered !== inLedger) throw new Error(`the answer has ${answered} attempts, the ledger ${inLedger}`);
      const rounds = by(effort, 9, 3);
      const ours: number[] = [];
      const overMinutes: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        ours.push(await timed(ask));
        overMinutes.push(await timed(plain));
      }
      return {
        name: "usage.query30d",
        unit: "ms",
        ours: median(ours),
        peers: { "plain SQL over minutes": median(overMinutes) },
        note: `${rows} minute rows of ${DAYS} days, by day, flag and model; median of ${rounds}, in turn; a day was rolled up in ${dayMs.toFixed(0)} ms`,
      };
    } finally {
      await sql.end();
      await andon.close();
    }
  } finally {
    await cluster.stop();
  }
}

/** Every `every`th minute of the span, the same flags and models in each. */
async function fill(sql: Sql, { from, to }: { from: Date; to: Date }, every: number): Promise<number> {
  const latency = `{${Array.from({ length: 24 }, (_, bucket) => (bucket < 12 ? 1 : 0)).join(",")}}`;
  const inserted = await sql`
    insert into usage_minutes (environment_id, minute, flag, model, calls, attempts, errors, input, output, cache_read,
      exact_nano_usd, latency)
    select ${await environmentId(sql)}, minute, 'feature-' || (n % ${FLAGS}::int),
      'claude-' || n || '-' || (n % ${MODELS}::int), 12, 12, 1, 14400, 4200, 96000, 84000000 + n, ${latency}::bigint[]
    from generate_series(${from}::timestamptz, ${to}::timestamptz - interval '1 minute', make_interval(mins => ${every}::int)) as minute,
      generate_series(1, ${ROWS_PER_MINUTE}::int) as n`;
  await sql`analyze usage_minutes`;
  const expected = ((DAYS * MINUTES_PER_DAY) / every) * ROWS_PER_MINUTE;
  if (inserted.count !== expected) throw new Error(`${inserted.count} rows were made, not ${expected}`);
  return inserted.count;
}

/** Does what the server's job does, without waiting for its turns. Milliseconds for a day. */
async function rollUp(sql: Sql, url: string): Promise<number> {
  const database = await connect({ kind: "postgres", url }, pino({ level: "warn" }));
  const startedMs = performance.now();
  try {
    const id = await environmentId(sql);
    while (await rollNext({ db: database.lanes.jobs, clock: systemClock }, id));
  } finally {
    await database.close();
  }
  const dayMs = (performance.now() - startedMs) / DAYS;
  await sql`analyze usage_rollups`;
  const [row] = await sql`
    select count(*)::int as n from usage_rolled where until_at >= now() - make_interval(hours => ${UNSETTLED_HOURS}::int)`;
  if (row?.["n"] !== 1) throw new Error("the hours were not rolled up");
  return dayMs;
}

async function environmentId(sql: Sql): Promise<string> {
  const [environment] = await sql`select id from environments where key = 'production'`;
  return String(environment?.["id"]);
}

/** All sums that the answer holds, straight from the minutes. */
function plainSums(sql: Sql, { from, to }: { from: Date; to: Date }) {
  const latency = Array.from({ length: 24 }, (_, bucket) => `coalesce(sum(latency[${bucket + 1}]), 0)`).join(", ");
  return sql`
    select date_trunc('day', minute, 'UTC') as at, flag, model, sum(calls), sum(attempts) as attempts, sum(errors),
      sum(aborted), sum(refused), sum(input), sum(output), sum(cache_write_5m), sum(cache_write_1h), sum(cache_read),
      sum(web_searches), sum(exact_nano_usd), sum(estimated_nano_usd), sum(unpriced),
      json_build_array(${sql.unsafe(latency)})::text
    from usage_minutes where minute >= ${from} and minute < ${to} group by 1, 2, 3 order by 1, 2, 3 limit 10001`;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}
