/**
 * Reads the fleet of an environment in one statement, for all servers: groups of instances that are alike, and the few
 * that are named. What was said of stopped instances is not read here, so that it costs nothing to remember them.
 */
import { type SQL, sql } from "drizzle-orm";
import { parseRevision } from "../../../sdk-client/src/wire/revision.ts";
import { requireEnvironmentId } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import { instances } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import {
  type Fleet,
  type FleetGroup,
  LIVE_SECONDS,
  LOST_COUNTED_SECONDS,
  type Member,
  type NotCounted,
  RECONNECT_SECONDS,
} from "../../domain/fleet.ts";

/** Names of each kind on a page; the counts are of all. */
const NAMED_MAX = 20;
/** For so long after a client came that is not counted, that is said. */
const NOT_COUNTED_SHOWN_SECONDS = 90;

/** Who runs in an environment. NOT_FOUND as everywhere. */
export async function fleetOf(ctx: Ctx, environmentKey: string, named = NAMED_MAX): Promise<Fleet> {
  const environmentId = await requireEnvironmentId(ctx, environmentKey, "viewer");
  return read(ctx, (db) => readFleet(db, { environmentId, lineage: lineageOf(ctx, environmentId), named }));
}

export function lineageOf(ctx: Ctx, environmentId: string): string {
  return parseRevision(ctx.deps.snapshots.revisionOf(environmentId, 0))?.lineage ?? "";
}

/** The lineage in which receipts count, and how many of each kind are named. */
interface Asked {
  environmentId: string;
  lineage: string;
  named: number;
}

export async function readFleet(db: Db, asked: Asked): Promise<Fleet> {
  const [row] = returnedRows(await db.execute(fleetQuery(asked)));
  if (row === undefined) throw new TypeError("the database answered with no row");
  return {
    groups: rowsOf<FleetGroup>(row["groups"]),
    live: membersOf(row["live"]),
    lost: membersOf(row["lost"]),
    silent: membersOf(row["silent"]),
    held: membersOf(row["held"]),
    returned: membersOf(row["returned"]),
    notCounted: rowsOf<NotCounted>(row["not_counted"]),
    any: row["any"] === true,
    at: moment(String(row["at"])),
  };
}

/** Slowest first, so that the first names are stragglers of any revision that has some. */
const SLOWEST_FIRST = sql`n nulls first, instance, boot`;

export function fleetQuery({ environmentId, lineage, named }: Asked): SQL {
  const namedIn = (which: SQL, order: SQL) =>
    sql`(select coalesce(json_agg(${member(environmentId)} order by ${order}), '[]')
      from (select * from known where ${which} order by ${order} limit ${named}) as known)`;
  return sql`
    with known as materialized (
      select instance, boot, app, sdk, first_seen, last_seen, applied_at, local, declared_dead_at, declared_dead_by,
        case when revision is not null then lineage || '.' || revision end as revision,
        case when lineage = ${lineage} then revision end as n,
        ${stateOf(sql`clock.at`)} as state,
        coalesce(disconnected_at, last_seen) > clock.at - ${LOST_COUNTED_SECONDS} * interval '1 second' as is_recent,
        ${secondsSince(sql`last_seen`)} as silent_seconds,
        ${secondsSince(sql`disconnected_at`)} as disconnected_seconds,
        ${secondsSince(sql`declared_dead_at`)} as declared_seconds
      from instances cross join (select clock_timestamp() as at) as clock
      where environment_id = ${environmentId} and stopped_at is null
    )
    select
      (select coalesce(json_agg(alike), '[]') from (
        select state, n, local, is_recent as "isRecent", count(*)::int as count from known group by 1, 2, 3, 4
      ) as alike) as groups,
      ${namedIn(sql`state = 'live'`, SLOWEST_FIRST)} as live,
      ${namedIn(sql`state = 'lost'`, SLOWEST_FIRST)} as lost,
      ${namedIn(sql`state = 'silent'`, SLOWEST_FIRST)} as silent,
      ${namedIn(sql`local is not null and state <> 'silent'`, sql`instance, boot`)} as held,
      ${namedIn(sql`state = 'live' and declared_seconds < ${LOST_COUNTED_SECONDS}`, sql`instance, boot`)} as returned,
      (select coalesce(json_agg(json_build_object(
          'token', tokens.name, 'because', because, 'atLeast', at_least) order by at_least desc), '[]')
        from instances_not_counted join tokens on tokens.id = token_id
        where environment_id = ${environmentId}
          and seen_at > clock_timestamp() - ${NOT_COUNTED_SHOWN_SECONDS} * interval '1 second') as not_counted,
      exists (select from known)
        or exists (select from instances where environment_id = ${environmentId} and stopped_at is not null) as any,
      to_json(clock_timestamp()) as at`;
}

/** The state of a row that has not stopped. Ages are by the database's clock: this server's may differ from the writer's. */
export function stateOf(at: SQL): SQL {
  const ago = (seconds: number) => sql`${at} - ${seconds} * interval '1 second'`;
  return sql`case
    when ${instances.disconnectedAt} <= ${ago(RECONNECT_SECONDS)} and ${instances.disconnectedAt} > ${ago(LOST_COUNTED_SECONDS)} then 'lost'
    when ${instances.lastSeen} >= ${ago(LIVE_SECONDS)} then 'live'
    else 'silent' end`;
}

const secondsSince = (column: SQL) =>
  sql`case when ${column} is not null then greatest(0, floor(extract(epoch from clock.at - ${column})))::int end`;

/** As a `Member`. Several processes of one name are told apart by the order in which they came. */
function member(environmentId: string): SQL {
  // Not "where stopped_at is null": then the index of all that run is taken while the table is not analysed.
  const earlier = sql`(select count(*) filter (where other.stopped_at is null) from instances as other
    where other.environment_id = ${environmentId} and other.instance = known.instance
    and (other.first_seen, other.boot) < (known.first_seen, known.boot))`;
  return sql`json_build_object(
    'id', ${PROCESS_ID}, 'instance', instance || case when ${earlier} = 0 then '' else ' (' || ${earlier} + 1 || ')' end,
    'app', app, 'sdk', sdk, 'state', state, 'n', n, 'revision', revision, 'appliedAt', applied_at, 'lastSeen', last_seen,
    'silentSeconds', silent_seconds, 'disconnectedSeconds', disconnected_seconds, 'local', local,
    'declaredDead', case when declared_dead_at is not null then json_build_object(
      'by', declared_dead_by, 'at', declared_dead_at, 'secondsAgo', declared_seconds) end)`;
}

/** Names one process, also where several share a name. */
export const PROCESS_ID = sql`left(encode(sha256(convert_to(instance || chr(10) || boot, 'UTF8')), 'hex'), 32)`;

function membersOf(value: unknown): Member[] {
  return rowsOf<Member>(value).map((one) => ({
    ...one,
    lastSeen: moment(one.lastSeen),
    appliedAt: one.appliedAt === null ? null : moment(one.appliedAt),
    declaredDead: one.declaredDead === null ? null : { ...one.declaredDead, at: moment(one.declaredDead.at) },
  }));
}

function moment(text: string): string {
  return new Date(text).toISOString();
}

/** A column that this file's own statement has made as JSON; both drivers parse it. */
function rowsOf<T>(value: unknown): T[] {
  if (!Array.isArray(value)) throw new TypeError("the database answered with something else than rows");
  return value;
}
