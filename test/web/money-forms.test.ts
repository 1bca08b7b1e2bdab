/** Budgets and channels by plain forms, as a browser without JavaScript sends them; alerts that fail and are sent again. */
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LEASE_TTL_MS } from "../../sdk-client/src/wire/lease-protocol.ts";
import { leases } from "../../src/db/schema/leases.ts";
import { leaseAsker, USD } from "../support/lease-client.ts";
import { ADMIN_TOKEN, makeToken } from "../support/server.ts";
import { callFor, report } from "../support/usage.ts";
import { until } from "../support/until.ts";
import { budgetIdOf, type MoneyWorld, startMoneyWorld } from "./money-world.ts";

let world: MoneyWorld;
let cookie = "";

beforeAll(async () => {
  world = await startMoneyWorld({ instances: 0, jobs: true });
  cookie = (await post("/sign-in", { token: ADMIN_TOKEN })).headers.getSetCookie()[0]?.split(";")[0] ?? "";
});
afterAll(async () => {
  await world.close();
});

async function post(path: string, form: Record<string, string>): Promise<Response> {
  return fetch(`${world.server.url}${path}`, {
    method: "POST",
    redirect: "manual",
    headers: { cookie, origin: world.server.url },
    body: new URLSearchParams(form),
  });
}

async function get(path: string): Promise<string> {
  return (await fetch(`${world.server.url}${path}`, { headers: { cookie } })).text();
}

/** The page that a form leads to, with the message that it left. */
async function follow(response: Response): Promise<string> {
  expect(response.status).toBe(303);
  const message = response.headers.getSetCookie().map((one) => one.split(";")[0]);
  const url = `${world.server.url}${response.headers.get("location") ?? ""}`;
  return (await fetch(url, { headers: { cookie: [cookie, ...message].join("; ") } })).text();
}

const budgets = "/e/production/budgets";
const BUDGET = {
  name: "Drafts",
  "scope.flag": "draft-reply",
  "scope.model": "",
  limitUsd: "1,200.50",
  period: "day",
  timezone: "Europe/Berlin",
  enforcement: "trip",
  onReset: "restore",
  "ladder.0.atPercent": "80",
  "ladder.0.action": "downgrade",
  "ladder.0.level": "",
  "ladder.1.atPercent": "100",
  "ladder.1.action": "kill",
  "ladder.1.level": "",
  do: "save",
};

describe("the form of a budget that reserves", () => {
  it("says what it does and keeps what was set; its page tells held from spent and returns what silent clients held", async () => {
    const fields = {
      enforcement: "reserve",
      onUnavailable: "deny",
      reserveWaitMs: "15000",
      whenHeld: "stepDown",
      minTokens: "1000",
    };
    const form = await get(`${budgets}/new`);
    expect(form).toContain("Put agents and chat in separate budgets");
    const faulty = await post(`${budgets}/new`, { ...BUDGET, ...fields, reserveWaitMs: "soon" });
    expect(await faulty.text()).toContain("must be whole milliseconds");
    await follow(await post(`${budgets}/new`, { ...BUDGET, ...fields, name: "Reserved", limitUsd: "10" }));
    const id = await budgetIdOf(world, "Reserved");
    const edit = await get(`${budgets}/${id}`);
    expect(edit).toMatch(/name="reserveWaitMs"[^>]*value="15000"|value="15000"[^>]*name="reserveWaitMs"/);
    expect(edit).toMatch(/<option[^>]*value="stepDown"[^>]*selected|<option[^>]*selected[^>]*value="stepDown"/);
    const { deps } = world.server;
    const client = leaseAsker(world.server, await makeToken(deps, { kind: "sdk" }), () => deps.clock.nowMs());
    await client.ask({ instance: "app-7", wants: [{ budgetId: id, nanoUsd: 4 * USD }] });
    expect(await get(budgets)).toMatch(/4\.00[^<]* by 1 client/);
    await until("the board tells it", async () => (await get("/e/production")).includes("$4.00 held for calls"));
    await deps.db.update(leases).set({ renewedAt: new Date(deps.clock.nowMs() - LEASE_TTL_MS) });
    const silent = await until("it is indeterminate", async () => {
      const page = await get(budgets);
      return page.includes("held by clients that went silent") && page;
    });
    expect(silent).toContain(`/e/production/budgets/${id}/return`);
    expect(await get(`${budgets}/${id}/return`)).toContain("<code>app-7</code>");
    expect(await (await post(`${budgets}/${id}/return`, { reason: "" })).text()).toContain("must say why");
    const after = await follow(await post(`${budgets}/${id}/return`, { reason: "no such call was billed" }));
    expect(after).not.toContain("held by clients that went silent");
    await follow(await post(`${budgets}/${id}/delete`, {}));
  });
});

