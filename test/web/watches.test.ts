/** What burns far above its usual is said where on-call looks, with the hour that it is compared with. No browser. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WATCHING } from "../../src/domain/actor.ts";
import { rollNext } from "../../src/services/usage/rollups.ts";
import { runWatches } from "../../src/services/watches/watch.ts";
import { FakeClock } from "../support/clock.ts";
import { ADMIN_TOKEN } from "../support/server.ts";
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

it("a watch says what it would have told of the last days, before it is saved; what is wrong is said beside what was typed", async () => {
  const path = "/e/production/watches/burn";
  expect(await pages.text(path)).toContain("Would have fired once in the last 7 days");
  const admin = await pagesAs(world, ADMIN_TOKEN);
  const form = { flag: "support-chat", enabled: "yes", limit: "40", minimum: "5", days: "7" };
  expect(await admin.post(path, { ...form, do: "preview" })).toContain("Would have fired not once in the last 7 days");
  expect(await pages.text("/e/production/watches"), "nothing was saved").not.toContain("40 times");
  expect(await admin.post(path, { ...form, limit: "few", do: "save" })).toContain("must be from 1.5 to 1000");
  expect(await admin.post(path, { ...form, do: "save" })).toContain(
    "of support-chat: from 40 times its usual and $5 an hour on.",
  );
  expect(await pages.text(path), "of the others").toContain("Would have fired not once in the last 7 days");
  await admin.post(`${path}/reset`, { flag: "support-chat" });
  expect(await pages.text(path)).toContain("Would have fired once in the last 7 days");
});

it("the incident of a watch says what is so now, who is behind it, and where it is set", async () => {
  const { deps } = world.server;
  const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
  const look = () => runWatches({ actor: WATCHING, requestId: deps.newId(), deps }, environmentId);
  await look();
  clock.advance(1_000);
  for (const path of ["/e/production", "/e/production/incidents"]) {
    const text = await pages.text(path);
    expect(text).toMatch(/support-chat burns [\d.]+ times its usual for Saturday 03:00 UTC/);
    expect(text).toMatch(/\$\d+\/h now, usually \$1\d\/h/);
  }
  expect(await pages.html("/e/production")).toContain("/e/production/watches/burn?flag=support-chat");
  clock.jump(20 * MINUTE_MS);
  await look();
  expect(await pages.text("/e/production/incidents")).toContain("within its limit since 03:40");
  clock.jump(20 * MINUTE_MS);
  await look();
  const over = await pages.text("/e/production/incidents");
  expect(over).toContain("support-chat burned up to $100.0");
  expect(over).toContain("Over: support-chat has been within its limit for 30 min.");
});

it("a watch can be changed while its preview cannot be read, which says why", async () => {
  await world.server.deps.db.transaction(async (tx) => {
    await tx.execute(sql`lock table usage_minutes in access exclusive mode`);
    const text = await pages.text("/e/production/watches/burn");
    expect(text).toContain("No preview now");
    expect(text).toContain("Choose one flag or fewer days");
  });
});
