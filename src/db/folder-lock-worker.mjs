// Holds the lock of a data folder in a thread of its own: PGlite blocks the main thread for seconds at a time, and a lock
// that its living holder fails to refresh would be taken for a dead process's. Plain JavaScript, because a worker is
// loaded by Node itself, from src as well as from dist.
import { writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { lock } from "proper-lockfile";

const { dataDir, staleMs, updateMs, retryMs, giveUpAfterMs } = workerData;

function lost(error) {
  // At once and without clean-up: the main thread may be busy writing to a database that is no longer ours.
  writeSync(
    2,
    `Lost the lock of the data folder ${dataDir} (${error.message}); another process may write to it: exiting.\n`,
  );
  process.kill(process.pid, "SIGKILL");
}

async function acquire() {
  for (let waitedMs = 0; ; waitedMs += retryMs) {
    try {
      return await lock(dataDir, {
        stale: staleMs,
        update: updateMs,
        lockfilePath: `${dataDir}/lock`,
        onCompromised: lost,
      });
    } catch (error) {
      if (error.code !== "ELOCKED" || waitedMs >= giveUpAfterMs) throw error;
      if (waitedMs === 0) parentPort.postMessage({ type: "waiting" });
    }
    await delay(retryMs);
  }
}

try {
  const release = await acquire();
  parentPort.once("message", async () => {
    try {
      await release();
    } finally {
      parentPort.postMessage({ type: "released" });
    }
  });
  parentPort.postMessage({ type: "locked" });
} catch (error) {
  parentPort.postMessage({ type: "failed", code: error.code ?? null, message: error.message });
}
