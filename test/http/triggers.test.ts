/** Alerts of other systems pull the cord: each once, and nothing they send lifts anything. */
import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { changedTriggerSchema, deliveredSchema, triggerSchema } from "../../src/api/trigger.ts";
import { incidentSchema } from "../../src/api/incident.ts";
import { auditSchema } from "../../src/api/audit.ts";
import { pageOf } from "../../src/api/list.ts";
import { changedFlagSchema, flagSchema } from "../../src/api/flag.ts";
import { triggersJob } from "../../src/jobs/triggers.ts";
import { expiryJob } from "../../src/jobs/expiry.ts";
import { pruneJob } from "../../src/jobs/prune.ts";
import { incidents } from "../../src/db/schema/incidents.ts";
import { triggerAlerts, triggers } from "../../src/db/schema/triggers.ts";
import { FakeClock } from "../support/clock.ts";
import { makeToken, startTestServer } from "../support/server.ts";
import { freshDatabase } from "../support/database.ts";
import { expectJson, expectStatus, type Harness, seed, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const ENV = "/v1/environments/production";
const TRIGGERS = `${ENV}/triggers`;
const NOW = "2026-11-28T02:41:00Z";
const MINUTE_MS = 60_000;

let harness: Harness;
let clock: FakeClock;

beforeAll(async () => {
  clock = new FakeClock(Date.parse(NOW));
  harness = await startHarness({ clock });
  await seed(harness);
  for (const key of ["search", "index"]) {
    await expectStatus(harness.call("POST", `${ENV}/flags`, { body: { key, name: key, tags: ["team-search"] } }), 201);
  }
});
afterAll(() => harness.close());
afterEach(async () => {
  const { db } = harness.deps;
  await db.delete(triggers);
  await db.delete(incidents);
  for (const key of ["support-chat", "search", "index"]) {
    // Off and further down are two restores.
    await restore(key);
    await restore(key);
  }
});

const make = (body: Record<string, unknown>) =>
  expectJson(
    harness.call("POST", TRIGGERS, { body: { name: "Pager", action: "kill", flags: ["support-chat"], ...body } }),
    changedTriggerSchema,
    201,
  );
const flag = (key = "support-chat") => expectJson(harness.call("GET", `${ENV}/flags/${key}`), flagSchema);
const restore = (key = "support-chat") =>
  expectJson(harness.call("POST", `${ENV}/flags/${key}/restore`, { body: { reason: "fixed" } }), changedFlagSchema);
const incidentsNow = async () => {
  const { items } = await expectJson(harness.call("GET", `${ENV}/incidents`), pageOf(incidentSchema));
  return items;
};

async function send(
  id: string,
  body: unknown,
  options: { token?: string | null; headers?: Record<string, string> } = {},
) {
  const { results } = await expectJson(
    harness.call("POST", `/v1/triggers/${id}`, { token: harness.tokens.kill, ...options, body }),
    deliveredSchema,
  );
  return results;
}
const said = async (id: string, body: unknown) => (await send(id, body)).map(({ result }) => result);

/** As Alertmanager 0.33 sends it, with what this reads of it and keys that it does not. */
const alertmanager = (...alerts: Record<string, unknown>[]) => ({
  version: "4",
  groupKey: '{}/{team="support"}:{alertname="HighErrorRate"}',
  notification_reason: "new",
  status: "firing",
  receiver: "andon",
  truncatedAlerts: 0,
  groupLabels: {},
  commonLabels: {},
  commonAnnotations: {},
  externalURL: "http://alertmanager.example:9093",
  alerts: alerts.map((alert) => ({
    status: "firing",
    labels: { alertname: "HighErrorRate", service: "chat" },
    annotations: { summary: "5 % of calls fail" },
    startsAt: "2026-11-28T02:40:00Z",
    endsAt: "0001-01-01T00:00:00Z",
    generatorURL: "http://prometheus.example/graph",
    fingerprint: "7b1a2c3d4e5f6071",
    ...alert,
  })),
});
const pagerduty = (type: string, id: string, fields: Record<string, unknown> = {}) => ({
  event: {
    id,
    event_type: type,
    resource_type: "incident",
    occurred_at: NOW,
    data: {
      id: "PGR0VU2",
      type: "incident",
      title: "A little bump in the road",
      html_url: "https://acme.pagerduty.com/incidents/PGR0VU2",
      status: "triggered",
      ...fields,
    },
  },
});
const datadog = (transition: string, cycle: string) => ({
  transition,
  alertId: "1234",
  scope: "service:chat",
  cycle,
  title: "[Triggered] Error rate",
  url: "https://app.datadoghq.com/event/1",
});

const post = (id: string, body: string, headers: Record<string, string>) =>
  harness.call("POST", `/v1/triggers/${id}`, {
    token: null,
    body,
    headers: { "content-type": "application/json", ...headers },
  });

describe("an alert that fires", () => {
  it("turns the flag off at once, with who, why and an incident, and is told to be repeated after that", async () => {
    const { id, url } = await make({ source: "alertmanager", name: "Prometheus" });
    expect(url).toBe(`http://localhost/v1/triggers/${id}`);
    expect(await send(id, alertmanager({}))).toEqual([
      { alert: "HighErrorRate", result: "acted", text: "Turned off: support-chat." },
    ]);
    expect((await flag()).switch).toMatchObject({
      state: "off",
      cause: "trigger",
      by: "trigger Prometheus",
      reason: "HighErrorRate fires at Alertmanager",
      until: null,
    });
    expect(await incidentsNow()).toMatchObject([
      {
        title: "support-chat turned off by alert HighErrorRate",
        resolvedAt: null,
        steps: [{ action: "kill", text: expect.stringContaining("It stays until somebody restores.") }],
      },
    ]);
    expect(await said(id, alertmanager({}))).toEqual(["repeated"]);
    expect(await incidentsNow()).toHaveLength(1);
    const { items } = await expectJson(harness.call("GET", `${ENV}/audit`), pageOf(auditSchema));
    expect(items[0]).toMatchObject({ action: "flag.killed", actor: { kind: "kill", id, name: "trigger Prometheus" } });
    const [listed] = (
      await expectJson(harness.call("GET", TRIGGERS), z.object({ items: z.array(triggerSchema), revision: z.string() }))
    ).items;
    expect(listed).toMatchObject({
      receivedAt: new Date(clock.nowMs()).toISOString(),
      received: expect.stringContaining("HighErrorRate"),
    });
  });

  it("does nothing once a person has restored, until it fires anew", async () => {
    const { id } = await make({ source: "alertmanager" });
    await send(id, alertmanager({}));
    await restore();
    expect(await said(id, alertmanager({}))).toEqual(["repeated"]);
    expect((await flag()).switch.state).toBe("on");
    expect(await said(id, alertmanager({ startsAt: "2026-11-28T02:50:00Z" }))).toEqual(["acted"]);
    expect((await flag()).switch.state).toBe("off");
  });

  it("is judged alert by alert, not by the status on top, and what was left out is told", async () => {
    const { id } = await make({ source: "alertmanager", flags: ["support-chat", "search"] });
    const body = {
      ...alertmanager(
        { status: "resolved", fingerprint: "a1", labels: { alertname: "A" } },
        { fingerprint: "b2", labels: { alertname: "B", andon_flag: "search" } },
      ),
      truncatedAlerts: 3,
    };
    expect((await send(id, body)).map(({ alert, result }) => `${alert} ${result}`)).toEqual([
      "A cleared",
      "B acted",
      "3 more ignored",
    ]);
    expect((await flag()).switch.state).toBe("on");
    expect((await flag("search")).switch.state).toBe("off");
  });

  it("steps down a level, as far as the chain goes, and says what is not possible", async () => {
    const { id } = await make({ source: "generic", action: "downgrade", flags: ["support-chat", "search"] });
    expect(await send(id, { id: "slow", status: "firing" })).toEqual([
      {
        alert: "slow",
        result: "acted",
        text: 'Stepped down: support-chat. Not possible: search: the flag "search" has no chain to step down; kill it, or give it a chain.',
      },
    ]);
    expect((await flag()).level).toMatchObject({ level: 1, manual: { by: "trigger Pager" } });
    await expectStatus(
      harness.call("POST", `${ENV}/flags/support-chat/downgrade`, { body: { level: 2, reason: "worse" } }),
      200,
    );
    const { id: lower } = await make({ name: "Mild", source: "generic", action: "downgrade", level: 1 });
    expect(await said(lower, { id: "slow", status: "firing" })).toEqual(["nothing"]);
    expect((await flag()).level.level).toBe(2);
  });

  it("leaves a person's kill as it is: no earlier end, no other reason", async () => {
    const { id } = await make({ source: "generic", expiresMinutes: 10 });
    const kill = { reason: "answers leak prices" };
    await expectStatus(harness.call("POST", `${ENV}/flags/support-chat/kill`, { body: kill }), 200);
    expect(await said(id, { id: "a", status: "firing" })).toEqual(["nothing"]);
    expect((await flag()).switch).toMatchObject({ reason: "answers leak prices", until: null, cause: "manual" });
    expect(await incidentsNow()).toEqual([]);
  });

  it("pulls all that have its tag then", async () => {
    const { id } = await make({ source: "generic", flags: [], tag: "team-search" });
    await send(id, { id: "a", status: "firing" });
    const states = await Promise.all(
      ["search", "index", "support-chat"].map(async (key) => (await flag(key)).switch.state),
    );
    expect(states).toEqual(["off", "off", "on"]);
  });

  it("acts once when two servers hear of it at the same moment", async () => {
    const database = await freshDatabase("postgres");
    const servers = [await startTestServer({ database }), await startTestServer({ database })];
    try {
      const [first] = servers;
      await first?.api("POST", `${ENV}/flags`, { key: "support-chat", name: "Support chat" });
      const made = await first?.api("POST", TRIGGERS, {
        name: "Pager",
        source: "alertmanager",
        action: "kill",
        flags: ["support-chat"],
      });
      const { id } = triggerSchema.parse(await made?.json());
      const answers = await Promise.all(
        servers.flatMap((server) => [1, 2, 3].map(() => server.api("POST", `/v1/triggers/${id}`, alertmanager({})))),
      );
      const results = await Promise.all(
        answers.map(async (one) => deliveredSchema.parse(await one.json()).results[0]?.result),
      );
      expect(results.map(String).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
        "acted",
        ...Array<string>(5).fill("repeated"),
      ]);
    } finally {
      await Promise.all(servers.map((server) => server.close()));
    }
  });
});

