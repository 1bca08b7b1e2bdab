/** One-time sign-in links: valid once, for a day. Who opens one and confirms is signed in as the link's token. */
import { and, eq, gt, isNull, lt } from "drizzle-orm";
import type { Deps } from "../../deps.ts";
import { databaseFault } from "../../database-away.ts";
import { signInLinks } from "../../db/schema/state.ts";
import { SIGN_IN_LINK_HOURS } from "../../domain/limits.ts";
import { hashSecret } from "./secret.ts";

const SECRET_BYTES = 24;
const HOUR_MS = 3_600_000;

/** Makes a link's secret for an identity. Links that have expired are removed on the way. */
export async function createSignInLink(
  deps: Pick<Deps, "db" | "clock" | "newSecret">,
  tokenId: string,
): Promise<{ secret: string; expiresAt: Date }> {
  const now = new Date(deps.clock.nowMs());
  const expiresAt = new Date(now.getTime() + SIGN_IN_LINK_HOURS * HOUR_MS);
  const secret = deps.newSecret(SECRET_BYTES);
  await deps.db
    .delete(signInLinks)
    .where(lt(signInLinks.expiresAt, new Date(now.getTime() - SIGN_IN_LINK_HOURS * HOUR_MS)));
  await deps.db.insert(signInLinks).values({ hash: hashSecret(secret), tokenId, createdAt: now, expiresAt });
  return { secret, expiresAt };
}

/** What a link is worth, without using it up. */
export async function peekSignInLink(deps: Deps, secret: string): Promise<"valid" | "used" | "expired" | "unknown"> {
  const rows = await guarded(() =>
    deps.db
      .select()
      .from(signInLinks)
      .where(eq(signInLinks.hash, hashSecret(secret)))
      .limit(1),
  );
  const link = rows[0];
  if (link === undefined) return "unknown";
  if (link.usedAt !== null) return "used";
  return link.expiresAt.getTime() > deps.clock.nowMs() ? "valid" : "expired";
}

/** Uses a link up and answers whom it signs in; null when it is used, expired or unknown. One of two racers wins. */
export async function redeemSignInLink(deps: Deps, secret: string): Promise<{ tokenId: string } | null> {
  const now = new Date(deps.clock.nowMs());
  const rows = await guarded(() =>
    deps.db
      .update(signInLinks)
      .set({ usedAt: now })
      .where(and(eq(signInLinks.hash, hashSecret(secret)), isNull(signInLinks.usedAt), gt(signInLinks.expiresAt, now)))
      .returning({ tokenId: signInLinks.tokenId }),
  );
  return rows[0] ?? null;
}

async function guarded<T>(query: () => Promise<T>): Promise<T> {
  try {
    return await query();
  } catch (error) {
    throw databaseFault(error);
  }
}
