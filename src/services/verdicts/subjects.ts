/**
 * What users and sessions spent of the budgets that are about them, and what that means for them: counted in the
 * transaction of the ledger, looked at again when a budget is edited, raised or paused. Rows are written in the order of
 * their keys, so that two servers never wait for each other in a circle; the log of verdicts comes after them.
 */
import { and, asc, eq, gt, gte, isNotNull, or, sql } from "drizzle-orm";
import type { NameOf } from "../../../sdk-client/src/evaluate/model-names.ts";
import type { Change } from "../../change.ts";
import { returnedRows } from "../../db/returned-rows.ts";
import { subjectWindows } from "../../db/schema/budgets.ts";
import type { Db } from "../../db/types.ts";
import { type Budget, subjectOf } from "../../domain/budget.ts";
import type { PricedRecord } from "../../domain/ledger.ts";
import {
  isAboutSubjects,
  type SubjectAction,
  type SubjectState,
  subjectState,
  subjectSteps,
} from "../../domain/subject.ts";
import { windowAt } from "../../domain/window.ts";
import { appendVerdicts, type LoggedVerdict, type NewVerdict } from "./rows.ts";
import type { SubjectRoom } from "./room.ts";

/** Users or sessions that are looked at together. */
const PORTION_ROWS = 5_000;

interface SubjectSum {
  budgetId: string;
  startsAt: string;
  subject: string;
  spent: bigint;
  exact: bigint;
}

interface SubjectRow extends SubjectState {
  budgetId: string;
  startMs: number;
  subject: string;
  spentNanoUsd: number;
  liftedNanoUsd: number | null;
}

export interface Counting {
  records: readonly PricedRecord[];
  budgets: readonly Budget[];
  nameOf: NameOf;
  nowMs: number;
  room: SubjectRoom;
  /** Whether clients can be told of the subject by the log as it is. */
  isLogged(budgetId: string, subject: string): boolean;
}

export interface SubjectsCounted {
  /** Appended to the log. */
  appended: LoggedVerdict[];
  /** Of subjects of these records: what held before and holds still. */
  standing: NewVerdict[];
}

/** Adds the records to the windows of their users and sessions, and says what changed for them. */
export async function countSubjects(tx: Db, environmentId: string, counting: Counting): Promise<SubjectsCounted> {
  const budgets = counting.budgets.filter(({ scope }) => isAboutSubjects(scope));
  const sums = subjectSums(budgets, counting);
  if (sums.length === 0) return { appended: [], standing: [] };
  const byId = new Map(budgets.map((budget) => [budget.id, budget]));
  const rows = await addToSubjects(tx, sums, counting, byId);
  const { changed, kept } = looked(rows, byId, counting.nowMs);
  // The log has forgotten them: they are told again.
  const forgotten = kept.filter(({ budgetId, subject }) => !counting.isLogged(budgetId, subject));
  await writeStates(tx, changed);
  const appended = await appendVerdicts(tx, environmentId, [
    ...changed.map((one) => verdictAbout(one, one.next, byId)),
    ...forgotten.map((one) => verdictAbout(one, one, byId)),
  ]);
  return { appended, standing: kept.map((one) => verdictAbout(one, one, byId)) };
}

/** Looks at everybody whom the budget holds or may hold now, or at one: after an edit, a raise, its end, a pause or a lift. */
export async function lookAtSubjects(open: Change, budget: Budget, only?: string): Promise<void> {
  const { tx, at } = open;
  const nowMs = at.getTime();
  const startsAt = new Date(windowAt(budget.period, budget.timezone, nowMs).startMs);
  const lowest = lowestNanoUsd(budget, nowMs);
  const byId = new Map([[budget.id, budget]]);
  for (let after = ""; ;) {
    const rows = await tx
      .select()
      .from(subjectWindows)
      .where(
        and(
          eq(subjectWindows.budgetId, budget.id),
          eq(subjectWindows.startsAt, startsAt),
          only === undefined ? gt(subjectWindows.subject, after) : eq(subjectWindows.subject, only),
          or(isNotNull(subjectWindows.action), gte(subjectWindows.spentNanoUsd, lowest)),
        ),
      )
      .orderBy(asc(subjectWindows.subject))
      .limit(PORTION_ROWS)
      .for("update");
    const { changed } = looked(
      rows.map((row) => ({ ...row, startMs: row.startsAt.getTime() })),
      byId,
      nowMs,
    );
    await writeStates(tx, changed);
    await append(
      open,
      changed.map((one) => verdictAbout(one, one.next, byId)),
    );
    const last = rows.at(-1);
    if (last === undefined || rows.length < PORTION_ROWS) return;
    after = last.subject;
  }
}

