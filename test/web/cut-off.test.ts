/** Instances whose connection closed without a goodbye are not called connected. No browser. */
import { afterEach, beforeEach, it } from "vitest";
import { startPolling } from "../support/poll-loop.ts";
import { makeToken } from "../support/server-deps.ts";
import { until } from "../support/until.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { startWorld, type World } from "./world.ts";

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
  await board("1 instance connected; 1 cut off, probably gone: goes.");
  await stays?.stop();
  await board("No instance is connected; 2 cut off, probably gone: goes and stays.");
});
