/** A flag's readiness is computed: each line changes with what is so, and what Andon cannot see is said to be not known. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Readiness } from "../../src/api/readiness.ts";
import { drillsJob } from "../../src/jobs/drills.ts";
import { jsonOf } from "../support/json.ts";
import { batchOf, callFor } from "../support/usage.ts";
import { makeToken } from "../support/server.ts";
import { until } from "../support/until.ts";
import { pagesAs } from "./pages.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const FLAG = `${PRODUCTION}/flags/support-chat`;
let world: World;
beforeAll(async () => {
  world = await startWorld({ instances: 2 });
});
afterAll(() => world.close());

async function states(): Promise<Record<string, string>> {
  const { lines } = await jsonOf<Readiness>(await world.server.api("GET", `${FLAG}/readiness`));
  return Object.fromEntries(lines.map(({ check, state }) => [check, state]));
}

it("claims nothing of a flag that nobody has wired, and follows what is set up, used and proven", async () => {
  expect(await states()).toEqual({
    wired: "missing",
    usage: "missing",
    killSwitch: "missing",
    budget: "missing",
    channel: "missing",
    fallback: "ok",
    limits: "missing",
    caps: "missing",
    content: "unknown",
    offAnswer: "unknown",
    owner: "missing",
    calls: "unknown",
  });
  const token = await makeToken(world.server.deps, { kind: "sdk" });
  const used = await world.server.api(
    "POST",
    "/sdk/v1/usage",
    {
      ...batchOf([callFor(0.01, { flag: "support-chat", at: Date.now() })]),
      checks: { "support-chat": { on: 1, off: 0 } },
    },
    token,
  );
  expect(used.status).toBe(200);
  await world.api("POST", `${PRODUCTION}/budgets`, { name: "Chat", scope: { flag: "support-chat" }, limitUsd: 100 });
  await world.api("POST", `${PRODUCTION}/channels`, { kind: "webhook", name: "pager", url: "http://127.0.0.1:9/x" });
  await world.api("PATCH", FLAG, {
    limits: { user: { concurrent: 2 } },
    maxOutputTokens: 1000,
    offMode: "message",
    offMessage: "Back soon.",
    owner: "support",
    runbookUrl: "https://example.com/runbook",
  });
  const operator = await pagesAs(world, world.operator);
  expect(await operator.text("/e/production/flags/support-chat")).toContain("Kill switch never proven");
  await operator.post("/e/production/flags/support-chat/drill", {});
  await until("the drill has ended", async () => {
    await drillsJob.run(world.server.deps);
    return (await states())["killSwitch"] === "ok";
  });
  expect(await states()).toEqual({
    wired: "ok",
    usage: "ok",
    killSwitch: "ok",
    budget: "ok",
    channel: "unknown",
    fallback: "ok",
    limits: "ok",
    caps: "ok",
    content: "unknown",
    offAnswer: "ok",
    owner: "ok",
    calls: "ok",
  });
  const page = await operator.text("/e/production/flags/support-chat/readiness");
  expect(page).toMatch(/proven: 2 of 2 applied, the last within .+\. By maria\./);
  expect(page).toContain("Andon never sees content, so it cannot tell.");
  expect(await operator.text("/e/production/flags/support-chat")).toContain("Kill switch last proven today");
  const viewer = await pagesAs(world, world.viewer);
  expect(await viewer.text("/e/production/flags/support-chat/readiness")).not.toContain("Drill now");
});
