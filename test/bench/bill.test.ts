/** A short run of `npm run soak -- bill`: the ledger is never below what an endpoint bills, and equal where it is exact. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { bill } from "../../bench/soak/bill.ts";
import { DOORS } from "../../bench/soak/doors.ts";
import { ServerProcess } from "../../src/demo/story/server-process.ts";
import { temporaryFolder } from "../support/child-server.ts";
import { databaseEnv } from "../support/database.ts";

/** Seconds on a quiet machine. */
const TIMEOUT_MS = 90_000;

it(
  "by every door, however a call ended and whenever the server went: nothing is below the bill, nothing unhandled, nothing left",
  async () => {
    const folder = await temporaryFolder();
    const server = await ServerProcess.on(join(folder.path, "data"), await databaseEnv("postgres"));
    try {
      await server.start();
      const found = await bill({ server, calls: 250, seed: 11, restartEveryMs: 1_500, timeoutMs: TIMEOUT_MS });
      expect(found.faults).toEqual([]);
      expect([...found.ends.keys()].toSorted()).toEqual([...DOORS].toSorted());
      expect(found.billedCalls).toBeGreaterThan(100);
      expect(found.exactCalls).toBeGreaterThan(40);
      expect(found.played.size).toBeGreaterThan(15);
      expect(found.stops).toBeGreaterThan(0);
    } finally {
      await server.stop();
      await folder.remove();
    }
  },
  TIMEOUT_MS,
);
