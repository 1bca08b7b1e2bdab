/** Money that was folded into `other` is told on the board, with what it is and where the names are. No browser. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { callFor, report } from "../support/usage.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { startWorld, type World } from "./world.ts";

const clock = new FakeClock(Date.parse("2026-11-20T12:00:00Z"));
let world: World;
let pages: Pages;

beforeAll(async () => {
  world = await startWorld({ instances: 0, clock });
  pages = await pagesAs(world, world.viewer);
});
afterAll(async () => {
  await world.close();
});

/** Each under a name of its own. */
async function call(names: number): Promise<void> {
  const records = Array.from({ length: names }, (_, n) => callFor(0.01, { flag: `user-${n}`, at: clock.nowMs() }));
  await report(world.server.deps, [callFor(1, { at: clock.nowMs() }), ...records]);
  clock.advance(1_000);
}

it("names beyond those that are counted apart are told on the board as one sum of today, and only when there are", async () => {
  // One token alone gets a hundred places.
  await call(100);
  expect(await pages.text("/e/production")).not.toContain("counted together");
  await call(120);
  expect(await pages.text("/e/production")).toContain(
    "20 attempts today ($0.20) are counted together as other: applications report more flags that nobody has made than are counted apart.",
  );
  clock.advance(24 * 3_600_000);
  expect(await pages.text("/e/production")).not.toContain("counted together");
});