/** Forgets what everybody spent of a budget, and lets all go: it counts something else from now on. */
export async function forgetSubjects(open: Change, budget: Budget): Promise<void> {
  const { tx } = open;
  const byId = new Map([[budget.id, budget]]);
  const held = await tx
    .delete(subjectWindows)
    .where(and(eq(subjectWindows.budgetId, budget.id), isNotNull(subjectWindows.action)))
    .returning();
  await tx.delete(subjectWindows).where(eq(subjectWindows.budgetId, budget.id));
  await append(
    open,
    held
      .toSorted((a, b) => compare(a.subject, b.subject))
      .map((row) => verdictAbout({ ...row, startMs: row.startsAt.getTime() }, { action: null, level: null }, byId)),
  );
}

async function append(open: Change, entries: readonly NewVerdict[]): Promise<void> {
  const appended = await appendVerdicts(open.tx, open.environment.id, entries);
  if (appended.length > 0) open.appendedVerdicts();
}

/** What these records add, by budget, window and subject. A window that is over has nothing left to stop. */
function subjectSums(budgets: readonly Budget[], { records, nameOf, nowMs }: Counting): SubjectSum[] {
  const sums = new Map<string, SubjectSum>();
  for (const budget of budgets) {
    for (const { record, atMs, costNanoUsd } of records) {
      if (costNanoUsd === 0) continue;
      const subject = subjectOf(budget.scope, record, nameOf);
      if (subject === null) continue;
      const { startMs, endMs } = windowAt(budget.period, budget.timezone, atMs);
      if (endMs <= nowMs) continue;
      const key = `${budget.id} ${startMs} ${subject}`;
      const cost = BigInt(costNanoUsd);
      const sum = sums.get(key);
      if (sum === undefined) {
        const startsAt = new Date(startMs).toISOString();
        sums.set(key, { budgetId: budget.id, startsAt, subject, spent: cost, exact: record.exact ? cost : 0n });
      } else {
        sum.spent += cost;
        if (record.exact) sum.exact += cost;
      }
    }
  }
  return [...sums.values()].toSorted(
    (a, b) => compare(a.budgetId, b.budgetId) || compare(a.startsAt, b.startsAt) || compare(a.subject, b.subject),
  );
}

