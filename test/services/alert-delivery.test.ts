/** Whatever a receiver does: no alert is lost, none that it took is sent again, and what happened can be read. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Deps } from "../../src/deps.ts";
import type { NewChannel } from "../../src/api/channel.ts";
import type { ChannelKind } from "../../src/domain/channel.ts";
import { SEND_TIMEOUT_MS } from "../../src/adapters/notify/post.ts";
import type { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { retryAlert } from "../../src/services/alerts/alerts.ts";
import { createChannel, deleteChannel, listChannels, updateChannel } from "../../src/services/alerts/channels.ts";
import { alertsOf, deliveryOf, turns, writeAlert } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { ROUTING_KEY } from "../support/pagerduty.ts";
import { type Behaviour, type Receiver, startReceiver } from "../support/receiver.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const HOUR_MS = 3_600_000;

type HttpKind = Exclude<ChannelKind, "email">;

let clock: FakeClock;
let deps: Deps;
let closeDeps: () => Promise<void>;
let receiver: Receiver;
let delivery: AlertDelivery;

beforeAll(async () => {
  clock = new FakeClock();
  const runtime = await startTestServer({ clock });
  deps = runtime.deps;
  closeDeps = runtime.close;
});
afterAll(() => closeDeps());
beforeEach(async () => {
  receiver = await startReceiver();
  delivery = deliveryOf(deps);
});
afterEach(async () => {
  await delivery.close();
  await receiver.close();
  const { items } = await listChannels(adminCtx(deps), "production");
  for (const { id } of items) await deleteChannel(adminCtx(deps), "production", id);
});

const addChannel = async (kind: HttpKind, name: string, url: string) =>
  (await createChannel(adminCtx(deps), "production", newChannel(kind, name, url))).value;

const newChannel = (kind: HttpKind, name: string, url: string): NewChannel =>
  kind === "pagerduty" ? { kind, name, url, routingKey: ROUTING_KEY } : { kind, name, url };

const sentSchema = z.object({
  text: z.string().optional(),
  payload: z.object({ custom_details: z.object({ text: z.string() }) }).optional(),
});
const textsOf = (bodies: readonly string[]) =>
  bodies.map((body) => {
    const { text, payload } = sentSchema.parse(JSON.parse(body));
    return text ?? payload?.custom_details.text ?? "";
  });

const states = async () => (await alertsOf(deps)).map(({ text, state }) => `${text} ${state}`);

describe.each(["slack", "pagerduty", "webhook"] as const)("a %s channel", (kind) => {
  beforeEach(() => addChannel(kind, "on-call", receiver.url));

  it("gets each alert once, oldest first", async () => {
    for (const text of ["one", "two", "three"]) await writeAlert(deps, text);
    await turns(delivery, clock, 3);
    expect(textsOf(receiver.taken())).toEqual(["one", "two", "three"]);
    expect(receiver.received).toHaveLength(3);
    expect(await states()).toEqual(["one sent", "two sent", "three sent"]);
  });

  it("that is down for some seconds gets everything, once and in order, when it is back", async () => {
    await receiver.down();
    for (const text of ["one", "two", "three"]) await writeAlert(deps, text);
    await turns(delivery, clock, 5);
    const [first, second] = await alertsOf(deps);
    expect(first).toMatchObject({ state: "waiting", lastError: "The receiver refused the connection (ECONNREFUSED)." });
    expect(second).toMatchObject({ state: "waiting", attempts: 0, lastError: null });
    await receiver.up();
    await turns(delivery, clock, 20);
    expect(textsOf(receiver.taken())).toEqual(["one", "two", "three"]);
    expect(receiver.received).toHaveLength(3);
  });

  it("that is down for hours gets everything once, within ten minutes of being back", async () => {
    await receiver.down();
    for (const text of ["one", "two", "three"]) await writeAlert(deps, text);
    await turns(delivery, clock, 120, 60_000);
    await receiver.up();
    await turns(delivery, clock, 10, 60_000);
    expect(textsOf(receiver.taken()).toSorted()).toEqual(["one", "three", "two"]);
    expect(receiver.received).toHaveLength(3);
    await turns(delivery, clock, 10, 60_000);
    expect(receiver.received).toHaveLength(3);
  });

  const sick: [string, Behaviour, RegExp][] = [
    ["answers 500", { status: 500 }, /^Answered 500\.$/],
    ["answers 503", { status: 503 }, /^Answered 503\.$/],
    ["answers 413", { status: 413 }, /^Answered 413: the alert is too large for it/],
    ["answers 400", { status: 400, body: "x".repeat(100_000) }, /^Answered 400: it does not understand the alert/],
    ["redirects", { status: 302, headers: { location: "http://127.0.0.1:9/" } }, /^Answered 302, a redirect, which is/],
    ["redirects for good", { status: 308, headers: { location: "http://127.0.0.1:9/" } }, /^Answered 308, a redirect/],
    ["breaks off", { reset: true }, /^The receiver broke the connection off \([A-Z_]+\)\.$/],
  ];
  it.each(sick.filter(([name]) => kind !== "pagerduty" || name !== "answers 400"))(
    "that %s is asked again until it is well, by the same message",
    async (_name, behaviour, error) => {
      receiver.behave(behaviour);
      await writeAlert(deps, "one");
      await turns(delivery, clock, 4);
      const [alert] = await alertsOf(deps);
      expect(alert?.state).toBe("waiting");
      expect(alert?.lastError).toMatch(error);
      expect(receiver.received.length).toBe(alert?.attempts);
      receiver.behave({ status: 200 });
      await turns(delivery, clock, 10);
      expect(textsOf(receiver.taken())).toEqual(["one"]);
      expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
      expect((await alertsOf(deps))[0]).toMatchObject({ state: "sent", lastError: null });
    },
  );

  it("that never answers is given ten seconds, and holds up no other channel", async () => {
    const other = await startReceiver();
    await addChannel("webhook", "other", other.url);
    receiver.behave({ hang: true });
    await writeAlert(deps, "one");
    await delivery.begin();
    await until("both were asked", () => receiver.received.length === 1 && other.received.length === 1);
    await writeAlert(deps, "two");
    clock.advance(1000);
    await until("the other has the second one too", async () => {
      await delivery.begin();
      return other.taken().length === 2;
    });
    clock.advance(SEND_TIMEOUT_MS);
    await delivery.idle();
    const errors = (await alertsOf(deps)).map(({ channel, lastError }) => [channel.name, lastError]);
    expect(errors).toContainEqual(["on-call", "No answer within 10 s."]);
    expect(receiver.received).toHaveLength(1);
    receiver.behave({ status: 200 });
    await turns(delivery, clock, 5);
    expect(textsOf(receiver.taken())).toEqual(["one", "two"]);
    await other.close();
  });

  it("that answers slowly is waited for and not asked twice", async () => {
    let release: (() => void) | undefined;
    const answered = new Promise<void>((resolve) => (release = resolve));
    const slow = deliveryOf({
      ...deps,
      notify: {
        send: async (...sent) => {
          await answered;
          return deps.notify.send(...sent);
        },
      },
    });
    await writeAlert(deps, "one");
    await slow.begin();
    for (let turn = 0; turn < 9; turn += 1) {
      clock.advance(1000);
      await slow.begin();
    }
    release?.();
    await slow.idle();
    expect(receiver.received).toHaveLength(1);
    expect(await states()).toEqual(["one sent"]);
    await slow.close();
  });

  it("that is gone fails at once, saying what to do; a retry with a new URL delivers", async () => {
    receiver.behave({ status: 410 });
    await writeAlert(deps, "one");
    await turns(delivery, clock, 1);
    const [failed] = await alertsOf(deps);
    expect(failed).toMatchObject({ state: "failed", attempts: 1, nextAttemptAt: null });
    expect(failed?.lastError).toMatch(kind === "slack" ? /Make a new incoming webhook/ : /Set a new URL or delete/);
    await turns(delivery, clock, 60);
    expect(receiver.received).toHaveLength(1);
    receiver.behave({ status: 200 });
    const retried = await retryAlert(adminCtx(deps), "production", failed?.id ?? 0);
    expect(retried.state).toBe("waiting");
    await turns(delivery, clock, 1);
    expect(await states()).toEqual(["one sent"]);
    await expect(retryAlert(adminCtx(deps), "production", failed?.id ?? 0)).rejects.toThrow(/this one was delivered/);
  });

  it("that stays away for a day: its alerts fail, are shown, and a retry tries them once more", async () => {
    await receiver.down();
    await writeAlert(deps, "one");
    await turns(delivery, clock, 24 * 12, HOUR_MS / 12);
    await turns(delivery, clock, 2);
    const [failed] = await alertsOf(deps);
    expect(failed).toMatchObject({ state: "failed" });
    expect(failed?.lastError).toMatch(/^Given up after 24 hours\. The receiver refused the connection/);
    const attempts = failed?.attempts ?? 0;
    expect(attempts).toBeGreaterThan(24 * 4);
    await retryAlert(adminCtx(deps), "production", failed?.id ?? 0);
    await turns(delivery, clock, 3);
    expect((await alertsOf(deps))[0]).toMatchObject({ state: "failed", attempts: attempts + 1 });
    await receiver.up();
    await retryAlert(adminCtx(deps), "production", failed?.id ?? 0);
    await turns(delivery, clock, 1);
    expect(textsOf(receiver.taken())).toEqual(["one"]);
  });
});

describe("a webhook channel", () => {
  it("that never takes one of its alerts gets the others all the same", async () => {
    await addChannel("webhook", "on-call", receiver.url);
    receiver.behave((body) => ({ status: body.includes("poison") ? 500 : 200 }));
    for (const text of ["poison", "one", "two"]) await writeAlert(deps, text);
    await turns(delivery, clock, 20);
    expect(await states()).toEqual(["poison waiting", "one sent", "two sent"]);
    expect(textsOf(receiver.taken())).toEqual(["one", "two"]);
  });

  it("that says when to come again is not asked before, but within ten minutes", async () => {
    await addChannel("webhook", "on-call", receiver.url);
    receiver.behave({ status: 429, headers: { "retry-after": "120" } });
    await writeAlert(deps, "one");
    await turns(delivery, clock, 119);
    expect(receiver.received).toHaveLength(1);
    receiver.behave({ status: 429, headers: { "retry-after": "86400" } });
    await turns(delivery, clock, 5);
    expect(receiver.received).toHaveLength(2);
    receiver.behave({ status: 200 });
    await turns(delivery, clock, 61, 10_000);
    expect(textsOf(receiver.taken())).toEqual(["one"]);
  });

  it("whose URL is corrected gets what waits for it at once", async () => {
    const wrong = await startReceiver();
    await wrong.down();
    const { id } = await addChannel("webhook", "on-call", wrong.url);
    await writeAlert(deps, "one");
    await turns(delivery, clock, 60);
    await updateChannel(adminCtx(deps), "production", id, { url: receiver.url });
    await turns(delivery, clock, 1);
    expect(textsOf(receiver.taken())).toEqual(["one"]);
  });
});
