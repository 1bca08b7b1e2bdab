/** The soak of `npm run soak`, short: SIGKILL under usage traffic loses nothing and counts nothing twice. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { soak } from "../../bench/soak/soak.ts";
import { ServerProcess } from "../../src/demo/story/server-process.ts";
import { temporaryFolder } from "../support/child-server.ts";
import { freshPostgres } from "../support/database.ts";

const KILLS = 3;
const LIFE_MS = 800;
/** Half a minute on a quiet machine, more where others work too or an alert waits for its lease. */
const TIMEOUT_MS = 180_000;

describe.concurrent("a server killed three times under usage traffic", () => {
  test.each(["embedded", "postgres"] as const)(
    "on %s: every record counted once, every trip, incident and alert once",
    async (database) => {
      const folder = await temporaryFolder();
      try {
        const env: Record<string, string> =
          database === "embedded"
            ? {}
            : { DATABASE_URL: await freshPostgres(), ANDON_SECRET: "a secret for tests only, not for anything else" };
        const server = await ServerProcess.on(join(folder.path, "data"), env);
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
