/**
 * Whether this server signs with the secret of the others. It is told and not refused: a server that does not start
 * because of its secret stops no call at 3 AM, and while a secret is being changed some have the old one.
 */
import { createHmac } from "node:crypto";
import { eq } from "drizzle-orm";
import type { Deps } from "../../deps.ts";
import { installation } from "../../db/schema/state.ts";

/** Notes this server's secret as the newest. A warning for the operator when the last start was with another one, else null. */
export async function checkSecret({ db, config }: Pick<Deps, "db" | "config">): Promise<string | null> {
  const secretCheck = createHmac("sha256", config.secret).update("andon secret check").digest("base64url");
  return db.transaction(async (tx) => {
    const [row] = await tx.select().from(installation).where(eq(installation.id, 1)).for("update");
    if (row === undefined || row.secretCheck === secretCheck) return null;
    await tx.update(installation).set({ secretCheck }).where(eq(installation.id, 1));
    return row.secretCheck === null ? null : OTHER_SECRET;
  });
}

const OTHER_SECRET =
  "ANDON_SECRET is not the one that the last server of this database started with: sessions made by one are not accepted by the other, and people are signed out as they go from one to the other. If you are changing it, start every server with the new one; else correct it here.";
