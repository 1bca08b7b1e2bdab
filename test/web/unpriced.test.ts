/** Calls whose cost is a guess are marked where people look at money, with what to do about it. No browser. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { callFor, report } from "../support/usage.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { startWorld, type World } from "./world.ts";

const NOON_MS = Date.parse("2026-11-20T12:00:00Z");
const clock = new FakeClock(NOON_MS);
let world: World;
let pages: Pages;

beforeAll(async () => {
  world = await startWorld({ instances: 0, clock });
  pages = await pagesAs(world, world.viewer);
});
afterAll(async () => {
  await world.close();
});

/** Past the second for which the board's money is kept. */
async function call(model: string, count: number, at: number): Promise<void> {
  const records = Array.from({ length: count }, () => callFor(0.01, { model, requestedModel: model, at }));
  await report(world.server.deps, records);
  clock.advance(1_000);
}

it("calls of today at models without a price are told of on the board and among the budgets, all others are not", async () => {
  const paths = ["/e/production", "/e/production/budgets"];
  await call("claude-opus-5-5", 3, NOON_MS);
  await call("gpt-8", 5, NOON_MS - 13 * 3_600_000);
  for (const path of paths) expect(await pages.text(path)).not.toContain("without a price");
  await call("gpt-9", 12, NOON_MS);
  for (const path of paths) {
    expect(await pages.text(path)).toContain(
      "12 calls today at a model without a price (gpt-9), counted at the dearest rate. Add a price…",
    );
  }
  expect(await pages.text("/e/production/flags/support-chat"), "whose cost is a guess too").toContain(
    "estimated, of calls that broke off. In both, 12 attempts at a model without a price, at the dearest rate.",
  );
  await call("gpt-10", 1, NOON_MS);
  for (const path of paths) {
    expect(await pages.text(path)).toContain("13 calls today at models without a price (gpt-9 and gpt-10)");
  }
});