describe("the form of a budget", () => {
  it("says what budgets are for while there is none", async () => {
    expect(await get(budgets)).toContain("No budget yet.");
  });

  it("grows and shrinks its ladder by buttons and keeps what was typed", async () => {
    const more = await (await post(`${budgets}/new`, { ...BUDGET, name: "Half typed", do: "add-step" })).text();
    expect(more).toContain('value="Half typed"');
    expect(more).toContain('value="1,200.50"');
    expect(more).toContain('name="ladder.2.atPercent"');
    const less = await (await post(`${budgets}/new`, { ...BUDGET, do: "remove-step.0" })).text();
    expect(less).not.toContain('name="ladder.1.atPercent"');
    expect(less).toContain('value="100"');
  });

  it.each([
    ["limitUsd", { limitUsd: "plenty" }, "must be an amount in USD"],
    ["timezone", { timezone: "Berlin" }, "is not an IANA time zone"],
    ["name", { name: "" }, "must not be empty"],
    ["scope.model", { "scope.model": "claude-opus-55" }, 'did you mean "claude-opus-5-5"?'],
    ["ladder.0.atPercent", { "ladder.0.atPercent": "" }, "must be a whole percentage"],
    ["ladder.0.level", { "ladder.0.level": "0" }, "must be 1 or more"],
    [
      "ladder.1.atPercent",
      { "ladder.1.atPercent": "80", "ladder.1.action": "downgrade" },
      "is the same as a step before it",
    ],
  ])("shows a fault beside the field: %s", async (field, fault, message) => {
    const answer = await post(`${budgets}/new`, { ...BUDGET, ...fault });
    expect(answer.status).toBe(422);
    const text = (await answer.text()).replaceAll("&quot;", '"');
    expect(text.slice(text.indexOf(`id="e-${field}"`))).toContain(message);
    expect(text).toContain(
      'value="Europe/Berlin"'.replace("Europe/Berlin", "timezone" in fault ? "Berlin" : "Europe/Berlin"),
    );
  });

  it("creates, refuses a taken name, edits, loses no race silently, and asks before it deletes", async () => {
    expect(await follow(await post(`${budgets}/new`, BUDGET))).toContain("Created the budget Drafts.");
    const taken = await post(`${budgets}/new`, BUDGET);
    expect(await taken.text()).toContain("Choose another name");
    const id = await budgetIdOf(world, "Drafts");
    const form = await get(`${budgets}/${id}`);
    expect(form).toContain('value="1200.5"');
    expect(form).toContain('name="version" value="1"');
    const saved = await post(`${budgets}/${id}`, { ...BUDGET, limitUsd: "50", version: "1" });
    expect(await follow(saved)).toContain("of $50 today");
    const late = await post(`${budgets}/${id}`, { ...BUDGET, limitUsd: "70", version: "1" });
    expect(late.status).toBe(422);
    expect(await late.text()).toContain('value="70"');
    expect(await get(`${budgets}/${id}/delete`)).toContain("Delete budget Drafts?");
    expect(await follow(await post(`${budgets}/${id}/delete`, {}))).toContain("Deleted the budget Drafts.");
    expect(await get(budgets)).toContain("No budget yet.");
  });

  it("says on both pages that a limit is for an hour", async () => {
    await follow(await post(`${budgets}/new`, { ...BUDGET, name: "Hourly", period: "hour" }));
    expect(await get(budgets)).toContain("draft-reply, an hour in ");
    expect(await get("/e/production")).toContain("$1,200.50 an hour");
    await follow(await post(`${budgets}/${await budgetIdOf(world, "Hourly")}/delete`, {}));
  });
});