describe("an alert that ends", () => {
  it("lifts nothing: the incident notes it, and ends when a person restores", async () => {
    const { id } = await make({ source: "alertmanager" });
    await send(id, alertmanager({}));
    expect(await said(id, alertmanager({ status: "resolved", endsAt: NOW }))).toEqual(["cleared"]);
    expect((await flag()).switch.state).toBe("off");
    await triggersJob.run(harness.deps);
    const [open] = await incidentsNow();
    expect(open?.resolvedAt).toBeNull();
    expect(open?.steps.at(-1)?.text).toBe(
      "The alert has cleared at Alertmanager. Nothing was turned on by that: restore when you are sure.",
    );
    await restore();
    await triggersJob.run(harness.deps);
    expect((await incidentsNow())[0]?.resolvedAt).not.toBeNull();
  });

  it("is not begun again by a retry that comes late, nor by one that was told before its beginning", async () => {
    const { id } = await make({ source: "alertmanager" });
    await send(id, alertmanager({}));
    await send(id, alertmanager({ status: "resolved" }));
    await restore();
    expect(await said(id, alertmanager({}))).toEqual(["repeated"]);
    expect(await said(id, alertmanager({ fingerprint: "c3", status: "resolved" }))).toEqual(["cleared"]);
    expect(await said(id, alertmanager({ fingerprint: "c3" }))).toEqual(["repeated"]);
    expect(await said(id, alertmanager({ startsAt: "2026-11-28T01:00:00Z" }))).toEqual(["repeated"]);
    expect((await flag()).switch.state).toBe("on");
  });

  it("is not what ends a trigger's kill; its own expiry is", async () => {
    const { id } = await make({ source: "generic", expiresMinutes: 30 });
    await send(id, { id: "a", status: "firing" });
    expect((await flag()).switch.until).toBe(new Date(clock.nowMs() + 30 * MINUTE_MS).toISOString());
    clock.advance(31 * MINUTE_MS);
    await expiryJob.run(harness.deps);
    await triggersJob.run(harness.deps);
    expect((await flag()).switch.state).toBe("on");
    expect((await incidentsNow())[0]?.resolvedAt).not.toBeNull();
  });
});

