/** The board while the database is away: it opens, says so, shows what is known, and a kill is refused with advice. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Cluster, startCluster } from "../support/postgres.ts";
import { until } from "../support/until.ts";
import { startWorld, type World } from "./world.ts";

let cluster: Cluster;
let world: World;
let cookie = "";

beforeAll(async () => {
  cluster = await startCluster();
  const database = { kind: "postgres", url: await cluster.createDatabase() } as const;
  world = await startWorld({ instances: 0, database, jobs: true });
  await world.api("POST", "/v1/environments/production/flags/draft-reply/kill", { reason: "Cost" });
  // The first step of the chain in another spelling.
  await world.api("PUT", "/v1/environments/production/models/anthropic.claude-opus-5-5-v1:0", {
    blocked: true,
    reason: "Outage",
  });
  cookie = cookiesOf(await post("/sign-in", { token: world.operator }));
  await cluster.shutDown();
  await until("the server knows", () => world.server.deps.snapshots.staleSeconds() > 0);
});
afterAll(async () => {
  await cluster.start();
  await world.close();
  await cluster.stop();
});

async function post(path: string, form: Record<string, string>): Promise<Response> {
  return fetch(`${world.server.url}${path}`, {
    method: "POST",
    redirect: "manual",
    headers: { cookie, origin: world.server.url },
    body: new URLSearchParams(form),
  });
}

function cookiesOf(response: Response): string {
  return response.headers
    .getSetCookie()
    .map((one) => one.split(";")[0])
    .join("; ");
}

async function board(extra = ""): Promise<string> {
  const response = await fetch(`${world.server.url}/e/production`, { headers: { cookie: `${cookie}; ${extra}` } });
  expect(response.status).toBe(200);
  return response.text();
}

it("shows the state as last known, marked as such, and what to do instead of a kill", async () => {
  const page = await board();
  expect(page).toContain("The database is away");
  expect(page).toContain("as last known");
  expect(page).toContain("ANDON_KILL=*");
  expect(page).toMatch(/id="flag-draft-reply"[\s\S]*?>Off<\/b>/);
  expect(page).toMatch(/id="flag-support-chat"[\s\S]*?>Downgraded<\/b>[\s\S]*?<code>claude-sonnet-5-5<\/code>/);
  expect(page).not.toContain('action="/e/production/flags');
});

it("answers a kill from a board that was open with a sentence, with and without JavaScript", async () => {
  const refused = await post("/e/production/flags/support-chat/kill", {});
  expect(refused.status).toBe(303);
  expect(await board(cookiesOf(refused))).toMatch(/flash problem.*ANDON_KILL=\*/);
  const fragment = await fetch(`${world.server.url}/e/production/flags/support-chat/kill`, {
    method: "POST",
    headers: { cookie, origin: world.server.url, "hx-request": "true" },
  });
  expect(fragment.status).toBe(200);
  expect(await fragment.text()).toMatch(/id="flash".*flash problem/);
});

it("shows a page that needs the database as an error with the way back, not as a bare code", async () => {
  const response = await fetch(`${world.server.url}/e/production/audit`, { headers: { cookie } });
  expect(response.status).toBe(503);
  expect(await response.text()).toContain("To the board");
});
