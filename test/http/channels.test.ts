/** Channels over HTTP: made, tested, edited, deleted; their URLs and secrets seen by nobody but the receiver. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Webhook } from "standardwebhooks";
import { z } from "zod";
import { alertSchema } from "../../src/api/alert.ts";
import { changedChannelSchema, channelSchema } from "../../src/api/channel.ts";
import { pageOf } from "../../src/api/list.ts";
import { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { alertsOf, writeAlert } from "../support/alerts.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { expectJson, expectStatus, type Harness, startHarness } from "./harness.ts";
import { expectProblem } from "./problem-shape.ts";

const CHANNELS = "/v1/environments/production/channels";
const ALERTS = "/v1/environments/production/alerts";
const SECRET_PATH = "a-long-secret-path";

let harness: Harness;
let receiver: Receiver;

beforeAll(async () => {
  harness = await startHarness();
  receiver = await startReceiver();
});
afterAll(async () => {
  await receiver.close();
  await harness.close();
});

const listed = z.object({ items: z.array(channelSchema), revision: z.string() });
const tested = z.object({ delivered: z.boolean(), text: z.string() });

const create = (body: Record<string, unknown>) =>
  expectJson(harness.call("POST", CHANNELS, { body }), changedChannelSchema, 201);
const test = (id: string) => expectJson(harness.call("POST", `${CHANNELS}/${id}/test`), tested);
const deliver = async () => {
  const delivery = new AlertDelivery(harness.deps, () => 0);
  await delivery.begin();
  await delivery.idle();
  await delivery.close();
};

describe("a webhook channel", () => {
  it("is signed so that the standardwebhooks package verifies it, by a secret that is shown once", async () => {
    const { id, secret, url } = await create({ kind: "webhook", name: "pager", url: receiver.url });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]+=*$/);
    expect(url).toBe(`${new URL(receiver.url).origin}/…path`);
    const result = await test(id);
    expect(result.delivered).toBe(true);
    expect(result.text).toMatch(/^Delivered in \d+ ms\.$/);
    const sent = receiver.received.at(-1);
    if (sent === undefined) throw new Error("nothing was sent");
    const headers = Object.fromEntries(Object.entries(sent.headers).map(([name, value]) => [name, String(value)]));
    const payload = new Webhook(secret ?? "").verify(sent.body, headers);
    expect(payload).toMatchObject({ id: headers["webhook-id"], type: "test", environment: "production" });
    expect(() => new Webhook(secret ?? "").verify(`${sent.body} `, headers)).toThrow("No matching signature");

    const renewed = await expectJson(
      harness.call("PATCH", `${CHANNELS}/${id}`, { body: { newSecret: true } }),
      changedChannelSchema,
    );
    expect(renewed.secret).not.toBe(secret);
    await test(id);
    const again = receiver.received.at(-1);
    const next = Object.fromEntries(Object.entries(again?.headers ?? {}).map(([name, value]) => [name, String(value)]));
    expect(new Webhook(renewed.secret ?? "").verify(again?.body ?? "", next)).toMatchObject({ type: "test" });
    expect(() => new Webhook(secret ?? "").verify(again?.body ?? "", next)).toThrow("No matching signature");
  });
});

describe("a Slack channel", () => {
  it("gets a sentence first and a way to the board, with the three special characters escaped", async () => {
    const { id, secret } = await create({ kind: "slack", name: "#on-call", url: receiver.url });
    expect(secret).toBeNull();
    await writeAlert(harness.deps, "Budget <!channel> & co has reached 80 %.");
    await deliver();
    const sent = receiver.received.map(({ body }) => body).find((body) => body.includes("blocks"));
    expect(JSON.parse(sent ?? "{}")).toMatchObject({
      text: "Budget &lt;!channel&gt; &amp; co has reached 80 %.",
      blocks: [
        { type: "section", text: { type: "mrkdwn", text: "Budget &lt;!channel&gt; &amp; co has reached 80 %." } },
        {
          type: "context",
          elements: [
            { text: "production · <http://127.0.0.1:4280/e/production/incidents|Open the board>", verbatim: true },
          ],
        },
      ],
    });
    await expectProblem(harness.call("PATCH", `${CHANNELS}/${id}`, { body: { newSecret: true } }), 422);
  });

  it("says in the answer to a test what is wrong, and keeps it", async () => {
    receiver.behave({ status: 404, body: "no_service" });
    const { items } = await expectJson(harness.call("GET", CHANNELS), listed);
    const slack = items.find(({ kind }) => kind === "slack");
    const result = await test(slack?.id ?? "");
    expect(result.delivered).toBe(false);
    expect(result.text).toMatch(/^Slack answered 404: .* Make a new incoming webhook/);
    const after = await expectJson(harness.call("GET", CHANNELS), listed);
    expect(after.items.find(({ kind }) => kind === "slack")?.testResult).toBe(result.text);
    receiver.behave({ status: 200 });
  });
});

describe("a channel", () => {
  it.each([
    ["ftp://hooks.test/x", "must begin with https://"],
    ["http://hooks.test/x", "must begin with https://"],
    ["http://127.0.0.1.nip.test/x", "must begin with https://"],
    ["https://user:hunter2@hooks.test/x", "must not hold a user name"],
    ["https://hooks.test/x#y", "must not have a # part"],
    ["not an address", "must be an address"],
    [`https://hooks.test/${"x".repeat(2000)}`, "must be at most 2000 characters"],
  ])("does not take the URL %s, and does not repeat it", async (url, message) => {
    const problem = await expectProblem(
      harness.call("POST", CHANNELS, { body: { kind: "slack", name: "bad", url } }),
      422,
    );
    expect(problem.errors).toEqual([{ path: "url", message: expect.stringContaining(message) }]);
    expect(JSON.stringify(problem)).not.toContain("hunter2");
    expect(JSON.stringify(problem)).not.toContain(url);
  });

  it("has a name of its own, and is edited only as it was seen", async () => {
    const body = { kind: "slack", name: "#on-call", url: receiver.url };
    expect((await expectProblem(harness.call("POST", CHANNELS, { body }), 409)).detail).toContain("already");
    const made = await create({ ...body, name: "second" });
    const path = `${CHANNELS}/${made.id}`;
    await expectProblem(harness.call("PATCH", path, { body: { name: "#on-call" } }), 409);
    const ifMatch = { "if-match": `"${made.version}"` };
    const renamed = await expectJson(
      harness.call("PATCH", path, { body: { name: "third" }, headers: ifMatch }),
      changedChannelSchema,
    );
    expect(renamed).toMatchObject({ name: "third", version: made.version + 1, secret: null });
    await expectProblem(harness.call("DELETE", path, { headers: ifMatch }), 412);
    await expectStatus(harness.call("DELETE", path), 200);
    await expectProblem(harness.call("POST", `${path}/test`), 404);
  });

  it("is one of at most twenty", async () => {
    const { items } = await expectJson(harness.call("GET", CHANNELS), listed);
    const made = [];
    for (let n = items.length; n < 20; n += 1) {
      made.push(await create({ kind: "slack", name: `many ${n}`, url: receiver.url }));
    }
    const body = { kind: "slack", name: "one too many", url: receiver.url };
    expect((await expectProblem(harness.call("POST", CHANNELS, { body }), 409)).detail).toContain("at most 20");
    for (const { id } of made) await expectStatus(harness.call("DELETE", `${CHANNELS}/${id}`), 200);
  });
});

describe("alerts", () => {
  it("are listed newest first by pages and state, and retried only when they failed", async () => {
    receiver.behave({ status: 410 });
    for (const text of ["first", "second"]) await writeAlert(harness.deps, text);
    await deliver();
    const page = pageOf(alertSchema);
    const failed = await expectJson(harness.call("GET", `${ALERTS}?state=failed&limit=3`), page);
    expect(failed.items.map(({ text }) => text)).toEqual(["second", "second", "first"]);
    const rest = await expectJson(
      harness.call("GET", `${ALERTS}?state=failed&limit=3&cursor=${failed.nextCursor ?? ""}`),
      page,
    );
    expect(rest).toMatchObject({ items: [{ text: "first" }], nextCursor: null });
    const channel = await expectJson(harness.call("GET", CHANNELS), listed);
    expect(channel.items.map(({ alerts }) => alerts)).toEqual([
      { waiting: 0, failed: 2 },
      { waiting: 0, failed: 2 },
    ]);
    receiver.behave({ status: 200 });
    const id = rest.items[0]?.id ?? 0;
    const retry = () => harness.call("POST", `${ALERTS}/${id}/retry`, { token: harness.tokens.operator });
    expect(await expectJson(retry(), alertSchema)).toMatchObject({ state: "waiting" });
    await expectProblem(retry(), 409);
    await deliver();
    expect((await alertsOf(harness.deps)).find((alert) => alert.id === id)).toMatchObject({ state: "sent" });
    await expectProblem(harness.call("GET", `${ALERTS}?cursor=x`), 422);
    await expectProblem(harness.call("POST", `${ALERTS}/999999/retry`), 404);
  });

  it("and channels leave no URL and no secret in any answer, log line or audit entry", async () => {
    const made = await create({ kind: "webhook", name: "secretive", url: receiver.url });
    await receiver.down();
    await test(made.id);
    await writeAlert(harness.deps, "unheard");
    await deliver();
    await receiver.up();
    const answers = await Promise.all(
      [CHANNELS, ALERTS, "/v1/environments/production/audit?limit=200&kind=channel&key=secretive"].map(async (path) =>
        (await expectStatus(harness.call("GET", path), 200)).text(),
      ),
    );
    expect(answers[2]).toContain("channel.tested");
    for (const text of [...answers, ...harness.logLines]) {
      expect(text).not.toContain(SECRET_PATH);
      expect(text).not.toContain("whsec_");
    }
    expect(harness.logLines.join("")).toContain("alert not delivered yet");
  });
});