describe("what each source sends", () => {
  it("Datadog: by our template; a warning or a lack of data pulls nothing", async () => {
    const { id } = await make({ source: "datadog" });
    expect(await said(id, datadog("Warn", "c1"))).toEqual(["ignored"]);
    expect(await said(id, datadog("No Data", "c1"))).toEqual(["ignored"]);
    expect(await said(id, datadog("Triggered", "c1"))).toEqual(["acted"]);
    expect(await said(id, datadog("Re-Triggered", "c1"))).toEqual(["repeated"]);
    expect(await said(id, datadog("Recovered", "c1"))).toEqual(["cleared"]);
    expect(await said(id, datadog("Triggered", "c1"))).toEqual(["repeated"]);
    await restore();
    expect(await said(id, datadog("Triggered", "c2"))).toEqual(["acted"]);
  });

  it("PagerDuty: an incident once, and anew when it is reopened", async () => {
    const { id } = await make({ source: "pagerduty" });
    expect(await said(id, pagerduty("pagey.ping", "e0"))).toEqual(["ignored"]);
    expect(await said(id, pagerduty("incident.triggered", "e1"))).toEqual(["acted"]);
    expect(await said(id, pagerduty("incident.triggered", "e1"))).toEqual(["repeated"]);
    expect(await said(id, pagerduty("incident.acknowledged", "e2"))).toEqual(["ignored"]);
    expect(await said(id, pagerduty("incident.resolved", "e3"))).toEqual(["cleared"]);
    await restore();
    expect(await said(id, pagerduty("incident.reopened", "e4"))).toEqual(["acted"]);
    expect(await said(id, pagerduty("incident.reopened", "e4"))).toEqual(["repeated"]);
  });

  it("anything else: by an id; without a time it fires anew after its end", async () => {
    const { id } = await make({ source: "generic" });
    expect(await said(id, { id: "cron", status: "firing", title: "Nightly check failed" })).toEqual(["acted"]);
    expect(await said(id, { id: "cron", status: "firing" })).toEqual(["repeated"]);
    expect(await said(id, { id: "cron", status: "resolved" })).toEqual(["cleared"]);
    await restore();
    expect(await said(id, { id: "cron", status: "firing" })).toEqual(["acted"]);
    const problem = await expectProblem(
      harness.call("POST", `/v1/triggers/${id}`, { body: { id: "", status: "on", flag: 1 } }),
      422,
    );
    expect(problem.errors?.map(({ path }) => path)).toEqual(["id", "status", "flag"]);
  });

  it("an alert about a flag that the trigger does not pull touches nothing, and says so", async () => {
    const { id } = await make({ source: "generic" });
    expect(await send(id, { id: "a", status: "firing", flag: "search" })).toEqual([
      { alert: "a", result: "nothing", text: 'It is about the flag "search", which this trigger does not pull.' },
    ]);
    expect((await flag("search")).switch.state).toBe("on");
  });

  it("a paused trigger pulls nothing, and does when it is no longer paused", async () => {
    const { id } = await make({ source: "alertmanager", paused: true });
    expect(await said(id, alertmanager({}))).toEqual(["ignored"]);
    await expectStatus(harness.call("PATCH", `${TRIGGERS}/${id}`, { body: { paused: false } }), 200);
    expect(await said(id, alertmanager({}))).toEqual(["acted"]);
  });
});

