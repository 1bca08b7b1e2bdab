/**
 * Who drives what is wrong, and how far from usual it is: the usual burn of each flag, and of each open incident the
 * name behind most of its last hour. Few statements, each over one hour or one day, shared by all who look for a while.
 */
import { sql } from "drizzle-orm";
import type { Ctx } from "../../deps.ts";
import { requireEnvironmentId } from "../../authorize.ts";
import { Memo } from "../shared/memo.ts";
import { read } from "../../transaction.ts";
import { flags as flagTable } from "../../db/schema/state.ts";
import { usageMinutes, usageRecent } from "../../db/schema/usage.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import type { Db } from "../../db/types.ts";
import { hourOf } from "../../domain/usual.ts";
import { readUsuals, type Usuals, usualsNow } from "./usual.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const PACE_MS = 15 * MINUTE_MS;
const DRIVERS_KEPT_MS = 15_000;
/** Incidents whose driver is asked for, the first ones. */
const MAX_DRIVERS = 5;
/** From this share on somebody is behind most of it. */
const MOST_PERCENT = 50;

/** Who comes before what: the one with the larger share is named, the narrower of two that have the same. */
const WHO = ["session", "user"] as const;
const WHAT = ["feature", "instance", "model"] as const;

export interface Driver {
  /** Who is behind most of the last hour; null when nobody is. */
  who: { by: (typeof WHO)[number] | (typeof WHAT)[number]; name: string; percent: number } | null;
  /** Of the last 15 minutes; at the breach, when nothing is spent since. */
  burnNanoUsdPerHour: number;
  /** Of that hour; null when there is less than an hour to compare with. */
  usualNanoUsdPerHour: number | null;
}

export interface Driven {
  /** The incident's. */
  id: string;
  /** Null: of all flags. */
  flag: string | null;
  /** The end of the hour that is looked at, Unix time in milliseconds. */
  untilMs: number;
}

const drivers = new Memo<ReadonlyMap<string, Driver>>(DRIVERS_KEPT_MS);

/** What each flag of the environment usually spends an hour. */
export async function usualBurns(ctx: Ctx, environmentKey: string): Promise<Usuals> {
  const id = await requireEnvironmentId(ctx, environmentKey, "viewer");
  return read(ctx, (db) => usualsNow(ctx, db, id));
}

/** Who drives each of these incidents, by incident. */
export async function driversOf(
  ctx: Ctx,
  environmentKey: string,
  all: readonly Driven[],
): Promise<ReadonlyMap<string, Driver>> {
  if (all.length === 0) return new Map();
  const id = await requireEnvironmentId(ctx, environmentKey, "viewer");
  const driven = all.slice(0, MAX_DRIVERS);
  const asked = driven.map((one) => `${one.id} ${one.flag ?? ""}`).join();
  return drivers.get(ctx, id, asked, () => read(ctx, (db) => readDrivers(db, id, driven)));
}

async function readDrivers(db: Db, environmentId: string, all: readonly Driven[]): Promise<Map<string, Driver>> {
  const found = new Map<string, Driver>();
  for (const one of all) found.set(one.id, await readDriver(db, environmentId, one));
  return found;
}

const minuteCost = sql`${usageMinutes.exactNanoUsd} + ${usageMinutes.estimatedNanoUsd}`;

async function readDriver(db: Db, environmentId: string, { flag, untilMs }: Driven): Promise<Driver> {
  const defined = sql`select ${flagTable.key} from ${flagTable} where ${flagTable.environmentId} = ${environmentId}`;
  const rows = returnedRows(
    await db.execute(sql`
      select ${usageMinutes.flag} as flag, sum(${minuteCost})::float8 as lately
      from ${usageMinutes}
      where ${usageMinutes.environmentId} = ${environmentId}
        and ${usageMinutes.minute} >= ${iso(untilMs - PACE_MS)} and ${usageMinutes.minute} <= ${iso(untilMs)}
        and ${flag === null ? sql`${usageMinutes.flag} in (${defined})` : sql`${usageMinutes.flag} = ${flag}`}
      group by 1`),
  );
  const usuals = await readUsuals(db, environmentId, hourOf(untilMs));
  const usual = (flag === null ? usuals.flags : [flag]).flatMap(
    (one) => usuals.until(one, untilMs)?.nanoUsdPerHour ?? [],
  );
  const lately = rows.reduce((sum, row) => sum + Number(row["lately"]), 0);
  return {
    who: await readWho(db, environmentId, { flag, untilMs }),
    burnNanoUsdPerHour: Math.ceil((lately * HOUR_MS) / PACE_MS),
    usualNanoUsdPerHour: usual.length === 0 ? null : usual.reduce((sum, one) => sum + one, 0),
  };
}

async function readWho(
  db: Db,
  environmentId: string,
  { flag, untilMs }: Pick<Driven, "flag" | "untilMs">,
): Promise<Driver["who"]> {
  const rows = returnedRows(
    await db.execute(sql`
      select distinct on (kind) kind, name, cost, total, names from (
        select kind, name, sum(cost) as cost, sum(sum(cost)) over (partition by kind) as total,
          count(*) over (partition by kind) as names
        from (
          select ${usageRecent.costNanoUsd} as cost, ${usageRecent.user} as user_id,
            ${usageRecent.session} as session_id, ${usageRecent.instance} as instance,
            ${usageRecent.flag} as flag, ${usageRecent.model} as model
          from ${usageRecent}
          where ${usageRecent.environmentId} = ${environmentId}
            and ${usageRecent.at} >= ${iso(untilMs - HOUR_MS)} and ${usageRecent.at} <= ${iso(untilMs)}
            ${flag === null ? sql`` : sql`and ${usageRecent.flag} = ${flag}`}
        ) calls
        cross join lateral (values ('session', session_id), ('user', user_id), ('instance', instance),
          ('feature', flag), ('model', model)) as parts (kind, name)
        group by kind, name
      ) sums
      where coalesce(name, '') <> '' and total > 0
      order by kind, cost desc, name`),
  );
  const most = (kinds: readonly (typeof WHO)[number][] | readonly (typeof WHAT)[number][]) => {
    const found = kinds.flatMap((by) => {
      const row = rows.find(({ kind }) => kind === by);
      if (row === undefined) return [];
      const percent = Math.floor((Number(row["cost"]) / Number(row["total"])) * 100);
      // The only model, feature or instance there is explains nothing.
      const isTelling = kinds === WHO || Number(row["names"]) > 1;
      return isTelling && percent >= MOST_PERCENT ? [{ by, name: String(row["name"]), percent }] : [];
    });
    return found.toSorted((one, other) => other.percent - one.percent)[0] ?? null;
  };
  return most(WHO) ?? most(WHAT);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
