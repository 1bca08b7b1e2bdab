/** What the board says of instances: lost ones are not called connected, and one that refuses by itself is named. No browser. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { startPolling } from "../support/poll-loop.ts";
import { makeToken } from "../support/server.ts";
import { until } from "../support/until.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

let world: World;
let pages: Pages;

beforeEach(async () => {
  world = await startWorld({ instances: 0 });
  pages = await pagesAs(world, world.viewer);
});
afterEach(() => world.close());

const row = () => pages.part("/e/production", "article", "flag-support-chat");
const news = () => pages.part("/e/production", "section", "master-news");
const board = (text: string) => until(text, async () => (await pages.text("/e/production")).includes(text));

it("the board counts who is connected, and names who was cut off", async () => {
  const token = await makeToken(world.server.deps, { kind: "sdk" });
  const [stays, goes] = ["stays", "goes"].map((instance) =>
    startPolling({ url: () => world.server.url, token, instance }),
  );
  await board("2 instances connected.");
  await goes?.stop();
  await board("1 instance connected; connection lost 1 s ago, may still be serving: goes.");
  await stays?.stop();
  await board("No instance is connected; 2 connections lost, may still be serving: goes ");
});

it("a flag's row, and the instances page, name who refuses by ANDON_KILL", async () => {
  const token = await makeToken(world.server.deps, { kind: "sdk" });
  const env = { ANDON_KILL: "support-chat, suport-chat" };
  const andon = new Andon({ url: world.server.url, token, instance: "host-7", logger: SILENT }, { env });
  await board("1 instance refuses by ANDON_KILL: host-7");
  expect((await pages.text("/e/production")).split("refuses by")).toHaveLength(2);
  expect(await pages.text("/e/production/flags/support-chat")).toContain("1 instance refuses by ANDON_KILL: host-7");
  const page = await pages.text("/e/production/instances");
  expect(page).toContain("Holds suport-chat and support-chat off by ANDON_KILL. No flag has the name suport-chat");
  await andon.close();
});

it("the proof of a restore is complete without who refuses by ANDON_KILL, and does not wait for it for ever", async () => {
  const token = await makeToken(world.server.deps, { kind: "sdk" });
  const env = { ANDON_KILL: "*" };
  const held = new Andon({ url: world.server.url, token, instance: "host-7", logger: SILENT }, { env });
  const follow = ["host-1", "host-2"].map((instance) => startPolling({ url: () => world.server.url, token, instance }));
  await board("3 instances connected.");
  await world.api("POST", `${PRODUCTION}/flags/support-chat/kill`, { reason: "leak" });
  await board("3 of 3 instances applied it");
  await world.api("POST", `${PRODUCTION}/flags/support-chat/restore`, { reason: "mended" });
  await until("both that follow have applied it", async () => (await row()).includes("2 of 2 instances applied it in"));
  expect(await row()).toContain("1 more refuses by ANDON_KILL: host-7");
  expect((await row()).split("host-7")).toHaveLength(2);
  expect(await row()).not.toContain("so far");
  await world.api("POST", `${PRODUCTION}/kill`, { reason: "leak" });
  await world.api("POST", `${PRODUCTION}/restore`, { reason: "mended" });
  await until("the master's proof too", async () => (await news()).includes("2 of 2 instances applied it in"));
  expect(await news()).toContain("1 more refuses by ANDON_KILL: host-7");
  const receipts = await (await world.server.api("GET", `${PRODUCTION}/receipts`)).text();
  expect(JSON.parse(receipts)).toMatchObject({ applied: 2, live: 3, local: 1, localInstances: ["host-7"], behind: 0 });
  await Promise.all([held.close(), ...follow.map((one) => one.stop())]);
});

it("whoever knows that a lost process is dead says so on a page without a script; one that was wrong is shown as wrong", async () => {
  const token = await makeToken(world.server.deps, { kind: "sdk" });
  const start = (instance: string) => startPolling({ url: () => world.server.url, token, instance });
  const [stays, ...gone] = ["stays", "gone-1", "gone-2", "gone-3"].map(start);
  await board("4 instances connected.");
  for (const one of gone) await one.stop();
  await board("1 instance connected; 3 connections lost");
  const operator = await pagesAs(world, world.operator);
  expect(await pages.html("/e/production/instances"), "a viewer has no button").not.toContain("/dead");
  const list = await operator.html("/e/production/instances");
  const path = /href="([^"]+)" aria-label="gone-2 is dead…"/.exec(list)?.[1] ?? "no button";
  expect(await operator.text(path)).toMatch(/Declare gone-2 dead .*may still be serving.* It stops nothing\./);
  expect(await operator.post(path, { reason: "out of memory" })).toContain("gone-2 declared dead: no longer counted");
  await board("1 instance connected; 2 connections lost");
  const all = "/e/production/instances/dead";
  expect(list).toContain(`href="${all}"`);
  const lostBefore = /name="lostBefore" value="([^"]+)"/.exec(await operator.html(all))?.[1] ?? "none";
  expect(await operator.post(all, { lostBefore })).toContain("2 instances declared dead");
  await board("1 instance connected.");
  expect(await operator.text("/e/production/audit")).toContain("maria declared dead gone-2: out of memory");

  const back = start("gone-2");
  await board("2 instances connected; gone-2 was declared dead by maria ");
  expect(await pages.text("/e/production/instances")).toMatch(
    /gone-2.* Was declared dead by maria, .*, and is polling/,
  );
  await Promise.all([back.stop(), stays?.stop()]);
});

it("a form that refuses a name that looks like a slip says which box to tick, and no field of the API", async () => {
  const operator = await pagesAs(world, world.operator);
  const refused = await operator.post("/e/production/models/block", { model: "claude-sonet-5-5" });
  expect(refused).toContain("If it is new, tick &quot;The name is right: it is a new model&quot;.");
  expect(refused).not.toContain("newModel");
});
