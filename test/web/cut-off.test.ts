/** What the board says of instances: lost ones are not called connected, and one that refuses by itself is named. No browser. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { startPolling } from "../support/poll-loop.ts";
import { makeToken } from "../support/server-deps.ts";
import { until } from "../support/until.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { startWorld, type World } from "./world.ts";

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

let world: World;
let pages: Pages;

beforeEach(async () => {
  world = await startWorld({ instances: 0, database: "memory" });
  pages = await pagesAs(world, world.viewer);
});
afterEach(() => world.close());

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

it("a flag's row, and the instances page, name who holds it off by ANDON_KILL", async () => {
  const token = await makeToken(world.server.deps, { kind: "sdk" });
  const env = { ANDON_KILL: "support-chat, suport-chat" };
  const andon = new Andon({ url: world.server.url, token, instance: "host-7", logger: SILENT }, { env });
  await board("1 instance holds it off by ANDON_KILL: host-7");
  expect((await pages.text("/e/production")).split("holds it off")).toHaveLength(2);
  expect(await pages.text("/e/production/flags/support-chat")).toContain(
    "1 instance holds it off by ANDON_KILL: host-7",
  );
  const page = await pages.text("/e/production/instances");
  expect(page).toContain("Holds suport-chat and support-chat off by ANDON_KILL. No flag has the name suport-chat");
  await andon.close();
});
