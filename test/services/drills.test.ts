/** Drills: a flag is off for seconds, what that proves is recorded, and it comes back, unless a person wants it off. */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import Anthropic from "@anthropic-ai/sdk";
import { Andon } from "../../sdk-client/src/andon.ts";
import { SNAPSHOT_PATH } from "../../sdk-client/src/wire/protocol.ts";
import type { DrillResource } from "../../src/api/drill.ts";
import type { FlagResource } from "../../src/api/flag.ts";
import type { AuditResource } from "../../src/api/audit.ts";
import { startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { ServerProcess } from "../../src/demo/story/server-process.ts";
import { drillsJob } from "../../src/jobs/drills.ts";
import { expiryJob } from "../../src/jobs/expiry.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { temporaryFolder } from "../support/child-server.ts";
import { FakeClock } from "../support/clock.ts";
import { databaseEnv } from "../support/database.ts";
import { ASK, makeClient, SILENT } from "../support/guard-world.ts";
import { jsonOf } from "../support/json.ts";
import { adminCtx, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const P = "/v1/environments/production";
const FLAG = "support-chat";
type Api = (method: string, path: string, body?: unknown) => Promise<Response>;

async function drillOf(api: Api, id: string): Promise<DrillResource> {
  return jsonOf(await api("GET", `${P}/drills/${id}`));
}
async function start(api: Api, flag: string, seconds: number): Promise<DrillResource> {
  const response = await api("POST", `${P}/flags/${flag}/drill`, { seconds });
  expect(response.status).toBe(201);
  return jsonOf(response);
}
const ended = (api: Api, id: string) =>
  until("the drill has ended", async () => {
    const now = await drillOf(api, id);
    return now.state === "running" ? undefined : now;
  });
const switchOf = async (api: Api, flag: string) =>
  (await jsonOf<FlagResource>(await api("GET", `${P}/flags/${flag}`))).switch;

describe("with guarded clients", () => {
  let server: TestServer;
  const api: Api = (...request) => server.api(...request);
  beforeAll(async () => {
    server = await startTestServer({ jobs: true });
    await createFlag(adminCtx(server.deps), "production", { key: FLAG, name: "Support chat" });
  });
  afterAll(() => server.close());

  it("refuses calls while it runs, is proven by all of them and gives the feature back; one that does not answer is named", async () => {
    const refused = await server.api("POST", `${P}/flags/${FLAG}/drill`, {});
    expect(refused.status).toBe(409);
    expect(await jsonOf(refused)).toMatchObject({
      detail: "No drill now: no instance is connected, so a drill would prove nothing.",
    });

    const token = await makeToken(server.deps, { kind: "sdk" });
    const endpoint = await startClaudeEndpoint();
    const apps = ["host-1", "host-2"].map(
      (instance) => new Andon({ url: server.url, token, instance, logger: SILENT }, { env: {} }),
    );
    await Promise.all(apps.map((app) => app.ready()));
    const [first] = apps;
    if (first === undefined) throw new Error("no client");
    const call = () => makeClient(Anthropic, first, endpoint.url).messages.create(ASK);
    await call();

    const begun = await start(api, FLAG, 10);
    await until("the first client has it", () => !first.evaluate(FLAG).enabled);
    await expect(call()).rejects.toThrow(/off/i);
    const proven = await ended(api, begun.id);
    expect(proven).toMatchObject({ state: "proven", applied: 2, live: 2, missing: [], note: null, by: begun.by });
    expect(proven.lastMs).toBeGreaterThanOrEqual(0);
    expect(Date.parse(proven.finishedAt ?? "")).toBeLessThan(Date.parse(proven.endsAt));
    await until("the feature is back", () => first.evaluate(FLAG).enabled);
    await call();

    await fetch(`${server.url}${SNAPSHOT_PATH}`, {
      headers: { authorization: `Bearer ${token}`, "andon-instance": "host-7" },
    });
    const second = await ended(api, (await start(api, FLAG, 1)).id);
    expect(second).toMatchObject({ state: "unproven", applied: 2, live: 3, missing: ["host-7"] });
    expect(second.note).toBe("Not every instance has answered in time.");
    expect(await switchOf(api, FLAG)).toMatchObject({ state: "on" });
    await Promise.all([...apps.map((app) => app.close()), endpoint.close()]);
  });
});

describe("whatever happens meanwhile", () => {
  const clock = new FakeClock(Date.now());
  let server: TestServer;
  const api: Api = (...request) => server.api(...request);
  let token: string;
  beforeAll(async () => {
    server = await startTestServer({ clock });
    token = await makeToken(server.deps, { kind: "sdk" });
    await createFlag(adminCtx(server.deps), "production", { key: FLAG, name: "Support chat" });
    await createFlag(adminCtx(server.deps), "production", { key: "aborting", name: "Aborting", abortInFlight: true });
    for (const instance of INSTANCES) await poll(instance);
  });
  afterAll(() => server.close());

  const INSTANCES = ["i-1", "i-2"];
  /** The receipt of this instance for what is served now. */
  async function poll(instance: string): Promise<void> {
    const headers = { authorization: `Bearer ${token}`, "andon-instance": instance };
    const { headers: served } = await server.app.request(SNAPSHOT_PATH, { headers });
    await server.app.request(SNAPSHOT_PATH, { headers: { ...headers, "if-none-match": served.get("etag") ?? "" } });
  }
  const turn = async () => {
    await drillsJob.run(server.deps);
    await expiryJob.run(server.deps);
  };
  const kill = (body: object) => server.api("POST", `${P}/flags/${FLAG}/kill`, { reason: null, ...body });
  const restore = () => server.api("POST", `${P}/flags/${FLAG}/restore`, { reason: "test" });

  const step = fc.oneof(
    fc.constantFrom(...INSTANCES).map((instance) => ({ kind: "answer", instance }) as const),
    fc.constantFrom("turn", "kill", "killUntil", "restore").map((kind) => ({ kind }) as const),
    fc.constant({ kind: "wait" } as const),
  );

  it("a drill is proven by answers alone, ends in time, and never gives back what a person turned off", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const drill = await start(api, FLAG, 4);
        const answered = new Set<string>();
        let isRestored = false;
        let isKept = false;
        for (const one of steps) {
          if (one.kind === "answer") {
            await poll(one.instance);
            if (!isRestored && (await drillOf(api, drill.id)).state === "running") answered.add(one.instance);
          } else if (one.kind === "turn") await turn();
          else if (one.kind === "wait") clock.advance(1_500);
          else if (one.kind === "restore") {
            await restore();
            isRestored = true;
            isKept = false;
          } else {
            const later = new Date(clock.nowMs() + 60_000).toISOString();
            expect((await kill(one.kind === "kill" ? {} : { until: later })).status).toBe(200);
            isKept ||= one.kind === "kill";
          }
        }
        clock.advance(61_000);
        await turn();
        const over = await drillOf(api, drill.id);
        expect(over.state).not.toBe("running");
        if (over.state === "proven") expect([...answered].toSorted()).toEqual(INSTANCES);
        if (over.state === "unproven") expect(over.missing.length).toBeGreaterThan(0);
        expect((await switchOf(api, FLAG)).state).toBe(isKept ? "off" : "on");
        await restore();
      }),
      { numRuns: 25 },
    );
  });

  it("refuses in words where it would do harm, and records who began it and what it has proven", async () => {
    const refusal = async (flag: string, body: object) => {
      const response = await server.api("POST", `${P}/flags/${flag}/drill`, body);
      return [response.status, (await jsonOf<{ detail: string }>(response)).detail];
    };
    expect(await refusal(FLAG, { seconds: 61 })).toEqual([422, expect.stringContaining("at most 60")]);
    expect(await refusal("aborting", { seconds: 6 })).toEqual([422, expect.stringContaining("aborts its calls")]);
    const drill = await start(api, FLAG, 5);
    expect(await refusal(FLAG, {})).toEqual([409, "No drill now: a drill of it runs already."]);
    for (const instance of INSTANCES) await poll(instance);
    await turn();
    const { items } = await jsonOf<{ items: AuditResource[] }>(
      await server.api("GET", `${P}/audit?kind=flag&key=${FLAG}`),
    );
    expect(
      items
        .slice(0, 3)
        .map(({ action }) => action)
        .toSorted(),
    ).toEqual(["drill.ended", "flag.killed", "flag.restored"]);
    expect(await drillOf(api, drill.id)).toMatchObject({ state: "proven", applied: 2, live: 2 });
    await kill({});
    expect(await refusal(FLAG, {})).toEqual([409, "No drill now: it is off already."]);
    await restore();
  });
});

