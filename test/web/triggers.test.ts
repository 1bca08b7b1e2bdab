/** Triggers as an admin sets them up and as on-call meets what they did, by plain forms. No browser. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { ADMIN_TOKEN, makeToken } from "../support/server.ts";
import { type Pages, pagesAs } from "./pages.ts";
import { PRODUCTION, startWorld, type World } from "./world.ts";

const TRIGGERS = "/e/production/triggers";
const FORM = { source: "generic", action: "kill", level: "", tag: "", expiresMinutes: "", secret: "" };

let world: World;
let admin: Pages;
let operator: Pages;

beforeAll(async () => {
  world = await startWorld({ instances: 0 });
  [admin, operator] = await Promise.all([pagesAs(world, ADMIN_TOKEN), pagesAs(world, world.operator)]);
});
afterAll(() => world.close());

const listed = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) });
async function idOf(name: string): Promise<string> {
  const { items } = listed.parse(await (await world.server.api("GET", `${PRODUCTION}/triggers`)).json());
  const found = items.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no trigger ${name}`);
  return found.id;
}

it("are added by a form that keeps what was typed, says what is wrong, and then how the sender is set up", async () => {
  expect(await admin.text(TRIGGERS)).toContain("No trigger yet");
  const refused = await admin.post(TRIGGERS, { ...FORM, name: "Nightly check", expiresMinutes: "soon" });
  expect(refused).toContain("must be a whole number of minutes");
  expect(refused).toContain("New trigger");
  expect(await admin.post(TRIGGERS, { ...FORM, name: "Nightly check" })).toContain("must name a flag, or give a tag");
  const made = await admin.post(TRIGGERS, { ...FORM, name: "Nightly check", flags: "support-chat" });
  expect(made).toContain("Created Nightly check. Set its sender up now.");
  expect(made).toContain("Turns off support-chat; until somebody restores.");
  expect(made).toContain("Never heard of it.");
  expect(made).toMatch(/curl -X POST http\S+\/v1\/triggers\/[\w-]+/);
});

it("are seen by operators, and changed by admins alone", async () => {
  expect(await operator.text(TRIGGERS)).toContain("Nightly check");
  expect(await operator.html(TRIGGERS)).not.toContain("Edit…");
  await expect(operator.text(`${TRIGGERS}/new`)).rejects.toThrow("403");
});

it("show what came of the last alert, whose incident on the board names what is off and leads to its restore", async () => {
  const token = await makeToken(world.server.deps, { kind: "kill" });
  const id = await idOf("Nightly check");
  const body = { id: "a", status: "firing", title: "Answers are wrong" };
  await world.server.api("POST", `/v1/triggers/${id}`, body, token);
  expect(await admin.text(TRIGGERS)).toMatch(/Heard [^.]*: Answers are wrong: Turned off: support-chat\./);
  const board = await operator.text("/e/production");
  expect(board).toContain("Support chat was turned off by alert Answers are wrong");
  expect(board).toContain("by trigger Nightly check");
  expect(await operator.html("/e/production")).toContain('href="/e/production/flags/support-chat/restore"');
  await world.server.api("POST", `/v1/triggers/${id}`, { ...body, status: "resolved" }, token);
  expect(await operator.text("/e/production/incidents")).toContain("Nothing was turned on by that");
});

it("are edited and deleted", async () => {
  const id = await idOf("Nightly check");
  const edit = { ...FORM, name: "Nightly", flags: "support-chat", action: "downgrade", level: "1", version: "1" };
  expect(await admin.post(`${TRIGGERS}/${id}`, edit)).toContain("Saved Nightly.");
  expect(await admin.text(TRIGGERS)).toContain("Steps down support-chat, to level 1");
  expect(await admin.post(`${TRIGGERS}/${id}`, edit)).toContain("Somebody changed this meanwhile");
  expect(await admin.text(`${TRIGGERS}/${id}/delete`)).toContain("Delete trigger Nightly?");
  expect(await admin.post(`${TRIGGERS}/${id}/delete`, {})).toContain("its alerts pull nothing any more");
});
