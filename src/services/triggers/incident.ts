/** The incident of an alert that pulled the cord: it stands until none of its flags is held by it any more. */
import { and, eq, isNotNull, isNull } from "drizzle-orm";
import { type Change, change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { incidents } from "../../db/schema/incidents.ts";
import { systemActor } from "../../domain/actor.ts";
import { pulledText, pulledTitle, type TriggerAlert } from "../../domain/trigger.ts";
import { enqueue } from "../alerts/outbox.ts";
import { resolveEndedIncidents } from "../incidents/incidents.ts";
import { holdsStill } from "./holds.ts";
import type { TriggerRow } from "./rows.ts";

/** Opens the incident and writes its alert. */
export async function notePulled(
  ctx: Ctx,
  open: Change,
  pulled: {
    trigger: TriggerRow;
    alert: TriggerAlert;
    alertId: number;
    flags: readonly string[];
    faults: readonly string[];
    until: Date | null;
  },
): Promise<void> {
  const { tx, environment, at } = open;
  const { trigger, alert, alertId } = pulled;
  const id = ctx.deps.newId();
  const cause = `trigger:${alertId}`;
  const title = pulledTitle({ ...pulled, action: trigger.action });
  const text = pulledText({ ...pulled, source: trigger.source, name: trigger.name, action: trigger.action });
  const step = { at: at.toISOString(), atPercent: 0, action: trigger.action, text };
  await tx.insert(incidents).values({
    id,
    environmentId: environment.id,
    cause,
    triggerAlertId: alertId,
    windowStartsAt: at,
    title,
    steps: [step],
    openedAt: at,
  });
  await enqueue(ctx, open, {
    incidentId: id,
    dedupKey: cause,
    payload: {
      type: "incident.trigger",
      environment: environment.key,
      incidentId: id,
      title,
      text,
      at: step.at,
      url: `${ctx.deps.config.publicUrl}/e/${environment.key}/incidents`,
      trigger: { id: trigger.id, name: trigger.name, source: trigger.source },
      alert: { title: alert.title, url: alert.url },
      action: trigger.action,
      flags: [...pulled.flags],
    },
  });
}

const CLOSING = systemActor("triggers", "triggers");

/** Closes the incidents of an environment whose flags are restored. Takes no lock when there is none. */
export async function closeRestored(deps: Ctx["deps"], environmentId: string): Promise<void> {
  const rows = await deps.db
    .select({ alertId: incidents.triggerAlertId })
    .from(incidents)
    .where(
      and(
        eq(incidents.environmentId, environmentId),
        isNull(incidents.resolvedAt),
        isNotNull(incidents.triggerAlertId),
      ),
    );
  for (const { alertId } of rows) {
    if (alertId === null || (await holdsStill(deps.db, alertId))) continue;
    const ctx = { actor: CLOSING, requestId: deps.newId(), deps };
    await change(ctx, environmentId, (open) => resolveEndedIncidents(ctx, open));
    return;
  }
}
