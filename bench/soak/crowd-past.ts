/** The past of a crowd: tables as full as if it had been there for hours, by SQL, so that a short run shows their bounds. */
import { sql } from "drizzle-orm";
import { DEFAULT_RECENT_CALLS_MAX } from "../../src/config.ts";
import type { Db } from "../../src/db/types.ts";
import { MAX_KEYS_PER_FLAG } from "../../src/domain/calls.ts";
import { LOST_COUNTED_SECONDS } from "../../src/domain/fleet.ts";
import { MINUTE_MS } from "../../src/domain/ledger.ts";
import { REMEMBERED_MAX } from "../../src/domain/fleet.ts";
import { REVISIONS_KEPT } from "../../src/services/instances/receipts.ts";
import { CALLS_KEPT_MS } from "../../src/services/usage/calls-by-revision.ts";
import { callsIn, CLIENTS, FLAGS, lostIn } from "./crowd-shape.ts";
import { MODEL } from "./traffic.ts";

/** Between two clients that go without a goodbye. */
const LOST_EVERY_SECONDS = 1 / lostIn(1_000);
const LOST = lostIn(LOST_COUNTED_SECONDS * 1_000);

/**
 * Fills the tables of `production`, whose newest revision is `<lineage>.<n>` and whose flags are there. As many revisions as
 * are kept must have been made before.
 */
export async function fillPast(db: Db, { lineage, n }: { lineage: string; n: number }): Promise<void> {
  const environment = sql`(select id from environments where key = 'production')`;
  const gone = sql`now() - at * ${LOST_EVERY_SECONDS}::float8 * interval '1 second'`;
  const instances = sql`insert into instances (environment_id, instance, boot, app, lineage, revision, applied_at,
    first_seen, last_seen, disconnected_at, stopped_at, stopped_by)`;
  const ofPast = (name: string) => sql`${environment}, ${name}::text || at, 'past', 'crowd', ${lineage}, ${n}::bigint,
    ${gone}, ${gone} - interval '10 seconds', ${gone}`;
  // Those that still count as lost, and behind them as many as are remembered of those that do not any more.
  await db.execute(sql`${instances} select ${ofPast("lost-")}, ${gone}, null, null
    from generate_series(1, ${LOST + REMEMBERED_MAX}::int) as at`);
  await db.execute(sql`${instances} select ${ofPast("stopped-")}, null, ${gone}, 'goodbye'
    from generate_series(1, ${REMEMBERED_MAX}::int) as at`);
  await db.execute(sql`
    insert into receipts (environment_id, lineage, revision, instance, boot, applied_at, first_seen)
    select environment_id, ${lineage}, revision, 'lost-' || at, 'past', committed_at + interval '20 ms', committed_at
    from revisions, generate_series(1, ${CLIENTS}::int) as at
    where environment_id = ${environment} and revision > ${n - REVISIONS_KEPT}::bigint`);
  await db.execute(sql`
    insert into calls_by_revision (environment_id, minute, flag, lineage, revision, model, requested_model, attempts,
      nano_usd, newest_start, newest_instance)
    select ${environment}, date_trunc('minute', now()) - minute * interval '1 minute', 'feature-' || flag, ${lineage},
      ${n}::bigint - key, ${MODEL}, ${MODEL}, 1, 1000000, now() - minute * interval '1 minute', 'lost-1'
    from generate_series(1, ${CALLS_KEPT_MS / MINUTE_MS}::int) as minute, generate_series(0, ${FLAGS - 1}::int) as flag,
      generate_series(0, ${MAX_KEYS_PER_FLAG - 1}::int) as key`);
  await db.execute(sql`
    insert into usage_recent (environment_id, at, flag, model, requested_model, outcome, exact, cost_nano_usd, input, output,
      latency_ms, attempt, instance)
    select ${environment}, now() - (${DEFAULT_RECENT_CALLS_MAX}::int - at) / ${callsIn(1_000)}::float8 * interval '1 second',
      'feature-' || at % ${FLAGS}::int, ${MODEL}, ${MODEL}, 'ok', true, 1000000, 100, 100, 800, 1, 'lost-1'
    from generate_series(1, ${DEFAULT_RECENT_CALLS_MAX}::int) as at`);
}
