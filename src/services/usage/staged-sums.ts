/**
 * The sums of names, on their way from the ledger's transaction into the rows of their hour. The ledger only writes them down,
 * one row for a transaction and hour; a job adds them up. Invariant: what is staged is added once, in the transaction that takes
 * it out, so that neither a crash nor a second server loses or doubles any.
 */
import { and, asc, desc, eq, inArray, type SQL, sql } from "drizzle-orm";
import type { Deps } from "../../deps.ts";
import { instances } from "../../db/schema/state.ts";
import { usageStaged } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";
import type { PricedRecord } from "../../domain/ledger.ts";
import { type Money, NameHour, type NameSum, plus, tallyNames, TOP_BYS, type TopBy } from "../../domain/name-sums.ts";
import { HOUR_GRAIN } from "../../domain/rollups.ts";

/** Sums that are added up at once, without keeping others waiting, and rows that they are in. */
const SUMS_AT_ONCE = 10_000;
const ROWS_AT_ONCE = 500;
const NAMES_AT_ONCE = 4_000;
/** Beyond so many, the oldest are not told apart any more: whatever they cost is left out. */
const MAX_STAGED_SUMS = 3_000_000;

/** The sums of a name as its rows have them. */
const SUM_NAMES = [
  "calls",
  "attempts",
  "errors",
  "aborted",
  "refused",
  "prompt",
  "output",
  "exact_nano_usd",
  "estimated_nano_usd",
];
export const SUM_COLUMNS = sql.raw(SUM_NAMES.join(", "));
export const TOTALS = sql.raw(SUM_NAMES.map((name) => `sum(${name}) as ${name}`).join(", "));
/** For `on conflict … do update set` of rows that are `known`. */
export const ADDED = sql.raw(SUM_NAMES.map((name) => `${name} = known.${name} + excluded.${name}`).join(", "));

/** Staged sums for a query, with the application that each is of: tables `parsed`, `applications` and `named`. */
export function namedSums(from: SQL): SQL {
  return sql`
    parsed as (
      select s.environment_id, s.hour, b.key as "by", v->>0 as name, v->>1 as flag, v->>2 as model, (v->>3)::bigint as calls,
        (v->>4)::bigint as attempts, (v->>5)::bigint as errors, (v->>6)::bigint as aborted, (v->>7)::bigint as refused,
        (v->>8)::bigint as prompt, (v->>9)::bigint as output, (v->>10)::numeric as exact_nano_usd,
        (v->>11)::numeric as estimated_nano_usd
      from ${from} as s cross join lateral jsonb_each(s.sums::jsonb) as b cross join lateral jsonb_array_elements(b.value) as v
    ), applications as (
      select p.environment_id, p.name, i.app, i.sdk
      from (select distinct environment_id, name from parsed where "by" = 'instance') as p
        left join lateral (select app, sdk from instances where environment_id = p.environment_id and instance = p.name
          order by last_seen desc limit 1) as i on true
    ), named as (
      select environment_id, hour, "by", name, flag, model, ${SUM_COLUMNS} from parsed where "by" <> 'instance'
      union all
      select p.environment_id, p.hour, a."by", a.name, p.flag, p.model, ${SUM_COLUMNS}
      from parsed as p join applications as o on o.environment_id = p.environment_id and o.name = p.name
        cross join lateral (values ('app', o.app), ('version', o.sdk)) as a("by", name)
      where p."by" = 'instance' and a.name <> ''
    )`;
}

/** Writes down what these records add, within the ledger's transaction. */
export async function stageSums(tx: Db, environmentId: string, records: readonly PricedRecord[]): Promise<void> {
  if (records.length === 0) return;
  const rows = Array.from(tallyNames(records), ([hourMs, hour]) => ({
    environmentId,
    hour: new Date(hourMs),
    rows: hour.size,
    nanoUsd: sql`${String(hour.nanoUsd)}::numeric`,
    sums: hour.encode(),
  }));
  await tx.insert(usageStaged).values(rows);
}

/** Adds a portion of what is staged to its hours, the oldest first. False when nothing is left of it. */
export async function foldStaged({ db }: Pick<Deps, "db">, maxStaged = MAX_STAGED_SUMS): Promise<boolean> {
  const found = await db
    .select({ id: usageStaged.id, rows: usageStaged.rows })
    .from(usageStaged)
    .orderBy(asc(usageStaged.id))
    .limit(ROWS_AT_ONCE);
  const ids: number[] = [];
  let sums = 0;
  for (const { id, rows } of found) {
    if (sums >= SUMS_AT_ONCE) break;
    ids.push(id);
    sums += rows;
  }
  if (ids.length === 0) return false;
  const [all] = await db.select({ sums: sql`sum(${usageStaged.rows})`.mapWith(Number) }).from(usageStaged);
  const isTooMuch = (all?.sums ?? 0) > maxStaged;
  await db.transaction(async (tx) => {
    // Whoever finds a row locked leaves it to the other: it is on its way.
    const free = await tx
      .select({ id: usageStaged.id })
      .from(usageStaged)
      .where(inArray(usageStaged.id, ids))
      .for("update", { skipLocked: true });
    const taken = await tx
      .delete(usageStaged)
      .where(
        inArray(
          usageStaged.id,
          free.map(({ id }) => id),
        ),
      )
      .returning({
        environmentId: usageStaged.environmentId,
        hour: usageStaged.hour,
        nanoUsd: sql<string>`${usageStaged.nanoUsd}::text`,
        sums: usageStaged.sums,
      });
    const hours = hoursOf(taken, isTooMuch);
    const names = await namesOf(tx, hours);
    // One transaction of the ledger may have staged more than one statement adds in time.
    for (let at = 0; at < names.length; at += NAMES_AT_ONCE) await addNames(tx, names.slice(at, at + NAMES_AT_ONCE));
    await addSpans(tx, hours, isTooMuch);
  });
  return ids.length < found.length || found.length === ROWS_AT_ONCE;
}

