/**
 * Claude refuses an account: real clients find out, on-call is told once, with who sees it, and it ends by itself when calls
 * are answered again. Two servers act once.
 */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { guard } from "../../sdk-client/src/anthropic.ts";
import { systemRuntime } from "../../sdk-client/src/runtime.ts";
import { ACCOUNT } from "../../src/domain/actor.ts";
import { QUIET_MS, SETTLE_MS } from "../../src/domain/account-fault.ts";
import { runAccountFaults } from "../../src/services/accounts/account-faults.ts";
import { deliveryOf, turns } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { OPUS, SONNET } from "../support/guard-snapshots.ts";
import { ASK, SILENT } from "../support/guard-world.ts";
import { jsonOf } from "../support/json.ts";
import { answer, type Act, fails, MisbehavingProvider } from "../support/misbehaving-provider.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const P = "/v1/environments/production";
const SPENT = fails(429, "rate_limit_error", { code: "enforced_spend_limit_reached" });
const REVOKED = fails(401, "authentication_error");
const FORBIDDEN = fails(403, "permission_error", { message: "Forbidden" });
const FLEET = 3;

const clock = new FakeClock(Date.now());
let a: TestServer;
let b: TestServer;
let provider: MisbehavingProvider;
let baseURL: string;
let pager: Receiver;
let fleet: Andon[];

beforeAll(async () => {
  provider = new MisbehavingProvider();
  [a, baseURL, pager] = await Promise.all([startTestServer({ clock }), provider.listen(), startReceiver()]);
  b = await startTestServer({ clock, database: a.deps.config.database });
  await a.api("POST", `${P}/channels`, { kind: "webhook", name: "pager", url: pager.url });
  await a.api("PUT", `${P}/chains/main`, { steps: [{ model: OPUS }, { model: SONNET }] });
  for (const key of ["support-chat", "titles"]) await a.api("POST", `${P}/flags`, { key, name: key, chain: "main" });
  const token = await makeToken(a.deps, { kind: "sdk" });
  fleet = Array.from({ length: FLEET }, (_, n) => {
    // No report goes by itself: what is told, is told at once.
    const options = { url: a.url, token, logger: SILENT, flushIntervalMs: 3_600_000, instance: `host-${n}` };
    return new Andon(options, { env: {}, runtime: { ...systemRuntime, nowMs: () => clock.nowMs() } });
  });
  await Promise.all(fleet.map((andon) => andon.ready()));
  // Who runs is written after the first poll is answered.
  await a.deps.instances.flush();
}, 60_000);
afterAll(async () => {
  await Promise.all(fleet.map((andon) => andon.close()));
  await Promise.all([b.close(), provider.close(), pager.close()]);
  await a.close();
});

interface Incident {
  id: string;
  title: string;
  account: { fault: string; flags: string[]; instances: string[]; running: number } | null;
  steps: { text: string }[];
  resolvedAt: string | null;
}
interface Alert {
  type: string;
  title: string;
  text: string;
  flags?: string[];
  refused?: number;
}

const incidents = async (): Promise<Incident[]> =>
  (await jsonOf<{ items: Incident[] }>(await b.api("GET", `${P}/incidents`))).items;
const alerts = (): Alert[] => pager.taken().map((body): Alert => JSON.parse(body));

/** Both servers look at the same moment; then what they wrote is delivered. */
async function turn(): Promise<void> {
  await Promise.all(
    [a, b].map(({ deps }) => {
      const environmentId = deps.snapshots.environmentByKey("production")?.environmentId ?? "";
      return runAccountFaults({ actor: ACCOUNT, requestId: deps.newId(), deps }, environmentId);
    }),
  );
  await turns(deliveryOf(a.deps), clock, 1, 0);
}

/** One call of these instances, each by a client of its own. */
const call = (hosts: readonly number[], apiKey: string, flag = "support-chat") =>
  Promise.allSettled(
    hosts.map((n) => {
      const andon = fleet[n];
      if (andon === undefined) throw new Error("no such host");
      const client = new Anthropic({ apiKey, baseURL, middleware: [guard(andon, { flag })], maxRetries: 0 });
      return client.messages.create(ASK);
    }),
  );

/** The refusals are counted, without anybody having asked for a report. */
async function told(hosts: readonly number[], act: Act, apiKey: string, flag?: string): Promise<void> {
  provider.script({ [OPUS]: act });
  await call(hosts, apiKey, flag);
  await until("the refusals are told of", async () => {
    const { items } = await jsonOf<{ items: { instance: string; at: string }[] }>(
      await a.api("GET", `${P}/usage/calls?outcome=error`),
    );
    const at = clock.nowMs();
    return hosts.every((n) =>
      items.some(({ instance, at: when }) => instance === `host-${n}` && Date.parse(when) === at),
    );
  });
}

const CASES = [
  { what: "out of money", act: SPENT, fault: "money", title: "The Claude account is out of money" },
  { what: "a revoked key", act: REVOKED, fault: "key", title: "A key for Claude was revoked" },
  { what: "a key that may nothing", act: FORBIDDEN, fault: "key", title: "A key for Claude was revoked" },
] as const;

