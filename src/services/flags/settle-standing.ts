/**
 * Settles what holds for the flags of an environment at the end of every change of it: which of them it moved, and since
 * when each is in its state. Within the change's transaction and lock, so that no state begins unrecorded.
 */
import { and, asc, eq, ne, sql } from "drizzle-orm";
import { environments, flags } from "../../db/schema/state.ts";
import type { Db, FlagRow } from "../../db/types.ts";
import { settled, type Surroundings } from "../../domain/flag.ts";
import type { StandingState, StoredStanding } from "../../domain/standing.ts";
import { surroundingColumns, surroundingsOf } from "./surroundings.ts";

/** A flag whose state or first model the change has moved. */
export interface Moved {
  flag: string;
  before: { state: StandingState; model: string | null };
  after: { state: StandingState; model: string | null };
}

export async function settleStandings(tx: Db, environmentId: string, at: Date, revision: number): Promise<Moved[]> {
  const { around, rows } = await readAll(tx, environmentId);
  const next = rows.flatMap((flag) => {
    const standing = settled(flag, around, at, revision);
    return standing === null ? [] : [{ flag, standing }];
  });
  if (next.length === 0) return [];
  await write(
    tx,
    environmentId,
    next.map(({ flag, standing }) => ({ key: flag.key, ...standing })),
  );
  return next.flatMap(({ flag, standing }) => movedOf(flag, standing));
}

/**
 * Settles all flags at once for a kill of the master switch, which waits for nothing that can be left out. What is off
 * already stays as it is; what was never settled is by the change after.
 */
export async function settleAllOff(tx: Db, environmentId: string, at: Date, revision: number): Promise<void> {
  await tx
    .update(flags)
    .set({
      standing: "off",
      standingSince: at,
      standingBegan: "MASTER",
      standingModels: [],
      standingRevision: revision,
    })
    .where(and(eq(flags.environmentId, environmentId), ne(flags.standing, "off")));
}

async function readAll(tx: Db, environmentId: string): Promise<{ around: Surroundings; rows: FlagRow[] }> {
  const [row] = await tx
    .select({ environment: environments, ...surroundingColumns(environmentId) })
    .from(environments)
    .where(eq(environments.id, environmentId));
  const rows = await tx.select().from(flags).where(eq(flags.environmentId, environmentId)).orderBy(asc(flags.key));
  if (row === undefined) throw new Error("an environment that is locked is there");
  return { around: surroundingsOf(row.environment, row), rows };
}

/** Without the version: what holds now is nothing that people edit. */
async function write(
  tx: Db,
  environmentId: string,
  rows: readonly ({ key: string } & StoredStanding)[],
): Promise<void> {
  await tx
    .update(flags)
    .set({
      standing: sql`v.standing`,
      standingSince: sql`v."standingSince"`,
      standingBegan: sql`v."standingBegan"`,
      standingModels: sql`v."standingModels"`,
      standingRevision: sql`v."standingRevision"`,
    })
    .from(
      sql`jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v(key text, standing text,
        "standingSince" timestamptz, "standingBegan" text, "standingModels" jsonb, "standingRevision" bigint)`,
    )
    .where(and(eq(flags.environmentId, environmentId), sql`${flags.key} = v.key`));
}

function movedOf(flag: FlagRow, { standing, standingModels }: StoredStanding): Moved[] {
  if (flag.standing === null) return [];
  const before = { state: flag.standing, model: flag.standingModels?.[0] ?? null };
  const after = { state: standing, model: standingModels[0] ?? null };
  return before.state === after.state && before.model === after.model ? [] : [{ flag: flag.key, before, after }];
}
