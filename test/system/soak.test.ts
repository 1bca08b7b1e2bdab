/** `npm run soak -- books`, short: SIGKILL under usage traffic loses nothing and counts nothing twice. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { soak } from "../../bench/soak/soak.ts";
import { ServerProcess } from "../../src/demo/story/server-process.ts";
import { temporaryFolder } from "../support/child-server.ts";
import { databaseEnv } from "../support/database.ts";

const KILLS = 1;
const LIFE_MS = 800;
/** Seconds on a quiet machine, more where others work too or an alert waits for its lease. */
const TIMEOUT_MS = 180_000;

describe.concurrent("a server killed under usage traffic", () => {
  test.each(["embedded", "postgres"] as const)(
    "on %s: every record counted once, every trip, incident and alert once",
    async (database) => {
      const folder = await temporaryFolder();
      try {
        const server = await ServerProcess.on(join(folder.path, "data"), await databaseEnv(database));
        const verdict = await soak({ server, kills: KILLS, lifeMs: LIFE_MS, say: () => undefined });
        expect(verdict.faults).toEqual([]);
        expect(verdict.kills).toBe(KILLS);
        expect(verdict.records).toBeGreaterThan(0);
      } finally {
        await folder.remove();
      }
    },
    TIMEOUT_MS,
  );
});