describe("who may pull", () => {
  const SECRET = "a shared secret of this trigger";
  const firing = JSON.stringify({ id: "a", status: "firing" });
  const hmac = (text: string) => createHmac("sha256", SECRET).update(text).digest("hex");

  it("Grafana, by its signature, with a timestamp and without", async () => {
    const { id, isSigned } = await make({ source: "grafana", secret: SECRET });
    expect(isSigned).toBe(true);
    const body = JSON.stringify({
      ...alertmanager({}),
      version: "1",
      orgId: 1,
      title: "[FIRING:1]",
      state: "alerting",
    });
    await expectProblem(post(id, body, {}), 401);
    await expectProblem(post(id, `${body} `, { "x-grafana-alerting-signature": hmac(body) }), 401);
    await expectStatus(post(id, body, { "x-grafana-alerting-signature": hmac(body) }), 200);
    const at = "1795840998";
    await expectStatus(
      post(id, body, { "x-grafana-alerting-timestamp": at, "x-grafana-alerting-signature": hmac(`${at}:${body}`) }),
      200,
    );
  });

  it("PagerDuty, by either of its signatures", async () => {
    const { id } = await make({ source: "pagerduty", secret: SECRET });
    const body = JSON.stringify(pagerduty("incident.triggered", "e1"));
    await expectProblem(post(id, body, { "x-pagerduty-signature": `v1=${hmac("else")}` }), 401);
    await expectStatus(post(id, body, { "x-pagerduty-signature": `v1=${hmac("else")},v1=${hmac(body)}` }), 200);
    expect((await flag()).switch.state).toBe("off");
  });

  it("anything else, by Standard Webhooks", async () => {
    const { id } = await make({ source: "generic", secret: SECRET });
    const at = new Date();
    const headers = {
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
      "webhook-signature": new Webhook(SECRET, { format: "raw" }).sign("msg_1", at, firing),
    };
    await expectProblem(post(id, firing.replace("a", "b"), headers), 401);
    await expectStatus(post(id, firing, headers), 200);
  });

  it("nobody unsigned where there is no secret, no viewer, no kill token of elsewhere", async () => {
    const { id } = await make({ source: "generic" });
    await expectProblem(post(id, firing, { "webhook-id": "1", "webhook-signature": "v1,x" }), 401);
    const elsewhere = await makeToken(harness.deps, { kind: "kill", environments: ["staging"] });
    const call = (token: string) => harness.call("POST", `/v1/triggers/${id}`, { token, body: firing });
    await expectProblem(call(harness.tokens.viewer), 403);
    await expectProblem(call(elsewhere), 404);
    expect((await flag()).switch.state).toBe("on");
    await expectStatus(call(harness.tokens.operator), 200);
  });

  it("is never shown the secret, nor is the audit or the log", async () => {
    await make({ source: "grafana", secret: SECRET });
    const answers = [await harness.call("GET", TRIGGERS), await harness.call("GET", `${ENV}/audit`)];
    for (const answer of answers) expect(await answer.text()).not.toContain(SECRET);
    expect(harness.logLines.join("")).not.toContain(SECRET);
  });
});