interface StagedRow {
  environmentId: string;
  hour: Date;
  nanoUsd: string;
  sums: string;
}

interface Hour {
  environmentId: string;
  /** ISO 8601. */
  at: string;
  names: NameHour;
}

/** What is taken by environment and hour, in that order: two servers never wait for each other in a circle. */
function hoursOf(taken: readonly StagedRow[], isTooMuch: boolean): Hour[] {
  const hours = new Map<string, Hour>();
  for (const { environmentId, hour, nanoUsd, sums } of taken) {
    const at = hour.toISOString();
    const key = `${environmentId} ${at}`;
    const own = hours.get(key) ?? { environmentId, at, names: new NameHour() };
    hours.set(key, own);
    own.names.nanoUsd = plus(own.names.nanoUsd, nanoUsd);
    if (!isTooMuch) own.names.add(sums);
  }
  return [...hours].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, hour]) => hour);
}

interface NamedSum extends NameSum {
  environmentId: string;
  by: TopBy;
  at: string;
}

/** Their sums with the application that each is of. One may come twice. */
async function namesOf(tx: Db, hours: readonly Hour[]): Promise<NamedSum[]> {
  const named: NamedSum[] = [];
  for (const { environmentId, at, names } of hours) {
    const { user, session, instance } = names.sums;
    for (const sum of user.values()) named.push({ ...sum, environmentId, at, by: "user" });
    for (const sum of session.values()) named.push({ ...sum, environmentId, at, by: "session" });
    const applications = await applicationsOf(
      tx,
      environmentId,
      new Set(Array.from(instance.values(), ({ name }) => name)),
    );
    for (const sum of instance.values()) {
      const { app, sdk } = applications.get(sum.name) ?? {};
      if (app) named.push({ ...sum, environmentId, at, by: "app", name: app });
      if (sdk) named.push({ ...sum, environmentId, at, by: "version", name: sdk });
    }
  }
  return named;
}

async function applicationsOf(tx: Db, environmentId: string, names: ReadonlySet<string>) {
  if (names.size === 0) return new Map<string, { app: string | null; sdk: string | null }>();
  const rows = await tx
    .selectDistinctOn([instances.instance], { instance: instances.instance, app: instances.app, sdk: instances.sdk })
    .from(instances)
    .where(and(eq(instances.environmentId, environmentId), inArray(instances.instance, [...names])))
    .orderBy(instances.instance, desc(instances.lastSeen));
  return new Map(rows.map(({ instance, app, sdk }) => [instance, { app, sdk }]));
}

async function addNames(tx: Db, names: readonly NamedSum[]): Promise<void> {
  if (names.length === 0) return;
  await tx.execute(sql`
    insert into usage_top_names as known (environment_id, grain, "by", start, name, flag, model, ${SUM_COLUMNS})
    select v."environmentId", ${GRAIN}, v."by", v.at, v.name, v.flag, v.model, sum(v.calls), sum(v.attempts), sum(v.errors),
      sum(v.aborted), sum(v.refused), sum(v.prompt), sum(v.output), sum(v.exact), sum(v.estimated)
    from jsonb_to_recordset(cast(${JSON.stringify(names)} as text)::jsonb) as v("environmentId" text, "by" text,
      at timestamptz, name text, flag text, model text, calls bigint, attempts bigint, errors bigint, aborted bigint,
      refused bigint, prompt bigint, output bigint, exact numeric, estimated numeric)
    group by 1, 3, 4, 5, 6, 7 order by 1, 3, 4, 5, 6, 7
    on conflict (environment_id, grain, "by", start, name, flag, model) do update set ${ADDED}`);
}

/** The rows are no fewer than there are: of instances of one application there is one. */
async function addSpans(tx: Db, hours: readonly Hour[], isLeftOut: boolean): Promise<void> {
  if (hours.length === 0) return;
  const rows: { environmentId: string; at: string; by: TopBy; nanoUsd: Money; rows: number }[] = [];
  for (const { environmentId, at, names } of hours) {
    for (const by of TOP_BYS) {
      const own = names.sums[by === "user" || by === "session" ? by : "instance"];
      rows.push({ environmentId, at, by, nanoUsd: names.nanoUsd, rows: own.size });
    }
  }
  await tx.execute(sql`
    insert into usage_top_spans as known (environment_id, grain, "by", start, nano_usd, left_out_nano_usd, rows, is_open)
    select v."environmentId", ${GRAIN}, v."by", v.at, v."nanoUsd", ${isLeftOut ? sql`greatest(0, v."nanoUsd")` : sql`0`}, v.rows, true
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v("environmentId" text, "by" text,
      at timestamptz, "nanoUsd" numeric, rows integer)
    order by 1, 4, 3
    on conflict (environment_id, grain, "by", start) do update set nano_usd = known.nano_usd + excluded.nano_usd,
      left_out_nano_usd = known.left_out_nano_usd + excluded.left_out_nano_usd, rows = known.rows + excluded.rows,
      is_open = true`);
}

const GRAIN = sql.raw(String(HOUR_GRAIN));
