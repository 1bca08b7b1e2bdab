/** On whatever day the tests run (`npm run test:dates`): all that takes part in a test agrees on the time. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { sql } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import { freshDatabase } from "./support/database.ts";
import { startTestServer } from "./support/server.ts";
import { openPage } from "./web/browser.ts";

const MINUTE_MS = 60_000;
const offMs = (thereMs: number) => Math.abs(thereMs - Date.now());

it("a process that is started with an environment of its own has the date of the test", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["-p", "Date.now()"], { env: {} });
  expect(offMs(Number(stdout))).toBeLessThan(MINUTE_MS);
});

describe.each(["postgres", "memory"] as const)("on %s", (kind) => {
  it("the database, its server and a page have the date of the test", async () => {
    const server = await startTestServer({ database: await freshDatabase(kind) });
    for (const clock of [sql`now()`, sql`clock_timestamp()`]) {
      const [row] = await server.deps.db
        .select({ nowMs: sql`extract(epoch from ${clock}) * 1000`.mapWith(Number) })
        .from(sql`(select 1) as one`);
      expect(offMs(row?.nowMs ?? Number.NaN)).toBeLessThan(MINUTE_MS);
    }
    expect(offMs(server.deps.clock.nowMs())).toBeLessThan(MINUTE_MS);
    const { page, context } = await openPage(server);
    await page.goto(`${server.url}/sign-in`);
    expect(offMs(await page.evaluate(() => Date.now()))).toBeLessThan(MINUTE_MS);
    await context.close();
    await server.close();
  });
});