/** Answers with those that anything holds for, or may by what they have spent. */
async function addToSubjects(
  tx: Db,
  sums: readonly SubjectSum[],
  { nowMs, room }: Counting,
  byId: ReadonlyMap<string, Budget>,
): Promise<SubjectRow[]> {
  const full = await room.full(tx, sums);
  const lowest = new Map([...byId.values()].map((budget) => [budget.id, lowestNanoUsd(budget, nowMs)]));
  const rows = sums.map((sum) => ({
    ...sum,
    spent: String(sum.spent),
    exact: String(sum.exact),
    lowest: lowest.get(sum.budgetId),
    full: full.has(`${sum.budgetId} ${sum.startsAt}`),
  }));
  const result = await tx.execute(sql`
    with v as (
      select * from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v("budgetId" text,
        "startsAt" timestamptz, subject text, spent numeric, exact numeric, lowest numeric, "full" boolean)
    ), counted as (
      insert into subject_windows as known (budget_id, starts_at, subject, spent_nano_usd, exact_nano_usd)
      select v."budgetId", v."startsAt", v.subject, v.spent, v.exact from v
      where (v.spent >= 0 or exists (select 1 from subject_windows as s
        where s.budget_id = v."budgetId" and s.starts_at = v."startsAt" and s.subject = v.subject)) and (not v."full" or exists (select 1 from subject_windows as s
        where s.budget_id = v."budgetId" and s.starts_at = v."startsAt" and s.subject = v.subject))
      on conflict (budget_id, starts_at, subject) do update set
        spent_nano_usd = greatest(0, known.spent_nano_usd + excluded.spent_nano_usd),
        exact_nano_usd = known.exact_nano_usd + excluded.exact_nano_usd
      returning *
    )
    select c.budget_id, floor(extract(epoch from c.starts_at) * 1000)::text as start_ms, c.subject, c.action, c.level,
      c.spent_nano_usd::text as spent, c.lifted_nano_usd::text as lifted
    from counted as c join v on v."budgetId" = c.budget_id and v."startsAt" = c.starts_at and v.subject = c.subject
    where c.action is not null or c.spent_nano_usd >= v.lowest
    order by c.budget_id, c.starts_at, c.subject`);
  return returnedRows(result).map((row) => ({
    budgetId: String(row["budget_id"]),
    startMs: Number(row["start_ms"]),
    subject: String(row["subject"]),
    action: actionOf(row["action"]),
    level: typeof row["level"] === "number" ? row["level"] : null,
    spentNanoUsd: Number(row["spent"]),
    liftedNanoUsd: row["lifted"] === null ? null : Number(row["lifted"]),
  }));
}

interface Changed extends SubjectRow {
  next: SubjectState;
}

function looked(rows: readonly SubjectRow[], byId: ReadonlyMap<string, Budget>, nowMs: number) {
  const steps = new Map([...byId].map(([id, budget]) => [id, subjectSteps(budget, nowMs)]));
  const changed: Changed[] = [];
  const kept: SubjectRow[] = [];
  for (const row of rows) {
    const next = subjectState(steps.get(row.budgetId) ?? [], row);
    if (next.action !== row.action || next.level !== row.level) changed.push({ ...row, next });
    else if (row.action !== null) kept.push(row);
  }
  return { changed, kept };
}

async function writeStates(tx: Db, changed: readonly Changed[]): Promise<void> {
  if (changed.length === 0) return;
  const rows = changed.map(({ budgetId, startMs, subject, next }) => ({
    budgetId,
    startsAt: new Date(startMs).toISOString(),
    subject,
    ...next,
  }));
  await tx.execute(sql`
    update subject_windows as s set action = v.action, level = v.level
    from jsonb_to_recordset(cast(${JSON.stringify(rows)} as text)::jsonb) as v("budgetId" text,
      "startsAt" timestamptz, subject text, action text, level integer)
    where s.budget_id = v."budgetId" and s.starts_at = v."startsAt" and s.subject = v.subject`);
}

/** A step that ended lifts what it did. */
function verdictAbout(
  { budgetId, startMs, subject }: Pick<SubjectRow, "budgetId" | "startMs" | "subject">,
  { action, level }: SubjectState,
  byId: ReadonlyMap<string, Budget>,
): NewVerdict {
  const budget = byId.get(budgetId);
  const untilMs = budget === undefined ? startMs : windowAt(budget.period, budget.timezone, startMs).endMs;
  return { budgetId, subject, action: action ?? "lift", level, untilMs };
}

/** What anything begins at; nothing does for a budget without a step. */
function lowestNanoUsd(budget: Budget, nowMs: number): number {
  return subjectSteps(budget, nowMs).reduce(
    (least, { thresholdNanoUsd }) => Math.min(least, thresholdNanoUsd),
    Number.MAX_SAFE_INTEGER,
  );
}

function actionOf(value: unknown): SubjectAction | null {
  return value === "warn" || value === "downgrade" || value === "stop" ? value : null;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
