/** Reads the models that the calls of flags really use, for the flags' resources. */
import type { Db, EnvironmentRow } from "../../db/types.ts";
import type { Surroundings } from "../../domain/flag.ts";
import type { FlagResource, SentModelResource } from "../../api/flag.ts";
import { type SentModel, sentModels } from "../../domain/sent-models.ts";
import type { Ctx } from "../../deps.ts";
import { callsSince } from "../usage/calls-since.ts";

/** The same flags with what they send. */
export async function withSentModels(
  ctx: Ctx,
  db: Db,
  environment: EnvironmentRow,
  flags: readonly FlagResource[],
  around: Surroundings,
): Promise<FlagResource[]> {
  const lineage = ctx.deps.snapshots.current(environment.id)?.lineage;
  const on = flags.filter(({ effective, chain }) => effective.state !== "off" && chain !== null);
  if (lineage === undefined || on.length === 0) return [...flags];
  // A state that is older than what was noted of states: any revision of the lineage is of it.
  const began = new Map(on.map(({ key, standing }) => [key, standing.revision ?? 1]));
  const nowMs = ctx.deps.clock.nowMs();
  const calls = await callsSince(db, { environmentId: environment.id, lineage, began, nowMs });
  return flags.map((flag) => {
    const own = calls.get(flag.key);
    return own === undefined ? flag : { ...flag, sends: sentModels(own.since, flag, around.models).map(resourceOf) };
  });
}

function resourceOf({ newestStartMs, ...sent }: SentModel): SentModelResource {
  return { ...sent, newestAt: new Date(newestStartMs).toISOString() };
}
