/** The end of a change: the environment's next revision, when it was made, and the NOTIFY, in one statement. */
import { eq, type SQL, sql } from "drizzle-orm";
import { NOTIFY_CHANNEL } from "../db/listen.ts";
import { environments, installation } from "../db/schema.ts";
import type { Db } from "../db/types.ts";
import { AppError } from "../errors.ts";
import { snapshotColumns, type SnapshotRows, snapshotRowsOf } from "./snapshot-rows.ts";

/** Takes the revision and tells the other servers. Whoever calls it refreshes the snapshot after commit. */
export async function moveOn(tx: Db, environmentId: string, revision: number): Promise<void> {
  const { moved, kept } = moving(tx, environmentId, revision);
  await tx
    .with(moved, kept)
    .select({ told: notify(environmentId) })
    .from(moved);
}

/**
 * The same, and answers with the environment as it is then, to be served once it is committed: clients wait for a kill
 * no longer than for its transaction.
 */
export async function moveOnAndRead(tx: Db, environmentId: string, revision: number): Promise<SnapshotRows> {
  const { moved, kept } = moving(tx, environmentId, revision);
  const [row] = await tx
    .with(moved, kept)
    .select({ ...snapshotColumns(environmentId), committedAt: moved.committedAt, told: notify(environmentId) })
    .from(environments)
    .innerJoin(installation, eq(installation.id, 1))
    .innerJoin(moved, sql`true`)
    .where(eq(environments.id, environmentId));
  if (row === undefined) throw new AppError("NOT_FOUND", "The environment is gone.");
  // A statement sees tables as they were before it, so that these two come from what it returned.
  const environment = { ...row.environment, revision, committedAt: row.committedAt };
  return snapshotRowsOf({ ...row, environment });
}

/** With `notify` in the query, which runs what is selected and all that writes. */
function moving(tx: Db, environmentId: string, revision: number) {
  const moved = tx.$with("moved", { committedAt: sql`moved_at`.mapWith(environments.committedAt).as("moved_at") }).as(
    sql`update environments set revision = ${revision}, committed_at = clock_timestamp()
        where id = ${environmentId} returning id, revision, committed_at as moved_at`,
  );
  const kept = tx
    .$with("kept", {})
    .as(sql`insert into revisions (environment_id, revision, committed_at) select id, revision, moved_at from moved`);
  return { moved, kept };
}

const notify = (environmentId: string): SQL => sql`pg_notify(${NOTIFY_CHANNEL}, ${environmentId})`;
