/** A short run of `npm run soak -- bill`: the ledger is never below what an endpoint bills, and equal where it is exact. */
import { join } from "node:path";
import { expect, it } from "vitest";
import postgres from "postgres";
import { bill, SERVER_SCRIPT } from "../../bench/soak/bill.ts";
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
    const env = await databaseEnv("postgres");
    const server = await ServerProcess.on(join(folder.path, "data"), env, SERVER_SCRIPT);
    const sql = postgres(env["DATABASE_URL"] ?? "", { max: 1, onnotice: () => undefined });
    const query = async (statement: string) => sql.unsafe(statement);
    try {
      await server.start();
      const bounds = { restartEveryMs: 1_500, timeoutMs: TIMEOUT_MS };
      const found = await bill({ server, query, calls: 400, seed: 11, ...bounds });
      expect(found.faults).toEqual([]);
      expect([...found.ends.keys()].toSorted()).toEqual([...DOORS].toSorted());
      const { compared } = found;
      expect(compared.requests).toBeGreaterThan(150);
      expect(compared.exactRequests).toBeGreaterThan(60);
      expect(compared.exactRecordedNanoUsd).toBe(compared.exactBillNanoUsd);
      expect(compared.estimatedRecordedNanoUsd).toBeGreaterThanOrEqual(compared.estimatedBillNanoUsd);
      expect(found.played.size).toBeGreaterThan(15);
      expect(found.stops).toBeGreaterThan(0);
    } finally {
      await sql.end();
      await server.stop();
      await folder.remove();
    }
  },
  TIMEOUT_MS,
);