describe("channels and alerts", () => {
  let receiver: Server;
  let url = "";
  let status = 200;
  let received = 0;

  beforeAll(async () => {
    receiver = createServer((request, response) => {
      request.resume().on("end", () => {
        received += 1;
        response.writeHead(status).end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    const address = receiver.address();
    url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/hooks/SECRETPART/end`;
  });
  afterAll(async () => {
    receiver.closeAllConnections();
    await new Promise((resolve) => receiver.close(resolve));
  });

  const channels = "/e/production/channels";

  async function channelId(name: string): Promise<string> {
    const path = await get(channels);
    return new RegExp(`href="${channels}/([^"/]+)" aria-label="Edit ${name}…"`).exec(path)?.[1] ?? "";
  }

  it("keeps what was typed when the address is refused", async () => {
    const refused = await post(channels, { kind: "webhook", name: "Pager", url: "ftp://example.com/x" });
    expect(refused.status).toBe(422);
    const text = await refused.text();
    expect(text).toContain('value="Pager"');
    expect(text).toContain("must begin with https://");
  });

  it("adds a channel, shows its address masked, and tests it: what happened is said at once", async () => {
    expect(await follow(await post(channels, { kind: "slack", name: "#on-call", url }))).toContain("Added #on-call.");
    const list = await get(channels);
    expect(list).toContain("Never tested.");
    expect(list).not.toContain("SECRETPART");
    const id = await channelId("#on-call");
    expect(await follow(await post(`${channels}/${id}/test`, {}))).toMatch(/Test of #on-call: Delivered in \d+ ms\./);
    expect(received).toBe(1);
    status = 500;
    expect(await follow(await post(`${channels}/${id}/test`, {}))).toMatch(/flash problem[^]*Test of #on-call: .*500/);
    status = 200;
  });

  it("shows a webhook's signing secret once", async () => {
    const made = await post(channels, { kind: "webhook", name: "Pager", url });
    expect(await made.text()).toContain("whsec_");
    expect(await get(channels)).not.toContain("whsec_");
    const id = await channelId("Pager");
    const renewed = await post(`${channels}/${id}`, { name: "Pager", url: "", newSecret: "yes", version: "1" });
    expect(await renewed.text()).toContain("whsec_");
    expect(await get(`${channels}/${id}/delete`)).toContain("Delete channel Pager?");
    expect(await follow(await post(`${channels}/${id}/delete`, {}))).toContain("nothing is sent there any more");
  });

  it("shows an alert that failed with the reason, and sends it again when told to", async () => {
    status = 404;
    await post(`${budgets}/new`, { ...BUDGET, limitUsd: "10" });
    await world.spend(world.call("draft-reply", 11));
    const alerts = "/e/production/alerts";
    const failed = await until("the alerts have failed", async () => {
      const text = await get(`${alerts}?state=failed`);
      return text.includes("Send again") ? text : undefined;
    });
    expect(failed).toContain("→ #on-call");
    expect(await get("/e/production")).toContain("could not be delivered");
    expect(await get("/e/production/incidents")).toMatch(/Alerts: .*failed/);
    status = 200;
    const [, id = ""] = new RegExp(`${alerts}/(\\d+)/retry`).exec(failed) ?? [];
    expect(await follow(await post(`${alerts}/${id}/retry`, {}))).toContain("Trying to reach #on-call again");
    await until("it is sent", async () => (await get(`${alerts}?state=sent`)).includes("→ #on-call"));
  });

  it("answers 404 for what does not exist, and changes nothing", async () => {
    expect(await follow(await post("/e/production/alerts/0x1/retry", {}))).toContain("There is no such alert.");
    expect((await fetch(`${world.server.url}${budgets}/none`, { headers: { cookie } })).status).toBe(404);
    expect((await fetch(`${world.server.url}${channels}/none`, { headers: { cookie } })).status).toBe(404);
  });
});

const spend = (user: string, usd: number) =>
  report(world.server.deps, [callFor(usd, { flag: "draft-reply", user, at: world.clock.nowMs() })]);

describe("a budget of each user", () => {
  it("is made by the form, shows who is stopped, and a person lets one of them go on", async () => {
    const form = { ...BUDGET, name: "Each writer", "scope.user": "each", limitUsd: "1", "ladder.0.action": "alert" };
    expect(await follow(await post(`${budgets}/new`, form))).toContain("Created the budget Each writer.");
    await spend("ann@example.com", 2);
    await spend("bob@example.com", 0.5);
    const page = await get(budgets);
    expect(page).toContain("each user: draft-reply, a day in ");
    expect(page).toContain("$1 for each, today: 2 users spent from it; 1 user stopped.");
    expect(page).toContain("<td>stopped ");
    expect(page).toContain("$2.00 exact, $0.00 estimated, of ann@example.com, who spent most");
    // The board's figures may be a second old.
    const told = /1 user stopped by <a href="[^"]*#budget-[^"]+">Each writer<\/a>\./;
    await until("the board to tell", async () => told.test(await get("/e/production")));
    const lift = /href="([^"]*\/lift\?user=ann[^"]*)"/.exec(page)?.[1] ?? "";
    expect(await get(lift)).toContain("Let ann@example.com go on?");
    const path = lift.split("?")[0] ?? "";
    expect(await (await post(path, { user: "ann@example.com", session: "", reason: "" })).text()).toContain("reason");
    const done = await follow(
      await post(path, { user: "ann@example.com", session: "", reason: "she pays for it herself" }),
    );
    expect(done).toContain("Each writer lets it go on until the window ends.");
    expect(await get("/e/production")).not.toContain("user stopped by");
    expect(done).toMatch(/<td>on, let go on by [^<]+<\/td>/);
  });
});
