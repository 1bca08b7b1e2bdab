/**
 * SIGKILL at any moment: what was acknowledged is there, what was not is whole or absent, and the server always boots
 * again. `npm run soak -- switches` does the same for long.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { killFirstStart, killUnderChanges } from "../../bench/soak/switches.ts";
import { ServerProcess } from "../../src/demo/story/server-process.ts";
import { temporaryFolder } from "../support/child-server.ts";
import { databaseEnv } from "../support/database.ts";

const TIMEOUT_MS = 240_000;
/** In the middle of making the database, on most machines. */
const FIRST_START_MS = 1_500;
const MOMENTS = [
  { acknowledged: 1, thenMs: 0 },
  { acknowledged: 7, thenMs: 4 },
] as const;

// Most of the time is that of a lock to grow stale.
describe.concurrent("a server killed with SIGKILL", () => {
  it.each(["embedded", "postgres"] as const)(
    "on %s under changes has all that it acknowledged, and the last one whole or not at all",
    async (kind) => {
      const folder = await temporaryFolder();
      const server = await ServerProcess.on(join(folder.path, "data"), await databaseEnv(kind));
      const verdict = await killUnderChanges({ server, moments: MOMENTS, say: () => undefined });
      expect(verdict.faults).toEqual([]);
      expect(verdict.acknowledged).toBeGreaterThanOrEqual(8);
      await folder.remove();
    },
    TIMEOUT_MS,
  );

  it(
    "in its very first start on the embedded database leaves a folder that boots",
    async () => {
      const folder = await temporaryFolder();
      expect(await killFirstStart(await ServerProcess.on(join(folder.path, "data")), FIRST_START_MS)).toEqual([]);
      await folder.remove();
    },
    TIMEOUT_MS,
  );
});