it("a server that dies in the middle of drills ends them when it is back: what a person killed stays off", async () => {
  const folder = await temporaryFolder();
  const server = await ServerProcess.on(folder.path, await databaseEnv("postgres"));
  await server.start();
  const api: Api = (method, path, body) =>
    fetch(`${server.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${server.adminToken}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const token = await jsonOf<{ secret: string }>(
    await api("POST", "/v1/tokens", { kind: "sdk", name: "app", environments: ["production"] }),
  );
  await fetch(`${server.url}${SNAPSHOT_PATH}`, {
    headers: { authorization: `Bearer ${token.secret}`, "andon-instance": "host-1" },
  });
  for (const key of ["left", "held"]) await api("POST", `${P}/flags`, { key, name: key });
  const left = await start(api, "left", 2);
  const held = await start(api, "held", 2);
  await api("POST", `${P}/flags/held/kill`, { reason: "it really is broken" });
  await server.killWithoutWarning();
  await server.start();
  expect(await ended(api, left.id)).toMatchObject({ state: "unproven", missing: ["host-1"] });
  expect(await ended(api, held.id)).toMatchObject({ state: "unproven", missing: ["host-1"] });
  expect(await switchOf(api, "left")).toMatchObject({ state: "on" });
  expect(await switchOf(api, "held")).toMatchObject({ state: "off", until: null, reason: "it really is broken" });
  await server.stop();
  await folder.remove();
}, 60_000);
