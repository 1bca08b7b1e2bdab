/**
 * What a delivery does: each alert that begins to fire pulls the cord once, however often and by however many servers it is
 * told. Its end lifts nothing: the incident notes it. Only ever tightens.
 */
import { createHash } from "node:crypto";
import { and, arrayContains, desc, eq, inArray, lt, sql } from "drizzle-orm";
import { readSurroundings } from "../flags/surroundings.ts";
import { stepDown } from "../flags/downgrade.ts";
import { turnOff } from "../flags/switches.ts";
import { type Change, change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { incidents } from "../../db/schema/incidents.ts";
import { flags } from "../../db/schema/state.ts";
import { triggerAlerts, triggers } from "../../db/schema/triggers.ts";
import type { Db, FlagRow } from "../../db/types.ts";
import type { Delivery } from "../../api/trigger-payload.ts";
import { switchOf } from "../../domain/flag.ts";
import { kill } from "../../domain/switch.ts";
import { clearedText, isNewEpisode, sourceName, type TriggerAlert, type TriggerOutcome } from "../../domain/trigger.ts";
import { AppError } from "../../errors.ts";
import { readFor, withTransaction } from "../../transaction.ts";
import { notePulled } from "./incident.ts";
import type { TriggerRow } from "./rows.ts";

const MINUTE_MS = 60_000;
const MAX_NAME_CHARS = 256;
const MAX_RECEIVED_CHARS = 300;

type AlertRow = typeof triggerAlerts.$inferSelect;

/** Acts on each alert of a delivery and says what came of it. Takes the environment's lock only when something is new. */
export async function receive(ctx: Ctx, trigger: TriggerRow, delivery: Delivery): Promise<TriggerOutcome[]> {
  const alerts = delivery.alerts.map(short);
  const outcomes = trigger.paused
    ? alerts.map((alert) => outcome(alert, "ignored", "The trigger is paused."))
    : await actOn(ctx, trigger, alerts);
  if (delivery.truncated > 0) {
    outcomes.push({
      alert: `${delivery.truncated} more`,
      result: "ignored",
      text: "The sender left them out, or they are more than one delivery may have.",
    });
  }
  await noteDelivery(ctx, trigger, alerts, outcomes);
  return outcomes;
}

async function actOn(ctx: Ctx, trigger: TriggerRow, alerts: readonly TriggerAlert[]): Promise<TriggerOutcome[]> {
  const known = await readFor(ctx, "tighten", (db) => knownOf(db, trigger.id, alerts));
  if (alerts.every((alert) => quiet(alert, known) !== null))
    return alerts.map((alert) => quiet(alert, known) ?? never());
  const { value } = await change(ctx, trigger.environmentId, async (open) => {
    const outcomes: TriggerOutcome[] = [];
    for (const alert of alerts) {
      // Anew for each: one delivery may tell of the end and of the next beginning.
      const now = await knownOf(open.tx, trigger.id, [alert]);
      outcomes.push(
        quiet(alert, now) ??
          (alert.state === "firing" ? await pull(ctx, open, trigger, alert) : await clear(open, trigger, alert, now)),
      );
    }
    return outcomes;
  });
  return value;
}

/** What is said of news that changes nothing; null for news that does. */
function quiet(alert: TriggerAlert, known: readonly AlertRow[]): TriggerOutcome | null {
  const own = known.filter(({ identity }) => identity === alert.identity);
  switch (alert.state) {
    case null:
      return outcome(alert, "ignored", "It neither fires nor ends.");
    case "firing":
      return isNewEpisode(alert, own) ? null : outcome(alert, "repeated", "It is known: nothing is done twice.");
    case "resolved":
      return own.some((row) => ends(alert, row) && row.clearedAt === null) ||
        (alert.episode !== "" && !own.some((row) => ends(alert, row)))
        ? null
        : outcome(alert, "repeated", "Its end is known, or it never fired here.");
  }
}

function ends(alert: TriggerAlert, row: AlertRow): boolean {
  return alert.episode === "" || alert.startedAt === null || row.episode === alert.episode;
}

/** Turns the flags off, or steps them down, and opens the incident. */
async function pull(ctx: Ctx, open: Change, trigger: TriggerRow, alert: TriggerAlert): Promise<TriggerOutcome> {
  const { tx, environment, at } = open;
  const ofIdentity = and(eq(triggerAlerts.triggerId, trigger.id), eq(triggerAlerts.identity, alert.identity));
  // A new beginning ends the one before, whose end was never told.
  await tx
    .update(triggerAlerts)
    .set({ clearedAt: at })
    .where(and(ofIdentity, sql`${triggerAlerts.clearedAt} is null`));
  const row = await insertAlert(open, trigger, alert, null);
  const { targets, fault } = await targetsOf(open, trigger, alert);
  if (fault !== null) return outcome(alert, "nothing", fault);
  const around = await readSurroundings(tx, environment);
  const until = trigger.expiresMinutes === null ? null : new Date(at.getTime() + trigger.expiresMinutes * MINUTE_MS);
  const reason = `${alert.title} fires at ${sourceName(trigger.source)}`;
  const switched: string[] = [];
  const faults: string[] = [];
  for (const flag of targets) {
    try {
      const { auditId } =
        trigger.action === "kill"
          ? await turnOff(
              open,
              { flag, around },
              kill(switchOf(flag), { cause: "trigger", reason, by: ctx.actor.name, until, at, mayReword: false }),
              reason,
            )
          : await stepDown(
              ctx,
              open,
              { flag, around },
              { ...(trigger.level !== null && { level: trigger.level }), reason, until },
            );
      if (auditId !== null) switched.push(flag.key);
    } catch (error) {
      // Of a downgrade that has nowhere to go, or that would be none. The other flags are pulled all the same.
      if (!(error instanceof AppError) || (error.code !== "INVALID" && error.code !== "FORBIDDEN")) throw error;
      faults.push(`${flag.key}: ${error.faults[0]?.message ?? error.message}`);
    }
  }
  if (switched.length > 0) {
    await tx.update(triggerAlerts).set({ flags: switched }).where(eq(triggerAlerts.id, row.id));
    await notePulled(ctx, open, { trigger, alert, alertId: row.id, flags: switched, faults, until });
  }
  const rest = targets.map(({ key }) => key).filter((key) => !switched.includes(key));
  return outcome(
    alert,
    switched.length > 0 ? "acted" : "nothing",
    [
      ...(switched.length > 0
        ? [`${trigger.action === "kill" ? "Turned off" : "Stepped down"}: ${switched.join(", ")}.`]
        : []),
      ...(faults.length > 0 ? [`Not possible: ${faults.join("; ")}.`] : []),
      ...(rest.length > faults.length ? ["The others are so already."] : []),
    ].join(" "),
  );
}

/** The flags that the alert is about; `fault` says why there are none. */
async function targetsOf(
  { tx, environment }: Change,
  trigger: TriggerRow,
  alert: TriggerAlert,
): Promise<{ targets: FlagRow[]; fault: string | null }> {
  const { tag } = trigger;
  const pulled = tag === null ? inArray(flags.key, trigger.flags) : arrayContains(flags.tags, [tag]);
  const rows = await tx
    .select()
    .from(flags)
    .where(and(eq(flags.environmentId, environment.id), pulled))
    .orderBy(flags.key);
  const targets = alert.flag === null ? rows : rows.filter(({ key }) => key === alert.flag);
  if (targets.length > 0) return { targets, fault: null };
  return {
    targets,
    fault:
      alert.flag === null
        ? "None of its flags is there any more."
        : `It is about the flag "${alert.flag}", which this trigger does not pull.`,
  };
}

/** Notes the end of an alert, on its incident too. */
async function clear(
  open: Change,
  trigger: TriggerRow,
  alert: TriggerAlert,
  known: readonly AlertRow[],
): Promise<TriggerOutcome> {
  const { tx, at } = open;
  const ended = known.filter((row) => row.clearedAt === null && ends(alert, row));
  // Told before its beginning: what begins it then comes too late.
  if (ended.length === 0) await insertAlert(open, trigger, alert, at);
  const text = clearedText(trigger.source);
  for (const { id } of ended) {
    await tx.update(triggerAlerts).set({ clearedAt: at }).where(eq(triggerAlerts.id, id));
    const rows = await tx.select().from(incidents).where(eq(incidents.triggerAlertId, id));
    for (const incident of rows) {
      const step = { at: at.toISOString(), atPercent: 0, action: "cleared", text };
      await tx
        .update(incidents)
        .set({ steps: [...incident.steps, step] })
        .where(eq(incidents.id, incident.id));
    }
  }
  return outcome(alert, "cleared", text);
}

async function insertAlert(
  { tx, at }: Change,
  trigger: TriggerRow,
  { identity, episode, startedAt, title }: TriggerAlert,
  clearedAt: Date | null,
): Promise<AlertRow> {
  const [row] = await tx
    .insert(triggerAlerts)
    .values({
      triggerId: trigger.id,
      identity,
      episode,
      startedAt: startedAt === null ? null : new Date(startedAt),
      title,
      firedAt: at,
      heardAt: at,
      clearedAt,
      flags: [],
    })
    .returning();
  return row ?? never();
}

/** What is known of these alerts, newest first. */
async function knownOf(db: Db, triggerId: string, alerts: readonly TriggerAlert[]): Promise<AlertRow[]> {
  const identities = [...new Set(alerts.map(({ identity }) => identity))];
  if (identities.length === 0) return [];
  return db
    .select()
    .from(triggerAlerts)
    .where(and(eq(triggerAlerts.triggerId, triggerId), inArray(triggerAlerts.identity, identities)))
    .orderBy(desc(triggerAlerts.id));
}

/** So that its page tells when it was last heard, and no alert is forgotten that is still repeated. */
async function noteDelivery(
  ctx: Ctx,
  trigger: TriggerRow,
  alerts: readonly TriggerAlert[],
  outcomes: readonly TriggerOutcome[],
): Promise<void> {
  const at = new Date(ctx.deps.clock.nowMs());
  const said = outcomes.map(({ alert, text }) => `${alert}: ${text}`).join(" ");
  const received = said === "" ? "A delivery without alerts." : said.slice(0, MAX_RECEIVED_CHARS);
  const identities = [...new Set(alerts.map(({ identity }) => identity))];
  await withTransaction(ctx, async (tx) => {
    await tx.update(triggers).set({ receivedAt: at, received }).where(eq(triggers.id, trigger.id));
    if (identities.length === 0) return;
    const told = and(eq(triggerAlerts.triggerId, trigger.id), inArray(triggerAlerts.identity, identities));
    await tx.update(triggerAlerts).set({ heardAt: at }).where(told);
  });
}

/** Nobody repeats an alert that was not told of for so long. */
const KEPT_MS = 32 * 24 * 3_600_000;

/** Forgets alerts that nobody repeats any more. */
export async function pruneTriggerAlerts({ db, clock }: Pick<Ctx["deps"], "db" | "clock">): Promise<void> {
  await db.delete(triggerAlerts).where(lt(triggerAlerts.heardAt, new Date(clock.nowMs() - KEPT_MS)));
}

function outcome({ title }: TriggerAlert, result: TriggerOutcome["result"], text: string): TriggerOutcome {
  return { alert: title, result, text };
}

/** A name that is too long to be kept is known by its hash. */
function short(alert: TriggerAlert): TriggerAlert {
  return { ...alert, identity: hashed(alert.identity), episode: hashed(alert.episode) };
}

function hashed(name: string): string {
  return name.length <= MAX_NAME_CHARS ? name : createHash("sha256").update(name).digest("hex");
}

function never(): never {
  throw new AppError("INTERNAL", "A row was written and not returned.");
}
