/** Two servers, crashes and a lost database: each alert is written once and sent once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Deps } from "../../src/deps.ts";
import { StandbyError } from "../../src/database-away.ts";
import type { Sent } from "../../src/domain/delivery.ts";
import { createChannel, deleteChannel, listChannels } from "../../src/services/alerts/channels.ts";
import { LEASE_MS } from "../../src/services/alerts/outbox.ts";
import { alertsOf, deliveryOf, turns, writeAlert } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { freshPostgres } from "../support/database.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { adminCtx, startTestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const ALERTS = 30;

let clock: FakeClock;
let a: Deps;
let b: Deps;
let close: () => Promise<unknown>;
let receivers: Receiver[];

beforeAll(async () => {
  const database = { kind: "postgres", url: await freshPostgres() } as const;
  clock = new FakeClock();
  const first = await startTestServer({ database, clock });
  const second = await startTestServer({ database, clock });
  [a, b] = [first.deps, second.deps];
  close = () => Promise.all([first.close(), second.close()]);
});
afterAll(() => close());
beforeEach(async () => {
  receivers = [await startReceiver(), await startReceiver()];
  for (const [index, { url }] of receivers.entries()) {
    await createChannel(adminCtx(a), "production", { kind: "webhook", name: `channel ${index}`, url });
  }
});
afterEach(async () => {
  for (const receiver of receivers) await receiver.close();
  const { items } = await listChannels(adminCtx(a), "production");
  for (const { id } of items) await deleteChannel(adminCtx(a), "production", id);
});

const texts = Array.from({ length: ALERTS }, (_, n) => `alert ${n}`);
const first = (): Receiver => {
  const [receiver] = receivers;
  if (receiver === undefined) throw new Error("no receiver");
  return receiver;
};
const idsOf = (receiver: Receiver) => receiver.received.map(({ headers }) => headers["webhook-id"]);

/** A server whose requests to receivers end as the test says; `go` is how an attempt would have ended. */
function heldUp(deps: Deps) {
  const held: { go: (sent: Sent) => void }[] = [];
  const notify = { send: () => new Promise<Sent>((go) => held.push({ go })) };
  return { delivery: deliveryOf({ ...deps, notify }), held };
}

describe("two servers on one database", () => {
  it("write an alert that both notice once a channel", async () => {
    await Promise.all([a, b, a, b].map((deps) => writeAlert(deps, "noticed by all")));
    expect(await alertsOf(a)).toHaveLength(receivers.length);
  });

  it("that both deliver send each alert once", async () => {
    for (const text of texts) await writeAlert(a, text);
    const deliveries = [a, b].map((deps) => deliveryOf(deps));
    await until("all is delivered", async () => {
      await Promise.all(deliveries.map((delivery) => delivery.begin()));
      await Promise.all(deliveries.map((delivery) => delivery.idle()));
      return (await alertsOf(a)).every(({ state }) => state === "sent");
    });
    for (const receiver of receivers) {
      expect(idsOf(receiver)).toHaveLength(ALERTS);
      expect(new Set(idsOf(receiver)).size).toBe(ALERTS);
    }
    await Promise.all(deliveries.map((delivery) => delivery.close()));
  });

  it("that both try again while the receiver is ill send each alert once when it is well", async () => {
    for (const receiver of receivers) receiver.behave({ status: 500 });
    for (const text of texts.slice(0, 5)) await writeAlert(a, text);
    const deliveries = [a, b].map((deps) => deliveryOf(deps));
    for (let turn = 0; turn < 10; turn += 1) {
      await Promise.all(deliveries.map((delivery) => turns(delivery, clock, 1, 500)));
    }
    for (const receiver of receivers) receiver.behave({ status: 200 });
    await until("all is delivered", async () => {
      await Promise.all(deliveries.map((delivery) => turns(delivery, clock, 1, 500)));
      return (await alertsOf(a)).every(({ state }) => state === "sent");
    });
    for (const receiver of receivers) {
      const taken = receiver.received.filter(({ status }) => status === 200);
      expect(taken).toHaveLength(5);
      expect(new Set(taken.map(({ headers }) => headers["webhook-id"])).size).toBe(5);
    }
    await Promise.all(deliveries.map((delivery) => delivery.close()));
  });
});

