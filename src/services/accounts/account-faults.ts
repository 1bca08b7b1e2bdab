/**
 * Accounts that Claude refuses, as the records of calls tell it: an incident with its alert, which ends by itself when
 * calls are answered again. It switches nothing: each client holds its own key back, and another key may go on. Decided
 * under the environment's lock, so that it happens once, whatever the number of servers.
 */
import { and, eq } from "drizzle-orm";
import { type Change, change } from "../../change.ts";
import type { Ctx } from "../../deps.ts";
import { accountFaults } from "../../db/schema/usage.ts";
import type { Db } from "../../db/types.ts";
import { type AccountFault, isOver, isSettled, isWide, reachOf, type Refused } from "../../domain/account-fault.ts";
import { noteAccount, resolveEndedIncidents } from "../incidents/incidents.ts";
import { isAnsweredSince, newRefusals, runningInstances } from "./refusals.ts";

/** Looks at the calls of an environment and does what is due. Takes no lock when nothing is. */
export async function runAccountFaults(ctx: Ctx, environmentId: string): Promise<void> {
  const { db, clock } = ctx.deps;
  const seen = await look(db, environmentId, clock.nowMs());
  if (seen.begun.length === 0 && seen.over.length === 0 && !seen.hasNews) return;
  await change(ctx, environmentId, async (open) => {
    // Another server may have acted since.
    const now = await look(open.tx, environmentId, open.at.getTime());
    for (const row of [...now.begun, ...now.going]) await keep(open, row);
    for (const row of now.over) await open.tx.delete(accountFaults).where(own(environmentId, row));
    const running = await runningInstances(open.tx, environmentId);
    for (const fault of FAULTS) {
      const before = now.known.filter((row) => row.fault === fault);
      const after = [...now.begun, ...now.going].filter((row) => row.fault === fault);
      if (after.length === 0) continue;
      const reach = reachOf(after, running);
      const wasWide = before.length > 0 && isWide(reachOf(before, running));
      if (before.length === 0 || (!wasWide && isWide(reach))) await noteAccount(ctx, open, { fault, reach });
    }
    if (now.over.length > 0) await resolveEndedIncidents(ctx, open);
  });
}

const FAULTS: readonly AccountFault[] = ["money", "key"];
/** A last refusal this much newer is written down: it must not be forgotten with the calls. */
const KEPT_STEP_MS = 10_000;

interface Seen {
  /** As it is stored. */
  known: Refused[];
  /** What is not stored yet. */
  begun: Refused[];
  /** What goes on, with its newest refusal. */
  going: Refused[];
  over: Refused[];
  hasNews: boolean;
}

async function look(db: Db, environmentId: string, nowMs: number): Promise<Seen> {
  const known = await db.select().from(accountFaults).where(eq(accountFaults.environmentId, environmentId));
  const refusals = await newRefusals(db, environmentId, nowMs);
  const seen: Seen = { known, begun: [], going: [], over: [], hasNews: false };
  for (const row of known) {
    const newer = refusals.find((refused) => isSame(refused, row));
    const lastAt = newer !== undefined && newer.lastAt > row.lastAt ? newer.lastAt : row.lastAt;
    const now = { ...row, lastAt };
    if (await hasEnded(db, environmentId, now, nowMs)) seen.over.push(row);
    else seen.going.push(now);
    if (lastAt.getTime() - row.lastAt.getTime() >= KEPT_STEP_MS) seen.hasNews = true;
  }
  for (const refused of refusals) {
    if (known.some((row) => isSame(row, refused)) || (await hasEnded(db, environmentId, refused, nowMs))) continue;
    if (isSettled(refusals, refused.fault, nowMs)) seen.begun.push(refused);
  }
  return seen;
}

async function hasEnded(db: Db, environmentId: string, refused: Refused, nowMs: number): Promise<boolean> {
  if (isOver(refused, false, nowMs)) return true;
  return isOver(refused, true, nowMs) && (await isAnsweredSince(db, environmentId, refused));
}

function isSame(a: Refused, b: Refused): boolean {
  return a.fault === b.fault && a.flag === b.flag && a.instance === b.instance;
}

function own(environmentId: string, { fault, flag, instance }: Refused) {
  return and(
    eq(accountFaults.environmentId, environmentId),
    eq(accountFaults.fault, fault),
    eq(accountFaults.flag, flag),
    eq(accountFaults.instance, instance),
  );
}

async function keep({ tx, environment }: Change, { fault, flag, instance, since, lastAt }: Refused): Promise<void> {
  await tx
    .insert(accountFaults)
    .values({ environmentId: environment.id, fault, flag, instance, since, lastAt })
    .onConflictDoUpdate({
      target: [accountFaults.environmentId, accountFaults.fault, accountFaults.flag, accountFaults.instance],
      set: { lastAt },
    });
}
