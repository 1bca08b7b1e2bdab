/** Instances: which clients run, may still run, or have stopped. What is remembered of them is bounded. */
import type { InstanceResource, InstanceList } from "../../api/instance.ts";
import { and, desc, eq, sql } from "drizzle-orm";
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import { read } from "../../transaction.ts";
import { instances, receipts, revisions } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";
import { countOf, LOST_COUNTED_SECONDS, type RunState, someIn, REMEMBERED_MAX } from "../../domain/fleet.ts";
import { lineageOf, PROCESS_ID } from "./fleet.ts";
import { replaceLost } from "./replace-lost.ts";
import { byName, countStopped, flushedFleet, LISTED_MAX, REVISIONS_KEPT } from "./receipts.ts";

/** Stopped instances, and those silent for longer than they count, are remembered for a day. */
const REMEMBERED_HOURS = 24;
/** Instances forgotten in one statement; the job comes again. */
const FORGOTTEN_MAX = 20_000;

/** The instances of an environment that are remembered. */
export async function listInstances(ctx: Ctx, environmentKey: string): Promise<InstanceList> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const lineage = lineageOf(ctx, environment.id);
  const fleet = await flushedFleet(ctx, environment.id, lineage);
  const [stopped, stoppedCount] = await Promise.all([
    listStopped(ctx, environment.id),
    countStopped(ctx, environment.id),
  ]);
  const isCurrent = (n: number | null) => n === environment.revision;
  // Who refuses by itself is named, however many others there are.
  const refusing = (state: RunState) => fleet.held.filter((one) => one.state === state);
  const running = (["live", "lost", "silent"] as const).flatMap((state) =>
    byName([...new Map([...fleet[state], ...refusing(state)].map((one) => [one.id, one])).values()]),
  );
  return {
    items: [
      ...running.map(({ n, lastSeen, local, ...one }) => ({
        ...one,
        lastSeen,
        local: local === null ? null : [...local],
        stoppedBy: null,
        current: isCurrent(n),
      })),
      ...stopped.map((one) => ({ ...one, current: one.revision === `${lineage}.${environment.revision}` })),
    ],
    live: someIn(fleet, "live").count,
    lost: someIn(fleet, "lost").count,
    silent: someIn(fleet, "silent").count,
    stopped: stoppedCount,
    current: countOf(fleet, ({ state, n }) => state === "live" && isCurrent(n)),
    local: countOf(fleet, ({ state, local }) => state !== "silent" && local !== null),
    notCounted: [...fleet.notCounted],
    at: fleet.at,
  };
}

/** Removes receipts and commit times of all but the newest revisions, and instances that nobody asks for any more. */
export async function pruneInstances(db: Db): Promise<void> {
  const oldest = sql`(select revision - ${REVISIONS_KEPT} from environments where environments.id = environment_id)`;
  await db.delete(receipts).where(sql`${receipts.revision} <= ${oldest}`);
  await db.delete(revisions).where(sql`${revisions.revision} <= ${oldest}`);
  await replaceLost(db);
  const over = sql`coalesce(stopped_at, disconnected_at, last_seen)`;
  await db.execute(sql`
    delete from instances using (
      select environment_id, instance, boot from (
        select environment_id, instance, boot, ${over} as over,
          row_number() over (partition by environment_id, stopped_at is null order by ${over} desc) as place
        from instances
        where stopped_at is not null or ${over} < clock_timestamp() - ${LOST_COUNTED_SECONDS} * interval '1 second'
      ) as remembered
      where place > ${REMEMBERED_MAX} or over < clock_timestamp() - make_interval(hours => ${REMEMBERED_HOURS})
      limit ${FORGOTTEN_MAX}
    ) as forgotten
    where instances.environment_id = forgotten.environment_id and instances.instance = forgotten.instance
      and instances.boot = forgotten.boot`);
}

/** The newest first. */
async function listStopped(ctx: Ctx, environmentId: string): Promise<Omit<InstanceResource, "current">[]> {
  const rows = await read(ctx, (db) =>
    db
      .select({
        id: sql<string>`${PROCESS_ID}`,
        instance: instances.instance,
        app: instances.app,
        sdk: instances.sdk,
        lineage: instances.lineage,
        revision: instances.revision,
        appliedAt: instances.appliedAt,
        lastSeen: instances.lastSeen,
        stoppedBy: instances.stoppedBy,
        by: instances.declaredDeadBy,
        at: instances.declaredDeadAt,
        secondsAgo:
          sql`greatest(0, floor(extract(epoch from clock_timestamp() - ${instances.declaredDeadAt})))`.mapWith(Number),
        silentSeconds: sql`greatest(0, floor(extract(epoch from clock_timestamp() - ${instances.lastSeen})))`.mapWith(
          Number,
        ),
      })
      .from(instances)
      .where(and(eq(instances.environmentId, environmentId), sql`${instances.stoppedAt} is not null`))
      .orderBy(desc(instances.stoppedAt))
      .limit(LISTED_MAX),
  );
  return rows.map(({ lineage, revision, appliedAt, lastSeen, by, at, secondsAgo, ...row }) => ({
    ...row,
    revision: lineage === null || revision === null ? null : `${lineage}.${revision}`,
    appliedAt: appliedAt?.toISOString() ?? null,
    lastSeen: lastSeen.toISOString(),
    state: "stopped",
    disconnectedSeconds: null,
    local: null,
    declaredDead: by === null || at === null ? null : { by, at: at.toISOString(), secondsAgo },
  }));
}
