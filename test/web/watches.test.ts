/** What burns far above its usual is said where on-call looks, with the hour that it is compared with. No browser. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { rollNext } from "../../src/services/usage/rollups.ts";
import { FakeClock } from "../support/clock.ts";
import { callFor, report } from "../support/usage.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { startWorld, type World } from "./world.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const WEEK_MS = 7 * 24 * HOUR_MS;
/** A Saturday. */
const NOW_MS = Date.parse("2026-11-28T03:40:00Z");
const clock = new FakeClock(NOW_MS - 5 * WEEK_MS);
let world: World;
let pages: Pages;

/** One call of a flag every two minutes of the hour that ends then. */
async function hourUntil(untilMs: number, flag: string, usd: number): Promise<void> {
  const calls = Array.from({ length: 30 }, (_, n) =>
    callFor(usd / 30, { flag, at: untilMs - n * 2 * MINUTE_MS, user: `u${n % 3}` }),
  );
  await report(world.server.deps, calls);
}

beforeAll(async () => {
  world = await startWorld({ instances: 0, clock });
  // Saturdays at three are busy; the hours before are quiet, so that a day's mean would cry wolf each week.
  for (let weeks = 5; weeks > 0; weeks -= 1) {
    for (const hours of [2, 1, 0]) {
      const atMs = NOW_MS - weeks * WEEK_MS - hours * HOUR_MS;
      clock.jump(atMs - clock.nowMs());
      await hourUntil(atMs, "support-chat", hours === 0 ? 20 : 0.3);
    }
  }
  clock.jump(NOW_MS - clock.nowMs());
  await report(world.server.deps, [callFor(0.01, { at: NOW_MS })]);
  const environmentId = world.server.deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  while (await rollNext(world.server.deps, environmentId));
  pages = await pagesAs(world, world.viewer);
});
afterAll(() => world.close());

it("a flag that burns what it usually does at that hour of that weekday asks for nobody, and one far above is said to", async () => {
  await hourUntil(NOW_MS, "support-chat", 20);
  clock.advance(1_000);
  expect(await pages.text("/e/production")).not.toContain("its usual");
  await hourUntil(NOW_MS, "support-chat", 80);
  clock.advance(1_000);
  expect(await pages.text("/e/production")).toMatch(/ 10 times its usual for Saturday 03:00 UTC/);
});
