/**
 * Signing out: the session is over on every server, and a copy of its cookie worth nothing. Bounded: past
 * ENDED_SESSIONS_MAX of one token, all its sessions end instead of one more being remembered.
 */
import { count, eq, lt } from "drizzle-orm";
import type { Deps, Session } from "../../deps.ts";
import { databaseFault } from "../../database-away.ts";
import { endedSessions, tokens } from "../../db/schema/state.ts";
import { announceTokens } from "./tokens.ts";

const ENDED_SESSIONS_MAX = 100;

/** Ends the session. DATABASE_AWAY when that cannot be written down: then its cookie goes on until it runs out. */
export async function endSession(deps: Deps, session: Session): Promise<void> {
  const { id, tokenId, expiresAtMs } = session;
  const now = new Date(deps.clock.nowMs());
  try {
    await deps.db.transaction(async (tx) => {
      // One at a time for a token, so that the bound holds.
      await tx.select({ id: tokens.id }).from(tokens).where(eq(tokens.id, tokenId)).for("update");
      const [ended] = await tx.select({ n: count() }).from(endedSessions).where(eq(endedSessions.tokenId, tokenId));
      if ((ended?.n ?? 0) >= ENDED_SESSIONS_MAX) {
        await tx.update(tokens).set({ sessionsFrom: now }).where(eq(tokens.id, tokenId));
        await tx.delete(endedSessions).where(eq(endedSessions.tokenId, tokenId));
      } else {
        await tx
          .insert(endedSessions)
          .values({ id, tokenId, expiresAt: new Date(expiresAtMs) })
          .onConflictDoNothing();
      }
      await announceTokens(tx);
    });
    await deps.tokens.refresh();
  } catch (error) {
    throw databaseFault(error);
  }
}

/** Forgets sessions whose cookie has run out by itself. */
export async function pruneSessions({ db, clock }: Pick<Deps, "db" | "clock">): Promise<void> {
  await db.delete(endedSessions).where(lt(endedSessions.expiresAt, new Date(clock.nowMs())));
}
