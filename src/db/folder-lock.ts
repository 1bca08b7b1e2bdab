/**
 * One process per data folder: PGlite has no lock of its own, and two writers would destroy the database. The lock is
 * kept fresh by its holder; one that is stale belonged to a process that was killed, and is taken over.
 */
import { lock } from "proper-lockfile";
import type { Logger } from "pino";
import { StartError } from "../start-error.ts";

/** A lock not refreshed for so long belongs to a dead process. */
const STALE_MS = 3000;
const UPDATE_MS = 1000;
const RETRY_MS = 500;
/** Just longer than staleness: a living holder has refreshed by then. */
const GIVE_UP_AFTER_MS = 4000;

/**
 * Takes the folder for this process; returns what frees it. Waits for a stale lock to be takeable.
 * @throws Error naming the folder and what to do when a living process holds it.
 */
export async function lockFolder(dataDir: string, log: Logger): Promise<() => Promise<void>> {
  const attempts = Math.ceil(GIVE_UP_AFTER_MS / RETRY_MS);
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await lock(dataDir, {
        stale: STALE_MS,
        update: UPDATE_MS,
        lockfilePath: `${dataDir}/lock`,
        onCompromised: (error) => {
          log.fatal(
            { err: error, dataDir },
            "lost the lock of the data folder; another process may write to it: exiting",
          );
          process.exit(1);
        },
      });
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || error.code !== "ELOCKED") throw error;
      if (attempt >= attempts) {
        throw new StartError(
          `Another Andon process is using the folder ${dataDir}. Stop it, or give this one its own folder with ANDON_DATA_DIR, or share a PostgreSQL with DATABASE_URL.`,
          { cause: error },
        );
      }
      if (attempt === 0)
        log.info({ dataDir }, "the data folder is locked; waiting to see whether its last process still lives");
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
