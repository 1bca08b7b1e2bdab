/**
 * Who used most in a span, from the calls that are kept: users, sessions, apps or versions of the client. The ledger sums
 * flags and models alone, so that what these do not have is told apart: it is the rest up to the ledger's sum.
 */
import { and, eq, gte, inArray, lt, sql } from "drizzle-orm";
import { usageRecent } from "../../db/schema/usage.ts";
import { instances } from "../../db/schema/state.ts";
import type { Db } from "../../db/types.ts";

/** Names that are kept apart in one answer. */
export const MAX_TOP_NAMES = 1_000;

export type TopBy = "user" | "session" | "app" | "version";

export interface NameSums {
  /** `""` where the calls name none. */
  name: string;
  calls: number;
  attempts: number;
  errors: number;
  promptTokens: bigint;
  outputTokens: bigint;
  costNanoUsd: bigint;
}

interface Wanted {
  from: Date;
  to: Date;
  flag?: string | undefined;
  /** In all their spellings. */
  models?: readonly string[] | undefined;
}

/** Those that cost most first, at most {@link MAX_TOP_NAMES}. */
export async function topNames(
  db: Db,
  environmentId: string,
  by: TopBy,
  { from, to, flag, models }: Wanted,
): Promise<NameSums[]> {
  const ofInstance = db
    .selectDistinctOn([instances.instance], {
      instance: instances.instance,
      app: instances.app,
      version: instances.sdk,
    })
    .from(instances)
    .where(eq(instances.environmentId, environmentId))
    .orderBy(instances.instance, sql`${instances.lastSeen} desc`)
    .as("of_instance");
  const column = {
    user: usageRecent.user,
    session: usageRecent.session,
    app: ofInstance.app,
    version: ofInstance.version,
  };
  const rows = db
    .select({
      name: sql<string>`coalesce(${column[by]}, '')`,
      calls: sql`count(*) filter (where ${usageRecent.attempt} = 1)`.mapWith(Number),
      attempts: sql`count(*)`.mapWith(Number),
      errors: sql`count(*) filter (where ${usageRecent.outcome} = 'error')`.mapWith(Number),
      promptTokens: whole(usageRecent.input),
      outputTokens: whole(usageRecent.output),
      costNanoUsd: whole(usageRecent.costNanoUsd),
    })
    .from(usageRecent);
  const joined =
    by === "app" || by === "version" ? rows.leftJoin(ofInstance, eq(ofInstance.instance, usageRecent.instance)) : rows;
  return joined
    .where(
      and(
        eq(usageRecent.environmentId, environmentId),
        gte(usageRecent.at, from),
        lt(usageRecent.at, to),
        flag === undefined ? undefined : eq(usageRecent.flag, flag),
        models === undefined ? undefined : inArray(usageRecent.model, [...models]),
      ),
    )
    .groupBy(sql`1`)
    .orderBy(sql`sum(${usageRecent.costNanoUsd}) desc, 1`)
    .limit(MAX_TOP_NAMES);
}

function whole(sum: typeof usageRecent.input | typeof usageRecent.costNanoUsd) {
  return sql`sum(${sum})::text`.mapWith(BigInt);
}