const fault = async (body: Record<string, unknown>) => {
  const problem = await expectProblem(
    harness.call("POST", TRIGGERS, { body: { name: "T", source: "generic", action: "kill", ...body } }),
    422,
  );
  return problem.errors?.map(({ path, message }) => `${path}: ${message}`);
};

describe("a trigger", () => {
  it("is refused in words when it could not work", async () => {
    expect(await fault({})).toEqual(["flags: must name a flag, or give a tag"]);
    expect(await fault({ flags: ["support-chta"] })).toEqual([
      'flags.0: there is no flag "support-chta"; did you mean "support-chat"?',
    ]);
    expect(await fault({ tag: "team-serach" })).toEqual([
      'tag: no flag has the tag "team-serach"; did you mean "team-search"?',
    ]);
    expect(await fault({ flags: ["search"], level: 1 })).toEqual(["level: goes with the action downgrade"]);
    expect(await fault({ source: "datadog", flags: ["search"], secret: "12345678" })).toEqual([
      "secret: datadog signs nothing: have it send a kill token as Authorization: Bearer …",
    ]);
    expect(await fault({ action: "restore", flags: ["search"] })).toEqual(["action: must be one of kill, downgrade"]);
  });

  it("is edited, renamed and deleted; what it switched stays", async () => {
    const { id, version } = await make({ source: "generic" });
    await send(id, { id: "a", status: "firing" });
    const edit = (body: object, ifMatch = `"${version}"`) =>
      harness.call("PATCH", `${TRIGGERS}/${id}`, { body, headers: { "if-match": ifMatch } });
    await expectProblem(edit({ name: "Other" }, '"7"'), 412);
    expect(await expectJson(edit({ action: "downgrade" }), changedTriggerSchema)).toMatchObject({
      action: "downgrade",
    });
    await expectStatus(harness.call("DELETE", `${TRIGGERS}/${id}`), 200);
    expect((await flag()).switch.state).toBe("off");
    await expectProblem(harness.call("POST", `/v1/triggers/${id}`, { body: { id: "a", status: "firing" } }), 404);
  });

  it("forgets alerts that nobody repeats any more", async () => {
    const { id } = await make({ source: "generic" });
    const DAY_MS = 24 * 60 * MINUTE_MS;
    await send(id, { id: "a", status: "firing" });
    clock.advance(20 * DAY_MS);
    expect(await said(id, { id: "a", status: "firing" })).toEqual(["repeated"]);
    clock.advance(20 * DAY_MS);
    await pruneJob.run(harness.deps);
    expect(await said(id, { id: "a", status: "firing" })).toEqual(["repeated"]);
    clock.advance(33 * DAY_MS);
    await pruneJob.run(harness.deps);
    expect(await harness.deps.db.select().from(triggerAlerts)).toEqual([]);
  });
});
