/** A short run of `npm run soak -- bill`: the ledger is never below what an endpoint bills, and equal where it is exact. */
import { expect, it } from "vitest";
import { bill } from "../../bench/soak/bill.ts";
import { ADMIN_TOKEN, startTestServer } from "../support/server.ts";

it("no call is recorded below its bill, exact ones at their bill, whatever it was and however it ended", async () => {
  const server = await startTestServer();
  try {
    const { faults, billedCalls, exactCalls, played } = await bill({
      url: server.url,
      adminToken: ADMIN_TOKEN,
      calls: 250,
      seed: 11,
    });
    expect(faults).toEqual([]);
    expect(billedCalls).toBeGreaterThan(100);
    expect(exactCalls).toBeGreaterThan(40);
    expect(played.size).toBeGreaterThan(15);
  } finally {
    await server.close();
  }
});
