/**
 * What a link of an alert is worth, and to press it: once, as "link from CHANNEL". Kill and downgrade act as a `kill` token
 * does, which never loosens anything.
 */
import { and, eq, lt } from "drizzle-orm";
import type { Ctx, Deps } from "../../deps.ts";
import { databaseFault } from "../../database-away.ts";
import { channels, usedActionLinks } from "../../db/schema/incidents.ts";
import type { Actor } from "../../domain/actor.ts";
import { usd } from "../../domain/alert-text.ts";
import { MAX_RAISE_DAYS, NANO_PER_USD } from "../../domain/budget.ts";
import { windowAt } from "../../domain/window.ts";
import { AppError } from "../../errors.ts";
import { requireBudget } from "../budgets/rows.ts";
import { raiseBudget } from "../budgets/raise.ts";
import { downgradeFlag } from "../flags/downgrade.ts";
import { killFlag } from "../flags/switches.ts";
import { type LinkAction, type LinkClaims, verifyLink } from "./action-links.ts";

const MAX_LINK_CHARS = 2_000;
const DAY_MS = 86_400_000;

export type Link =
  | { state: "valid"; claims: LinkClaims; channel: string; environment: string; does: string }
  | { state: "used"; usedAt: string }
  | { state: "expired" | "unknown" };

/** Looks at a link without using it up. Unknown also when its channel or what it is about is gone. */
export async function peekLink(deps: Deps, link: string): Promise<Link> {
  const verified = link.length > MAX_LINK_CHARS ? null : await verifyLink(deps, link);
  if (verified === null) return { state: "unknown" };
  const { claims, isExpired } = verified;
  try {
    const [used] = await deps.db.select().from(usedActionLinks).where(eq(usedActionLinks.id, claims.jti));
    if (used !== undefined) return { state: "used", usedAt: used.usedAt.toISOString() };
    if (isExpired) return { state: "expired" };
    const ofChannel = and(eq(channels.id, claims.channelId), eq(channels.environmentId, claims.environmentId));
    const [channel] = await deps.db.select({ name: channels.name }).from(channels).where(ofChannel);
    const environment = deps.snapshots.current(claims.environmentId)?.key;
    const does = await doesText(deps, claims);
    if (channel === undefined || environment === undefined || does === null) return { state: "unknown" };
    return { state: "valid", claims, channel: channel.name, environment, does };
  } catch (error) {
    throw databaseFault(error);
  }
}

/**
 * Presses a link. Of two who press at once one acts. A link whose change is refused can be pressed again.
 * @throws AppError of the change itself
 */
export async function pressLink(deps: Deps, requestId: string, token: string): Promise<Link> {
  const link = await peekLink(deps, token);
  if (link.state !== "valid") return link;
  const { claims } = link;
  const usedAt = new Date(deps.clock.nowMs());
  const own = eq(usedActionLinks.id, claims.jti);
  const expiresAt = new Date(claims.exp * 1_000);
  const mine = await guarded(() =>
    deps.db.insert(usedActionLinks).values({ id: claims.jti, usedAt, expiresAt }).onConflictDoNothing().returning(),
  );
  if (mine.length === 0) return peekLink(deps, token);
  try {
    await act({ actor: actorOf(link), requestId, deps }, link.environment, claims);
  } catch (error) {
    await guarded(() => deps.db.delete(usedActionLinks).where(own));
    throw error;
  }
  return link;
}

/** Removes those that have expired: they are refused for that. */
export async function pruneUsedLinks({ db, clock }: Pick<Deps, "db" | "clock">): Promise<void> {
  await db.delete(usedActionLinks).where(lt(usedActionLinks.expiresAt, new Date(clock.nowMs() - DAY_MS)));
}

/** Narrow: of one environment, and for kill and downgrade the kind of token that can do nothing else. */
function actorOf({ claims, channel }: Extract<Link, { state: "valid" }>): Actor {
  const who = { id: `link:${claims.jti}`, name: `link from ${channel}`, environmentIds: [claims.environmentId] };
  return claims.action.kind === "raise"
    ? { kind: "op", role: "operator", ...who }
    : { kind: "kill", role: null, ...who };
}

async function act(ctx: Ctx, environment: string, { action, incident }: LinkClaims): Promise<void> {
  const reason = `by a link in an alert: ${incident}`;
  switch (action.kind) {
    case "kill":
      await killFlag(ctx, environment, action.flag, { reason, until: null });
      return;
    case "downgrade":
      await downgradeFlag(ctx, environment, action.flag, { reason, until: null });
      return;
    case "raise": {
      const until = await raiseUntil(ctx.deps, ctx.actor.environmentIds?.[0] ?? "", action.budgetId);
      await raiseBudget(ctx, environment, action.budgetId, { addUsd: action.addUsd, until, reason });
    }
  }
}

/** The end of the budget's window, as a raise by hand has it unless told otherwise. */
async function raiseUntil({ db, clock }: Pick<Deps, "db" | "clock">, environmentId: string, id: string): Promise<Date> {
  const { period, timezone } = await requireBudget(db, environmentId, id);
  const nowMs = clock.nowMs();
  return new Date(Math.min(windowAt(period, timezone, nowMs).endMs, nowMs + MAX_RAISE_DAYS * DAY_MS));
}

/** "Turns support-chat off for everybody, until somebody restores it." Null for what is not there any more. */
async function doesText(deps: Deps, { environmentId, action }: LinkClaims): Promise<string | null> {
  if (action.kind === "raise") return raiseText(deps, environmentId, action);
  const flag = deps.snapshots.current(environmentId)?.snapshot.flags[action.flag];
  if (flag === undefined) return null;
  const isOff = flag.state === "off" ? " It is off already." : "";
  return action.kind === "kill"
    ? `Turns ${action.flag} off for everybody, until somebody restores it.${isOff}`
    : `Steps ${action.flag} one model further down its chain, until somebody restores it.${isOff}`;
}

async function raiseText(
  deps: Deps,
  environmentId: string,
  { budgetId, addUsd }: Extract<LinkAction, { kind: "raise" }>,
): Promise<string | null> {
  try {
    const { name } = await requireBudget(deps.db, environmentId, budgetId);
    const until = (await raiseUntil(deps, environmentId, budgetId)).toISOString().slice(0, 16).replace("T", " ");
    return `Adds ${usd(addUsd * NANO_PER_USD)} to budget ${name} until ${until} UTC. What it turned off comes back if that is enough.`;
  } catch (error) {
    if (error instanceof AppError && error.code === "NOT_FOUND") return null;
    throw error;
  }
}

async function guarded<T>(query: () => Promise<T>): Promise<T> {
  try {
    return await query();
  } catch (error) {
    throw databaseFault(error);
  }
}
