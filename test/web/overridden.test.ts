/** An incident's card never says alone that something is off when it was restored since. No browser. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeToken } from "../support/server.ts";
import { FakeClock } from "../support/clock.ts";
import { callFor, dailyBudget, report } from "../support/usage.ts";
import { budgetIdOf } from "./money-world.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

let clock: FakeClock;
let world: World;
let pages: Pages;
let fresh: string;

beforeEach(async () => {
  clock = new FakeClock(Date.parse("2026-11-20T05:20:00Z"));
  world = await startWorld({ instances: 0, clock });
  pages = await pagesAs(world, world.operator);
  fresh = await makeToken(world.server.deps, { kind: "op", role: "operator", name: "fresh" });
});
afterEach(async () => {
  await world.close();
});

async function spend(usd: number): Promise<void> {
  await report(world.server.deps, [callFor(usd, { at: clock.nowMs() })]);
  clock.advance(9 * 60_000);
}

async function restore(flag: string): Promise<void> {
  const path = `${PRODUCTION}/flags/${flag}/restore`;
  const response = await world.server.api("POST", path, { reason: "false alarm" }, fresh);
  expect(response.status).toBe(200);
}

describe("an incident whose step turned flags off", () => {
  it("says when and by whom its one flag was restored", async () => {
    await world.api("POST", `${PRODUCTION}/budgets`, dailyBudget({ limitUsd: 100 }));
    await spend(120);
    for (const page of ["/e/production", "/e/production/incidents"]) {
      expect(await pages.text(page)).toMatch(
        /Turned off: support-chat\. At most .* when it tripped.*\. Off now, until .*: support-chat/,
      );
    }
    expect(await pages.html("/e/production/incidents")).toContain('class="card off"');
    expect(await pages.text("/e/production")).not.toContain("Not in force now");
    await restore("support-chat");
    for (const page of ["/e/production", "/e/production/incidents"]) {
      expect(await pages.text(page)).toContain("Not in force now: overridden by fresh at 05:29 UTC");
      expect(await pages.text(page)).not.toContain("until 2026-11-21");
    }
    expect(await pages.html("/e/production/incidents")).not.toContain('class="card off"');
  });

  it("says which of its flags it does not hold any more, as long as it holds others", async () => {
    await world.api("POST", `${PRODUCTION}/budgets`, dailyBudget({ limitUsd: 100, scope: {} }));
    await spend(120);
    await restore("draft-reply");
    for (const page of ["/e/production", "/e/production/incidents"]) {
      expect(await pages.text(page)).toContain("Not in force now for draft-reply: overridden by fresh at 05:29 UTC");
    }
    await restore("summarize-ticket");
    await restore("support-chat");
    expect(await pages.text("/e/production")).toMatch(
      /Not in force now: draft-reply: overridden by fresh at 05:29 UTC ?; summarize-ticket: .*; support-chat: /,
    );
  });

  it("says that its trip has ended when the budget was raised above the step, with a lower one still reached", async () => {
    await world.api("POST", `${PRODUCTION}/budgets`, dailyBudget({ limitUsd: 100 }));
    await spend(120);
    const id = await budgetIdOf(world, "Daily");
    await world.api("POST", `${PRODUCTION}/budgets/${id}/raise`, {
      addUsd: 100,
      until: new Date(clock.nowMs() + 3_600_000).toISOString(),
      reason: "the import is wanted",
    });
    expect(await pages.text("/e/production")).toContain("Not in force now: ended at 05:29 UTC");
  });
});
