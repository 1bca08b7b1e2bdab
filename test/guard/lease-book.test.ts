/** The book of a client against the server's own rules: whatever the network does to their messages, the money adds up. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { LeaseBook, type Turn } from "../../sdk-client/src/guard/leases/book.ts";
import type { Hold, Lease } from "../../sdk-client/src/guard/leases/lease.ts";
import type { LeaseAnswer, LeaseRequest, LeaseState, LeaseWant } from "../../sdk-client/src/wire/lease-protocol.ts";
import { LeaseServer } from "../../bench/support/lease-server.ts";

const BUDGET = "budget";
const LIMIT = 1_000;
const CLIENTS = 2;
const RUNS = 120;
/** After so long without a call a client gives back what is idle. */
const UNUSED_MS = 10_000;

const OPS = ["take", "take", "leave", "settle", "part", "shrink", "say", "say", "say", "close"] as const;
const NET = ["arrive", "arriveTwice", "lose", "hear", "hearTwice", "loseAnswer", "cut", "timeUp", "report"] as const;

interface Step {
  op: (typeof OPS)[number] | (typeof NET)[number] | "pass";
  who: number;
  /** Which of those there are. */
  at: number;
  /** 0 to 1 of the most that it may be. */
  share: number;
  /** What is said arrives at once, and so does its answer: else both are in the hands of the network. */
  isSmooth: boolean;
}

const step = fc.record({
  op: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...OPS) },
    { weight: 5, arbitrary: fc.constantFrom(...NET) },
    { weight: 1, arbitrary: fc.constant("pass" as const) },
  ),
  who: fc.nat(CLIENTS - 1),
  at: fc.nat(5),
  share: fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100),
  isSmooth: fc.boolean(),
});

interface Sent {
  client: Client;
  message: LeaseRequest;
  sentMs: number;
  parks: boolean;
}

class Client {
  readonly name: string;
  readonly book: LeaseBook;
  readonly holds: Hold[] = [];
  readonly turns: Turn[] = [];
  /** All wants that were ever sent, by their request. */
  readonly asked = new Map<string, LeaseWant[]>();
  spent = 0;

  constructor(name: string, nowMs: () => number) {
    this.name = name;
    this.book = new LeaseBook({ budgetId: BUDGET }, nowMs, () => undefined);
  }
}

/** Two clients, a server, and what is under way between them. */
class World {
  nowMs = 0;
  readonly server = new LeaseServer(BUDGET, LIMIT, () => this.nowMs);
  readonly clients = Array.from({ length: CLIENTS }, (_, n) => new Client(`client-${n}`, () => this.nowMs));
  readonly post: Sent[] = [];
  readonly answers: (Sent & { answer: LeaseAnswer })[] = [];
  readonly parked: { requestId: string; cut: () => void }[] = [];
  readonly records: { leaseId: string; nanoUsd: number }[] = [];
  /** What was seen of each lease, by the client's own account and by what it said. */
  readonly #seen = new Map<Lease, Pick<Lease, "granted" | "spent" | "released">>();
  readonly #said = new Map<string, LeaseState>();
  #requests = 0;

  async take({ op, who, at, share, isSmooth }: Step): Promise<void> {
    const client = this.clients[who % CLIENTS];
    if (client === undefined) return;
    const { book, holds } = client;
    const nanoUsd = Math.ceil(share * LIMIT * 0.4);
    switch (op) {
      case "take": {
        const taken = book.take(nanoUsd);
        if (taken.kind === "held") this.#begin(client, taken.hold);
        else if (taken.kind === "wait") this.#wait(client, nanoUsd);
        break;
      }
      case "leave":
        picked(client.turns, at)?.leave({ kind: "timeUp" });
        break;
      case "settle": {
        const hold = picked(holds, at);
        if (hold !== undefined) this.#settle(client, hold, Math.floor(share * hold.nanoUsd));
        break;
      }
      case "part": {
        const hold = holds[at % Math.max(1, holds.length)];
        if (hold !== undefined) this.#settlePart(client, hold, nanoUsd);
        break;
      }
      case "shrink":
        holds[at % Math.max(1, holds.length)]?.shrink(nanoUsd);
        break;
      case "close":
        book.giveBack();
        this.say(client, []);
        break;
      case "say": {
        const leases = this.#states(client);
        const want = book.want ?? book.wantAhead;
        const sent = this.say(client, want === null ? [] : [want], { leases, parks: share > 0.5 });
        if (isSmooth) this.#pass(sent);
        break;
      }
      case "pass":
        this.pass(Math.ceil(share ** 3 * 40_000));
        break;
      case "arrive":
      case "arriveTwice":
      case "lose":
      case "hear":
      case "hearTwice":
      case "loseAnswer":
      case "cut":
      case "timeUp":
      case "report":
        this.#network(op, at);
    }
    // Whoever was let in is told in the next turn.
    await Promise.resolve();
    await Promise.resolve();
    this.check();
  }

