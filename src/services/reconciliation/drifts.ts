/**
 * Tells on-call where Claude's bill and the ledger differ: one incident at a time for an environment, which grows with each
 * difference that is new, and ends by itself when none of them is left: late data came, or their day is a week old.
 */
import { and, eq, isNotNull, isNull } from "drizzle-orm";
import { type Change, change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { incidents } from "../../db/schema/incidents.ts";
import type { Db } from "../../db/types.ts";
import { driftHoldsText, driftTitle, driftsText } from "../../domain/drift-words.ts";
import { type DriftPlace, driftsOf, type Line, samePlace } from "../../domain/reconciliation.ts";
import { DAY_MS, dayOf } from "../../domain/rollups.ts";
import { enqueue } from "../alerts/outbox.ts";
import { resolveEndedIncidents } from "../incidents/incidents.ts";
import { compareSpan, homeOf, scopeOf } from "./compare.ts";

/** Days that are told of. */
const TOLD_DAYS = 7;

/** Compares the last days of an environment and does what is due. Takes no lock when nothing is. */
export async function tellDrifts(ctx: Ctx, environmentId: string): Promise<void> {
  const { deps } = ctx;
  const key = deps.snapshots.all().find((one) => one.environmentId === environmentId)?.key;
  if (key === undefined) return;
  const scope = scopeOf(ctx, key);
  const isOurs = scope.kind === "mapped" || (scope.kind === "whole" && homeOf(ctx) === key);
  const untilMs = dayOf(deps.clock.nowMs());
  const span = { fromMs: untilMs - TOLD_DAYS * DAY_MS, untilMs };
  const over = isOurs ? driftsOf(await compareSpan(ctx, key, scope, span)) : [];
  if (!isDue(over, await toldOf(deps.db, environmentId))) return;
  await change(ctx, environmentId, async (open) => {
    // Another server may have acted since.
    const told = await toldOf(open.tx, environmentId);
    if (!isDue(over, told)) return;
    const fresh = over.filter((line) => !told?.some((place) => samePlace(place, line)));
    if (fresh.length > 0) await noteDrift(ctx, open, { fresh, over, isWhole: scope.kind === "whole" });
    else await keepDrift(open, over);
    if (over.length === 0) await resolveEndedIncidents(ctx, open);
  });
}

/** Null: there is no incident. */
function isDue(over: readonly Line[], told: readonly DriftPlace[] | null): boolean {
  if (told === null) return over.length > 0;
  return over.length !== told.length || over.some((line) => !told.some((place) => samePlace(place, line)));
}

function openDrift(environmentId: string) {
  return and(eq(incidents.environmentId, environmentId), isNull(incidents.resolvedAt), isNotNull(incidents.drift));
}

async function toldOf(db: Db, environmentId: string): Promise<readonly DriftPlace[] | null> {
  const [known] = await db.select({ drift: incidents.drift }).from(incidents).where(openDrift(environmentId));
  return known?.drift ?? null;
}

const placesOf = (lines: readonly Line[]): DriftPlace[] => lines.map(({ day, kind, name }) => ({ day, kind, name }));

/** Some of them are gone. What was told stays in the steps. */
async function keepDrift({ tx, environment }: Change, over: readonly Line[]): Promise<void> {
  const drift = placesOf(over);
  const set = over.length === 0 ? { drift } : { drift, title: driftTitle(over) };
  await tx.update(incidents).set(set).where(openDrift(environment.id));
}

/** The incident opens, or grows by what is new; one alert tells of it. */
async function noteDrift(
  ctx: Ctx,
  open: Change,
  { fresh, over, isWhole }: { fresh: readonly Line[]; over: readonly Line[]; isWhole: boolean },
): Promise<void> {
  const { tx, environment, at } = open;
  const [known] = await tx.select().from(incidents).where(openDrift(environment.id));
  const id = known?.id ?? ctx.deps.newId();
  const cause = known?.cause ?? `drift:${at.getTime()}`;
  const title = driftTitle(over);
  const text = driftsText(fresh, { isWhole });
  const drift = placesOf(over);
  const step = { at: at.toISOString(), atPercent: 0, action: "drift", text };
  if (known === undefined) {
    await tx
      .insert(incidents)
      .values({ id, environmentId: environment.id, cause, drift, title, steps: [step], openedAt: at });
  } else {
    const set = { drift, title, steps: [...known.steps, step], acknowledgedAt: null, acknowledgedBy: null };
    await tx.update(incidents).set(set).where(eq(incidents.id, id));
  }
  await open.record({ action: "bill.differs", target: title, reason: text });
  await enqueue(ctx, open, {
    incidentId: id,
    dedupKey: `${cause}:${known?.steps.length ?? 0}`,
    payload: {
      type: "incident.drift",
      environment: environment.key,
      incidentId: id,
      title,
      text: `${text}${driftHoldsText({ isWhole })}`,
      at: step.at,
      url: `${ctx.deps.config.publicUrl}/e/${environment.key}/reconciliation`,
      differences: fresh.map(({ day, kind, name, providerNanoUsd, ledgerNanoUsd }) => ({
        day,
        kind,
        name,
        providerNanoUsd: Number(providerNanoUsd),
        ledgerNanoUsd: Number(ledgerNanoUsd),
      })),
    },
  });
}
