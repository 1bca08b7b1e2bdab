/**
 * What calls a state in force lets begin, and which still end, for all flags of an environment in one query. A call began
 * since when the revision that decided it is the state's or a later one; of what its instance had not applied it does
 * not count, however late it ends.
 */
import { and, eq, gte, sql } from "drizzle-orm";
import { callsByRevision } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";
import { CALLS_SPAN_MS } from "../../domain/calls.ts";
import { MINUTE_MS } from "../../domain/ledger.ts";

export interface ModelCalls {
  /** The model that was sent, and the one that was asked for. `other` for those beyond the bound. */
  model: string;
  requestedModel: string;
  /** May be 0 where a model only worked beside the answer of another. */
  attempts: number;
  nanoUsd: number;
  /** Unix time in milliseconds at which the newest of them began, and the instance it ran in. */
  newestStartMs: number;
  newestInstance: string;
}

export interface CallsSince {
  /** Of calls that began since their instance applied the state; those with most attempts first. */
  since: readonly ModelCalls[];
  /** Of calls that began before, or where that cannot be told. */
  ending: readonly ModelCalls[];
}

export interface CallsQuestion {
  environmentId: string;
  /** The lineage that is served. */
  lineage: string;
  /** By flag, the `n` of the revision at which its state in force began. */
  began: ReadonlyMap<string, number>;
  nowMs: number;
  /** How far back calls that ended are looked at; at most the default, 15 minutes. */
  spanMs?: number;
}

/** Only flags with calls in the span are in the answer. */
export async function callsSince(db: Db, question: CallsQuestion): Promise<Map<string, CallsSince>> {
  const { environmentId, lineage, began, nowMs } = question;
  const answer = new Map<string, { since: ModelCalls[]; ending: ModelCalls[] }>();
  if (began.size === 0) return answer;
  const sinceMs = nowMs - Math.min(question.spanMs ?? CALLS_SPAN_MS, CALLS_SPAN_MS);
  const asked = JSON.stringify(Array.from(began, ([flag, n]) => ({ flag, n })));
  const isSince = sql<boolean>`(${callsByRevision.lineage} = ${lineage} and ${callsByRevision.revision} >= asked.n)`;
  const attempts = sql`sum(${callsByRevision.attempts})`.mapWith(Number);
  const newest = sql`order by ${callsByRevision.newestStart} desc, ${callsByRevision.newestInstance}`;
  const rows = await db
    .select({
      flag: callsByRevision.flag,
      isSince: isSince.as("is_since"),
      model: callsByRevision.model,
      requestedModel: callsByRevision.requestedModel,
      attempts,
      nanoUsd: sql`sum(${callsByRevision.nanoUsd})`.mapWith(Number),
      newestStart: sql`max(${callsByRevision.newestStart})`.mapWith(callsByRevision.newestStart),
      newestInstance: sql<string>`(array_agg(${callsByRevision.newestInstance} ${newest}))[1]`,
    })
    .from(callsByRevision)
    .innerJoin(
      sql`jsonb_to_recordset(cast(${asked} as text)::jsonb) as asked(flag text, n bigint)`,
      sql`asked.flag = ${callsByRevision.flag}`,
    )
    .where(
      and(
        eq(callsByRevision.environmentId, environmentId),
        gte(callsByRevision.minute, new Date(Math.floor(sinceMs / MINUTE_MS) * MINUTE_MS)),
      ),
    )
    .groupBy(sql`1, 2, 3, 4`)
    .orderBy(sql`5 desc, 3, 4`);
  for (const { flag, isSince: hasBegunSince, newestStart, ...calls } of rows) {
    const own = answer.get(flag) ?? { since: [], ending: [] };
    answer.set(flag, own);
    (hasBegunSince ? own.since : own.ending).push({ ...calls, newestStartMs: newestStart.getTime() });
  }
  return answer;
}