  #network(op: (typeof NET)[number], at: number): void {
    switch (op) {
      case "arrive":
      case "arriveTwice": {
        const sent = op === "arrive" ? picked(this.post, at) : this.post[at % Math.max(1, this.post.length)];
        if (sent !== undefined) this.#arrive(sent);
        break;
      }
      case "lose":
        picked(this.post, at);
        break;
      case "hear":
      case "hearTwice": {
        const heard = op === "hear" ? picked(this.answers, at) : this.answers[at % Math.max(1, this.answers.length)];
        if (heard !== undefined) this.hear(heard, heard.answer);
        break;
      }
      case "loseAnswer":
        picked(this.answers, at);
        break;
      case "cut":
        picked(this.parked, at)?.cut();
        break;
      case "timeUp": {
        const { requestId } = picked(this.parked, at) ?? {};
        if (requestId !== undefined) this.server.timeUp(requestId);
        break;
      }
      case "report": {
        const record = picked(this.records, at);
        if (record !== undefined) this.server.settle(record.leaseId, record.nanoUsd);
      }
    }
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.server.expire();
  }

  #wait(client: Client, nanoUsd: number): void {
    const turn = client.book.wait(nanoUsd, this.nowMs);
    client.turns.push(turn);
    void turn.ended.then((end) => {
      if (end.kind === "held") this.#begin(client, end.hold);
    });
  }

  #begin(client: Client, hold: Hold): void {
    expect(this.server.isLive(hold.lease.id)).toBe(true);
    client.holds.push(hold);
  }

  #settle(client: Client, hold: Hold, nanoUsd: number): void {
    hold.settle(nanoUsd);
    this.#used(client, hold, nanoUsd);
  }

  #settlePart(client: Client, hold: Hold, part: number): void {
    const nanoUsd = Math.floor(Math.min(part, hold.nanoUsd) / 2);
    hold.settlePart(nanoUsd, part);
    this.#used(client, hold, nanoUsd);
  }

  #used(client: Client, hold: Hold, nanoUsd: number): void {
    client.spent += nanoUsd;
    if (nanoUsd > 0) this.records.push({ leaseId: hold.lease.id, nanoUsd });
  }

  #states({ book }: Client): LeaseState[] {
    const states = book.states();
    for (const state of states) {
      const before = this.#said.get(state.leaseId);
      this.#said.set(state.leaseId, state);
      if (before === undefined) continue;
      expect(state.spentNanoUsd).toBeGreaterThanOrEqual(before.spentNanoUsd);
      expect(state.releasedNanoUsd).toBeGreaterThanOrEqual(before.releasedNanoUsd);
    }
    return states;
  }

  say(
    client: Client,
    wants: LeaseWant[],
    { leases = this.#states(client), parks = false, requestId = `request-${(this.#requests += 1)}` } = {},
  ): Sent {
    if (wants.length > 0) client.asked.set(requestId, wants);
    const message = { requestId, instance: client.name, wants, leases };
    const sent = { client, message, sentMs: this.nowMs, parks };
    this.post.push(sent);
    return sent;
  }

  #arrive(sent: Sent): void {
    const { client, message, parks } = sent;
    const cut = this.server.ask(client.name, message, parks, (answer) => this.answers.push({ ...sent, answer }));
    if (parks) this.parked.push({ requestId: message.requestId, cut });
  }

  /** It arrives, and what has been answered by now is heard. */
  #pass(sent: Sent): void {
    this.post.splice(this.post.indexOf(sent), 1);
    this.#arrive(sent);
    const last = this.answers.at(-1);
    if (last?.message !== sent.message) return;
    this.answers.pop();
    this.hear(last, last.answer);
  }

  /** As the client's messages take an answer. */
  hear({ client: { book }, message, sentMs }: Sent, answer: LeaseAnswer): void {
    const known = new Set(answer.leases.map(({ leaseId }) => leaseId));
    for (const { leaseId } of message.leases) if (!known.has(leaseId)) book.over(leaseId);
    for (const granted of answer.leases) book.granted(granted, sentMs);
    if (answer.scarce.length > 0) book.scarce();
    for (const denied of answer.denied) book.denied(denied);
    book.settled();
  }

  /** A message that arrives, and whose answer does. */
  talk(client: Client, wants: LeaseWant[] = [], requestId?: string): void {
    const sent = this.say(client, wants, requestId === undefined ? {} : { requestId });
    this.server.ask(client.name, sent.message, false, (answer) => this.hear(sent, answer));
  }

  check(): void {
    let setAside = 0;
    const running = new Map<Lease, number>();
    for (const { holds, spent } of this.clients) {
      setAside += spent;
      for (const { lease, nanoUsd } of holds) {
        setAside += nanoUsd;
        running.set(lease, (running.get(lease) ?? 0) + nanoUsd);
      }
    }
    const { limitNanoUsd, spentNanoUsd, reservedNanoUsd, indeterminateNanoUsd } = this.server.pot;
    const counted = spentNanoUsd + reservedNanoUsd + indeterminateNanoUsd;
    expect(counted).toBeLessThanOrEqual(limitNanoUsd);
    expect(setAside).toBeLessThanOrEqual(counted);
    for (const lease of new Set([...this.#seen.keys(), ...running.keys()])) {
      const { granted, spent, released, inFlight } = lease;
      const before = this.#seen.get(lease) ?? { granted: 0, spent: 0, released: 0 };
      expect(inFlight).toBe(running.get(lease) ?? 0);
      expect(lease.idle).toBeGreaterThanOrEqual(0);
      expect(granted).toBeGreaterThanOrEqual(before.granted);
      expect(spent).toBeGreaterThanOrEqual(before.spent);
      expect(released).toBeGreaterThanOrEqual(before.released);
      this.#seen.set(lease, { granted, spent, released });
    }
  }

  /** Every call ends, everybody leaves, what was under way is lost and asked after, records arrive. */
  async rest(): Promise<void> {
    for (const { turns } of this.clients) for (const turn of turns) turn.leave({ kind: "timeUp" });
    await Promise.resolve();
    await Promise.resolve();
    for (const client of this.clients) {
      for (const hold of client.holds.splice(0)) this.#settle(client, hold, Math.floor(hold.nanoUsd / 2));
    }
    for (const { cut } of this.parked) cut();
    for (const { leaseId, nanoUsd } of this.records) this.server.settle(leaseId, nanoUsd);
    for (const client of this.clients)
      for (const [requestId, wants] of client.asked) this.talk(client, wants, requestId);
    this.pass(UNUSED_MS);
    for (const client of this.clients) this.talk(client);
    this.check();
  }
}

function picked<T>(from: T[], at: number): T | undefined {
  return from.splice(at % Math.max(1, from.length), 1)[0];
}

it("sets nothing aside that was not granted, lets no sum fall, and gives all back at rest, whatever becomes of messages", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120, size: "max" }), async (steps) => {
      const world = new World();
      for (const each of steps) await world.take(each);
      await world.rest();
      const spentNanoUsd = world.clients.reduce((sum, { spent }) => sum + spent, 0);
      expect(world.server.pot).toEqual({
        limitNanoUsd: LIMIT,
        spentNanoUsd,
        reservedNanoUsd: 0,
        indeterminateNanoUsd: 0,
      });
    }),
    { numRuns: RUNS },
  );
});

it("asks nothing ahead for a call that runs for long alone: what is idle went back, and would again", () => {
  const world = new World();
  const [client] = world.clients;
  if (client === undefined) throw new Error("no client");
  const { book } = client;
  expect(book.take(100).kind).toBe("wait");
  const turn = book.wait(100, world.nowMs);
  world.talk(client, book.want === null ? [] : [book.want]);
  turn.leave({ kind: "timeUp" });
  expect(book.wantAhead?.nanoUsd).toBeGreaterThan(0);
  world.pass(UNUSED_MS);
  world.talk(client);
  expect(book.idleNanoUsd).toBe(0);
  expect(book.wantAhead).toBeNull();
  expect(book.hasToSay).toBe(false);
});

it("begins nothing from a lease that is over, though an answer that was sent before comes after", () => {
  const book = new LeaseBook(
    { budgetId: BUDGET },
    () => 0,
    () => undefined,
  );
  const granted = { leaseId: "lease", budgetId: BUDGET, grantedNanoUsd: 100, ttlMs: 30_000 };
  book.granted(granted, 0);
  expect(book.idleNanoUsd).toBe(100);
  book.over("lease");
  book.granted(granted, 0);
  expect(book.take(10).kind).toBe("wait");
});
