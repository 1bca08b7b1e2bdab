/**
 * One process per data folder: PGlite has no lock of its own, and two writers would destroy the database. The lock is
 * kept fresh by a thread of its own; one that is stale belonged to a process that was killed, and is taken over.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import { z } from "zod";
import { StartError } from "../start-error.ts";

/** A lock not refreshed for so long belongs to a dead process. */
const STALE_MS = 3000;
const UPDATE_MS = 500;
const RETRY_MS = 500;
/** Just longer than staleness: a living holder has refreshed by then. */
const GIVE_UP_AFTER_MS = 4000;

const messageSchema = z.discriminatedUnion("type", [
  z.object({ type: z.enum(["waiting", "locked", "released"]) }),
  z.object({ type: z.literal("failed"), code: z.string().nullable(), message: z.string() }),
]);

/**
 * Takes the folder for this process; returns what frees it. Waits for a stale lock to be takeable. A process that loses
 * its lock is killed on the spot.
 * @throws StartError naming the folder and what to do when a living process holds it.
 */
export async function lockFolder(dataDir: string, log: Logger): Promise<() => Promise<void>> {
  const worker = new Worker(new URL("./folder-lock-worker.mjs", import.meta.url), {
    workerData: { dataDir, staleMs: STALE_MS, updateMs: UPDATE_MS, retryMs: RETRY_MS, giveUpAfterMs: GIVE_UP_AFTER_MS },
  });
  let message = await next(worker);
  if (message.type === "waiting") {
    log.info({ dataDir }, "the data folder is locked; waiting to see whether its last process still lives");
    message = await next(worker);
  }
  if (message.type === "failed") {
    await worker.terminate();
    if (message.code !== "ELOCKED") throw new StartError(`The folder ${dataDir} cannot be locked: ${message.message}`);
    throw new StartError(
      `Another Andon process is using the folder ${dataDir}. Stop it, or give this one its own folder with ANDON_DATA_DIR, or share a PostgreSQL with DATABASE_URL.`,
    );
  }
  worker.unref();
  return async () => {
    worker.ref();
    const released = next(worker);
    worker.postMessage("release");
    await released;
    await worker.terminate();
  };
}

async function next(worker: Worker) {
  const [message] = await once(worker, "message");
  return messageSchema.parse(message);
}