it.each(CASES)("$what: one incident and one page, told of wider once, over when calls are answered", async (one) => {
  const { act, fault, title } = one;
  const before = { alerts: alerts().length, incidents: (await incidents()).length };
  const key = `key of ${one.what}`;

  // One instance of three: nobody is told that all are hit.
  await told([0], act, key);
  clock.advance(SETTLE_MS);
  await turn();
  expect(alerts().slice(before.alerts)).toMatchObject([
    { type: "incident.account", title: `${title} on 1 of ${FLEET} instances`, flags: ["support-chat"], refused: 1 },
  ]);
  expect(alerts().at(-1)?.text).toContain("host-0");

  // All of them, and another flag: the same incident.
  await told([1, 2], act, key);
  await told([0], act, key, "titles");
  await turn();
  await turn();
  const [incident, ...rest] = await incidents();
  expect(rest).toHaveLength(before.incidents);
  expect(incident).toMatchObject({
    title,
    resolvedAt: null,
    account: { fault, flags: ["support-chat", "titles"], instances: ["host-0", "host-1", "host-2"], running: FLEET },
  });
  expect(alerts().slice(before.alerts)).toHaveLength(2);

  // No kill: the flags are on, and it is the provider's word that callers get.
  expect(fleet[0]?.evaluate("support-chat").enabled).toBe(true);

  // An answer for one flag and instance is not one for all.
  provider.script({ [OPUS]: answer() });
  clock.advance(QUIET_MS);
  await call([0, 1], `new ${key}`);
  await Promise.all(fleet.map((andon) => andon.flush()));
  await turn();
  expect((await incidents())[0]).toMatchObject({
    resolvedAt: null,
    account: { flags: ["support-chat", "titles"], instances: ["host-0", "host-2"] },
  });
  clock.advance(1_000);
  await call([0], `new ${key}`, "titles");
  await call([2], `new ${key}`);
  await Promise.all(fleet.map((andon) => andon.flush()));
  await turn();
  expect((await incidents())[0]?.resolvedAt).not.toBeNull();
  expect(
    alerts()
      .slice(before.alerts)
      .map(({ type }) => type),
  ).toEqual(["incident.account", "incident.account", "incident.resolved"]);
});

it("a model that may not be used, and the limit of one user's organisation, are nobody's page", async () => {
  const before = alerts().length;
  const acts = [
    fails(403, "permission_error", { message: "Your key may not use this model" }),
    fails(402, "billing_error", { code: "linked_organization_spend_limit_reached" }),
    fails(429, "rate_limit_error"),
  ];
  for (const act of acts) {
    provider.script({ [OPUS]: act, [SONNET]: act });
    expect(await call([0], "of one user")).toMatchObject([{ status: "rejected" }]);
  }
  await Promise.all(fleet.map((andon) => andon.flush()));
  clock.advance(SETTLE_MS);
  await turn();
  expect(alerts()).toHaveLength(before);
});

const OTHER_KINDS: { what: string; ask: (client: Anthropic) => Promise<unknown> }[] = [
  {
    what: "a message batch",
    ask: (client) => client.messages.batches.create({ requests: [{ custom_id: "1", params: ASK }] }),
  },
  { what: "a count of tokens", ask: (client) => client.messages.countTokens({ model: OPUS, messages: ASK.messages }) },
  {
    what: "a text completion",
    ask: (client) =>
      client.post("/v1/complete", { body: { model: OPUS, max_tokens_to_sample: 10, prompt: "\n\nHuman: Why?" } }),
  },
];

it.each(OTHER_KINDS)("$what that finds out tells of it too, and is not sent again", async ({ what, ask }) => {
  const [andon] = fleet;
  if (andon === undefined) throw new Error("there is no fleet");
  const flag = what.replaceAll(" ", "-");
  await a.api("POST", `${P}/flags`, { key: flag, name: what });
  await until("the flag to be known", () => andon.evaluate(flag).reason === "ON");
  let sent = 0;
  const fetch = () => {
    sent += 1;
    const error = { type: "rate_limit_error", message: "no", details: { error_code: "enforced_spend_limit_reached" } };
    return Promise.resolve(Response.json({ type: "error", error }, { status: 429 }));
  };
  const client = new Anthropic({ apiKey: what, baseURL, fetch, middleware: [guard(andon, { flag })], maxRetries: 2 });
  await expect(ask(client)).rejects.toMatchObject({ status: 429 });
  expect(sent).toBe(1);
  await until("it is told of", async () => {
    const { items } = await jsonOf<{ items: { errorType: string; costNanoUsd: number }[] }>(
      await a.api("GET", `${P}/usage/calls?flag=${flag}`),
    );
    return items.some(({ errorType, costNanoUsd }) => errorType === "billing_error" && costNanoUsd === 0);
  });
  clock.advance(SETTLE_MS);
  await turn();
  const open = (await incidents()).find(({ resolvedAt }) => resolvedAt === null);
  expect(open?.account?.flags).toContain(flag);
});