describe("a server that dies between taking an alert and sending it", () => {
  it("leaves no alert unsent: another sends it after the lease, once, and says nothing any more when it comes back", async () => {
    const dying = heldUp(a);
    await writeAlert(a, "held");
    await dying.delivery.begin();
    await until("it has both", () => dying.held.length === receivers.length);

    const heir = deliveryOf(b);
    await turns(heir, clock, LEASE_MS / 1000);
    expect(first().received).toHaveLength(0);
    await turns(heir, clock, 2);
    expect(first().taken()).toHaveLength(1);
    expect((await alertsOf(a)).map(({ state, attempts }) => [state, attempts])).toEqual([
      ["sent", 2],
      ["sent", 2],
    ]);

    for (const { go } of dying.held) go({ type: "refused", error: "too late" });
    await dying.delivery.idle();
    expect((await alertsOf(a)).map(({ state, lastError }) => [state, lastError])).toEqual([
      ["sent", null],
      ["sent", null],
    ]);
    await heir.close();
    expect(first().received).toHaveLength(1);
  });
});

describe("a server that loses the database after the receiver took an alert", () => {
  it("writes it down when the database is back, even after the lease, and sends nothing twice", async () => {
    let isAway = false;
    const db = new Proxy(a.db, {
      get(target, property) {
        if (isAway && property === "update") throw new StandbyError();
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const notify: Deps["notify"] = {
      send: async (...sent) => {
        const result = await a.notify.send(...sent);
        isAway = true;
        return result;
      },
    };
    const delivery = deliveryOf({ ...a, db, notify });
    await writeAlert(a, "taken");
    await delivery.begin();
    await delivery.idle();
    expect((await alertsOf(a)).map(({ state }) => state)).toEqual(["waiting", "waiting"]);
    clock.advance(LEASE_MS * 2);
    await expect(delivery.begin()).rejects.toThrow(/database/);
    isAway = false;
    await delivery.begin();
    await delivery.idle();
    expect((await alertsOf(a)).map(({ state }) => state)).toEqual(["sent", "sent"]);
    for (const receiver of receivers) expect(receiver.received).toHaveLength(1);
    await delivery.close();
  });
});

describe("a server that stops", () => {
  it("waits for what is under way, and begins nothing more", async () => {
    const stopping = heldUp(a);
    for (const text of texts.slice(0, 3)) await writeAlert(a, text);
    await stopping.delivery.begin();
    await until("it has both", () => stopping.held.length === receivers.length);
    const closed = stopping.delivery.close();
    for (const { go } of stopping.held) go({ type: "delivered", tookMs: 1 });
    await closed;
    await stopping.delivery.begin();
    expect(stopping.held).toHaveLength(receivers.length);
    const states = (await alertsOf(a)).map(({ state }) => state).toSorted();
    expect(states).toEqual(["sent", "sent", "waiting", "waiting", "waiting", "waiting"]);
  });

  it("breaks off what hangs, and leaves it to be sent again", async () => {
    for (const receiver of receivers) receiver.behave({ hang: true });
    await writeAlert(a, "hangs");
    const delivery = deliveryOf(a);
    await delivery.begin();
    await until("both were asked", () => receivers.every(({ received }) => received.length === 1));
    await delivery.close();
    for (const alert of await alertsOf(a)) {
      expect(alert).toMatchObject({ state: "waiting", lastError: "The server stopped while this was being sent." });
    }
  });

  it("has its leader's job deliver: nobody else needs to ask", async () => {
    const runtime = await startTestServer({ jobs: true, clock });
    const { url } = first();
    await createChannel(adminCtx(runtime.deps), "production", { kind: "slack", name: "on-call", url });
    await writeAlert(runtime.deps, "by the job");
    await until("it is delivered", async () => {
      // Once it is being sent, time stands still: a busy machine must not run into the attempt's timeout.
      const [alert] = await alertsOf(runtime.deps);
      if (alert?.attempts === 0) clock.advance(1000);
      return first().taken().length === 1;
    });
    await runtime.close();
  });
});
