/**
 * Links in alerts that kill, downgrade or raise: signed by a key of their own from ANDON_SECRET, good for some hours and
 * once. What a link does is in its signature, so nothing about it can be changed; opening it does nothing.
 */
import { hkdfSync } from "node:crypto";
import { eq } from "drizzle-orm";
import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import type { ActionLink, Deps } from "../../deps.ts";
import { budgets } from "../../db/schema/budgets.ts";
import { incidents } from "../../db/schema/incidents.ts";
import { usd } from "../../domain/alert-text.ts";
import { NANO_PER_USD } from "../../domain/budget.ts";
import type { Claimed } from "./outbox.ts";

export const ACTION_LINK_HOURS = 12;
/** More flags than these are acted on from the board. */
const MAX_FLAGS = 2;
/** What a raise by link adds: a share of the limit, in whole dollars. */
const RAISE_SHARE = 0.25;
const ISSUER = "andon";
const AUDIENCE = "andon-action-link";
const KEY_BYTES = 32;
const HOUR_MS = 3_600_000;

const actionSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal(["kill", "downgrade"]), flag: z.string() }),
  z.object({ kind: z.literal("raise"), budgetId: z.string(), addUsd: z.number() }),
]);
export type LinkAction = z.infer<typeof actionSchema>;

const claimsSchema = z.object({
  jti: z.string(),
  exp: z.number(),
  environmentId: z.string(),
  channelId: z.string(),
  incident: z.string(),
  action: actionSchema,
});
export type LinkClaims = z.infer<typeof claimsSchema>;

type LinkDeps = Pick<Deps, "config" | "db" | "snapshots">;

const aboutSchema = z.looseObject({ title: z.string(), flags: z.array(z.string()).catch([]) });

/** What an alert offers to do; the same links on every attempt to deliver it. */
export async function actionLinks(deps: LinkDeps, claimed: Claimed): Promise<ActionLink[]> {
  const about = aboutSchema.safeParse(claimed.payload);
  if (claimed.event !== "trigger" || claimed.incidentId === null || !about.success) return [];
  const { title, flags } = about.data;
  const links: ActionLink[] = [];
  for (const { action, label } of await offered(deps, claimed, flags)) {
    const token = await sign(deps, claimed, title, action);
    links.push({ action: action.kind, label, url: `${deps.config.publicUrl}/act?link=${token}` });
  }
  return links;
}

/** Flags that are off need no kill; a budget can be raised in any case. */
async function offered(
  deps: LinkDeps,
  claimed: Claimed,
  named: readonly string[],
): Promise<{ action: LinkAction; label: string }[]> {
  const [budget] = await deps.db
    .select({ id: budgets.id, name: budgets.name, flag: budgets.flag, limitNanoUsd: budgets.limitNanoUsd })
    .from(incidents)
    .innerJoin(budgets, eq(budgets.id, incidents.budgetId))
    .where(eq(incidents.id, claimed.incidentId ?? ""));
  const served = deps.snapshots.current(claimed.environmentId)?.snapshot.flags ?? {};
  const scope = budget?.flag ?? null;
  const flags = [...new Set([...named, ...(scope === null ? [] : [scope])])];
  const on = flags.filter((flag) => served[flag]?.state === "on").slice(0, MAX_FLAGS);
  const offers: { action: LinkAction; label: string }[] = on.flatMap((flag) => [
    { action: { kind: "kill" as const, flag }, label: `Kill ${flag}…` },
    ...(served[flag]?.chain === null
      ? []
      : [{ action: { kind: "downgrade" as const, flag }, label: `Downgrade ${flag}…` }]),
  ]);
  if (budget === undefined) return offers;
  const addUsd = Math.max(1, Math.ceil((budget.limitNanoUsd / NANO_PER_USD) * RAISE_SHARE));
  const label = `Raise ${budget.name} by ${usd(addUsd * NANO_PER_USD)}…`;
  return [...offers, { action: { kind: "raise", budgetId: budget.id, addUsd }, label }];
}

function sign({ config }: LinkDeps, claimed: Claimed, incident: string, action: LinkAction): Promise<string> {
  const { environmentId, channel, messageId, createdAt } = claimed;
  const of = action.kind === "raise" ? action.budgetId : action.flag;
  const expiresAtMs = createdAt.getTime() + ACTION_LINK_HOURS * HOUR_MS;
  return new SignJWT({ environmentId, channelId: channel.id, incident, action })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setJti(`${messageId}:${action.kind}:${of}`)
    .setExpirationTime(Math.floor(expiresAtMs / 1_000))
    .sign(keyOf(config.secret));
}

/** What the link does, whether it has expired; null for what this installation has not signed. */
export async function verifyLink(
  { config, clock }: Pick<Deps, "config" | "clock">,
  link: string,
): Promise<{ claims: LinkClaims; isExpired: boolean } | null> {
  try {
    const { payload } = await jwtVerify(link, keyOf(config.secret), {
      algorithms: ["HS256"],
      issuer: ISSUER,
      audience: AUDIENCE,
      // Its end is looked at below: of an expired link it is told what it was.
      currentDate: new Date(0),
    });
    const claims = claimsSchema.parse(payload);
    return { claims, isExpired: claims.exp * 1_000 <= clock.nowMs() };
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof z.ZodError) return null;
    throw error;
  }
}

function keyOf(secret: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "", "andon action link v1", KEY_BYTES));
}
