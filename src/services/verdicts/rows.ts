/** The log of verdicts as stored: appending to it, and reading what is new. */
import { and, desc, eq, gt, sql } from "drizzle-orm";
import { MAX_VERDICTS, type VerdictAction } from "../../../sdk-client/src/wire/verdict-protocol.ts";
import { NOTIFY_CHANNEL } from "../../db/listen.ts";
import { verdictHeads, verdicts } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";

/** The first word of a NOTIFY that tells of verdicts; the environment's id follows. */
export const VERDICTS_PAYLOAD = "verdicts";

export interface NewVerdict {
  budgetId: string;
  subject: string;
  action: VerdictAction;
  /** Of a downgrade; null: one further than the flag. */
  level: number | null;
  /** Unix time in milliseconds. */
  untilMs: number;
}

export interface LoggedVerdict extends NewVerdict {
  n: number;
}

/** Appends to the log; each takes the place of the entry about the same subject. Their order is that of the commits. */
export async function appendVerdicts(
  tx: Db,
  environmentId: string,
  entries: readonly NewVerdict[],
): Promise<LoggedVerdict[]> {
  if (entries.length === 0) return [];
  const count = entries.length;
  const [head] = await tx
    .insert(verdictHeads)
    .values({ environmentId, n: count })
    .onConflictDoUpdate({ target: verdictHeads.environmentId, set: { n: sql`${verdictHeads.n} + ${count}` } })
    .returning({ n: verdictHeads.n });
  const last = head?.n ?? count;
  const logged = entries.map((entry, index) => ({ ...entry, n: last - count + 1 + index }));
  await Promise.all([
    tx.execute(sql`
      insert into verdicts (environment_id, budget_id, subject, n, action, level, until)
      select ${environmentId}, v."budgetId", v.subject, v.n, v.action, v.level, to_timestamp(v."untilMs" / 1000.0)
      from jsonb_to_recordset(cast(${JSON.stringify(logged)} as text)::jsonb) as v("budgetId" text, subject text,
        n bigint, action text, level integer, "untilMs" bigint)
      on conflict (environment_id, budget_id, subject) do update set
        n = excluded.n, action = excluded.action, level = excluded.level, until = excluded.until`),
    tx.execute(sql`select pg_notify(${NOTIFY_CHANNEL}, ${`${VERDICTS_PAYLOAD} ${environmentId}`})`),
  ]);
  return logged;
}

/** The end of the log and the entries after `n`, oldest first: the newest MAX_VERDICTS of them. */
export async function readVerdicts(
  db: Db,
  environmentId: string,
  afterN: number,
): Promise<{ n: number; floor: number; entries: LoggedVerdict[] }> {
  const [head] = await db.select().from(verdictHeads).where(eq(verdictHeads.environmentId, environmentId));
  const rows = await db
    .select()
    .from(verdicts)
    .where(and(eq(verdicts.environmentId, environmentId), gt(verdicts.n, afterN)))
    .orderBy(desc(verdicts.n))
    .limit(MAX_VERDICTS);
  const entries = rows.toReversed().map(({ n, budgetId, subject, action, level, until }) => ({
    n,
    budgetId,
    subject,
    action,
    level,
    untilMs: until.getTime(),
  }));
  // A row that was committed between the two statements is the end as well.
  const n = Math.max(head?.n ?? 0, entries.at(-1)?.n ?? 0);
  const cut = entries.length < MAX_VERDICTS ? 0 : (entries[0]?.n ?? 1) - 1;
  return { n, floor: Math.max(head?.floor ?? 0, cut), entries };
}

/**
 * Removes entries that hold no more, and of more than MAX_VERDICTS the oldest. A client that has not heard of a lift among
 * them is given all that holds.
 */
export async function pruneVerdicts(db: Db, environmentId: string, nowMs: number): Promise<void> {
  const ofEnvironment = eq(verdicts.environmentId, environmentId);
  await db.delete(verdicts).where(and(ofEnvironment, sql`${verdicts.until} <= ${new Date(nowMs).toISOString()}`));
  const [beyond] = await db
    .select({ n: verdicts.n })
    .from(verdicts)
    .where(ofEnvironment)
    .orderBy(desc(verdicts.n))
    .offset(MAX_VERDICTS)
    .limit(1);
  if (beyond === undefined) return;
  await db
    .update(verdictHeads)
    .set({ floor: sql`greatest(${verdictHeads.floor}, ${beyond.n})` })
    .where(eq(verdictHeads.environmentId, environmentId));
  await db.delete(verdicts).where(and(ofEnvironment, sql`${verdicts.n} <= ${beyond.n}`));
}
