/** The arithmetic of leases: a model of a budget, its servers and its clients, taken through anything that may happen. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  freeNanoUsd,
  heard,
  heldNanoUsd,
  idleNanoUsd,
  type LeaseSums,
  MAX_OVERTAKEN,
  type Pot,
  restNanoUsd,
  type Said,
  serve,
  type Want,
} from "../../src/domain/lease.ts";

const LIMIT = 10_000;
/** All who wait have been served by then, one after the other. */
const MAX_TURNS = 1_000;

const pot = (fields: Partial<Pot> = {}): Pot => ({
  limitNanoUsd: LIMIT,
  spentNanoUsd: 0,
  reservedNanoUsd: 0,
  indeterminateNanoUsd: 0,
  ...fields,
});
const want = (id: string, atLeastNanoUsd: number, fields: Partial<Want> = {}): Want => ({
  id,
  sinceMs: 0,
  atLeastNanoUsd,
  overtaken: 0,
  place: "here",
  nanoUsd: atLeastNanoUsd,
  callNanoUsd: atLeastNanoUsd,
  ...fields,
});

const amounts = fc.integer({ min: 1, max: 4_000 });
const queues = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 4 }),
    sinceMs: fc.nat(50),
    atLeastNanoUsd: amounts,
    overtaken: fc.nat(MAX_OVERTAKEN),
    place: fc.constantFrom("here" as const, "elsewhere" as const, "gap" as const),
    more: fc.nat(5_000),
    idle: fc.nat(500),
  }),
  { selector: ({ id }) => id, maxLength: 12 },
);

describe("a queue that is served", () => {
  it("is granted no more than is free, whatever waits", () => {
    fc.assert(
      fc.property(
        queues,
        fc.record({
          spentNanoUsd: fc.nat(12_000),
          reservedNanoUsd: fc.nat(12_000),
          indeterminateNanoUsd: fc.nat(3_000),
        }),
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        (all, figures, holders, scarce) => {
          const now = pot(figures);
          const queue = all.map(({ more, idle, ...one }) =>
            want(one.id, one.atLeastNanoUsd, {
              ...one,
              nanoUsd: one.atLeastNanoUsd + more,
              callNanoUsd: one.atLeastNanoUsd + idle,
            }),
          );
          const { granted, refused } = serve(now, queue, { holders, scarce });
          const sum = [...granted.values()].reduce((total, nanoUsd) => total + nanoUsd, 0);
          expect(sum).toBeLessThanOrEqual(Math.max(0, freeNanoUsd(now)));
          for (const [id, nanoUsd] of granted) {
            const one = queue.find((each) => each.id === id);
            expect(one?.place).toBe("here");
            expect(nanoUsd).toBeGreaterThanOrEqual(one?.atLeastNanoUsd ?? Infinity);
          }
          for (const [id, because] of refused) {
            const one = queue.find((each) => each.id === id);
            if (because === "spent") expect(restNanoUsd(now)).toBeLessThanOrEqual(0);
            else expect(one?.callNanoUsd).toBeGreaterThan(restNanoUsd(now));
          }
        },
      ),
    );
  });

  it("lets the oldest be overtaken five times, then nobody until it has its turn", () => {
    let free = 1_000;
    let old = want("old", 5_000, { sinceMs: 1 });
    const passed: string[] = [];
    for (let n = 0; n < 20; n += 1) {
      const young = want(`young-${n}`, 100, { sinceMs: 2 + n });
      const served = serve(pot({ reservedNanoUsd: LIMIT - free }), [young, old], { holders: 1, scarce: true });
      if (served.granted.has(young.id)) passed.push(young.id);
      free -= [...served.granted.values()].reduce((sum, nanoUsd) => sum + nanoUsd, 0);
      old = { ...old, overtaken: served.overtaken.get("old") ?? old.overtaken };
    }
    expect(passed).toHaveLength(MAX_OVERTAKEN);
    expect(serve(pot({ reservedNanoUsd: LIMIT - 5_000 }), [old], { holders: 1, scarce: true }).granted).toEqual(
      new Map([["old", 5_000]]),
    );
  });

  it("starves nobody: the oldest has its turn when those that hold have ended and five have passed it, whatever comes after", () => {
    const size = fc.integer({ min: 1, max: LIMIT });
    fc.assert(
      fc.property(fc.array(size, { maxLength: 8 }), fc.array(size, { minLength: 1, maxLength: 40 }), (first, later) => {
        let free = LIMIT;
        // Each of those that run ends after the one before it.
        const running: number[] = [];
        let queue = first.map((nanoUsd, n) => want(`first-${n}`, nanoUsd, { sinceMs: n }));
        let waited = { id: "", turns: 0, most: 0 };
        for (let turn = 0; turn < later.length + MAX_TURNS && (queue.length > 0 || turn < later.length); turn += 1) {
          const nanoUsd = later[turn];
          if (nanoUsd !== undefined) queue.push(want(`later-${turn}`, nanoUsd, { sinceMs: 100 + turn }));
          const served = serve(pot({ reservedNanoUsd: LIMIT - free }), queue, { holders: 4, scarce: true });
          for (const granted of served.granted.values()) running.push(granted);
          queue = queue
            .filter(({ id }) => !served.granted.has(id))
            .map((one) => ({ ...one, overtaken: served.overtaken.get(one.id) ?? one.overtaken }));
          free = LIMIT - running.reduce((sum, one) => sum + one, 0);
          expect(free).toBeGreaterThanOrEqual(0);
          const [oldest] = queue;
          if (oldest !== undefined && oldest.id !== waited.id) {
            waited = { id: oldest.id, turns: 0, most: running.length + MAX_OVERTAKEN };
          }
          waited.turns += 1;
          if (oldest !== undefined) expect(waited.turns).toBeLessThanOrEqual(waited.most + 1);
          free += running.shift() ?? 0;
        }
        expect(queue).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("leaves what fits one that waits elsewhere, and says so", () => {
    const queue = [want("theirs", 900, { place: "elsewhere" }), want("ours", 200, { sinceMs: 5 })];
    const served = serve(pot({ reservedNanoUsd: LIMIT - 1_000 }), queue, { holders: 2, scarce: true });
    expect(served).toMatchObject({ granted: new Map(), elsewhere: true, waiting: true });
  });

  it("gives a slice for more than one call only while nobody waits, and never a large share to one", () => {
    const asks = want("a", 100, { nanoUsd: 9_000 });
    expect(serve(pot(), [asks], { holders: 5, scarce: false }).granted.get("a")).toBe(LIMIT / (4 * 5));
    expect(serve(pot(), [asks], { holders: 5, scarce: true }).granted.get("a")).toBe(100);
  });
});

/** A client that keeps its books, and may say nothing, or say it late or twice. */
interface Client {
  /** The window of its lease, by number. */
  window: number;
  lease: LeaseSums;
  state: "open" | "indeterminate" | "ended";
  /** Cost that the provider has billed and that nobody will report. */
  lost: number;
  /** What it knows itself. */
  own: Said & { granted: number };
  running: number[];
  /** Messages that are under way. */
  mail: Said[];
  /** Records that are under way. */
  records: number[];
  alive: boolean;
}

type Step = { who: number; amount: number; act: (typeof ACTS)[number] };
const ACTS = [
  "grant",
  "start",
  "end",
  "giveBack",
  "say",
  "deliver",
  "deliverOld",
  "deliverTwice",
  "report",
  "die",
  "expire",
  "lie",
  "reset",
  "giveUp",
] as const;
/** Grants until nothing is left, or nothing is at stake. */
const acts = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...ACTS) },
  { weight: 1, arbitrary: fc.constant("grant" as const) },
);
const steps = fc.array(fc.record({ who: fc.nat(11), amount: fc.integer({ min: 1, max: 5_000 }), act: acts }), {
  minLength: 1,
  maxLength: 160,
});

/** So many leases of each window. */
const CLIENTS = 4;

class World {
  /** By window, of the calls that were set aside in it; and what the provider bills of them. */
  readonly spent = [0];
  readonly bill = [0];
  /** By window, what calls cost beyond what was set aside by then: of clients that gave it back while they ran. */
  readonly beyond: number[] = [];
  /** The newest last: a window that ends leaves its leases to be settled. */
  readonly clients: Client[] = Array.from({ length: CLIENTS }, () => newClient(0));

  get window(): number {
    return this.spent.length - 1;
  }

  get windows(): number[] {
    return [...this.spent.keys()];
  }

  pot(window = this.window): Pot {
    const own = this.clients.filter((one) => one.window === window);
    const sum = (state: Client["state"]) =>
      own.filter((one) => one.state === state).reduce((total, { lease }) => total + heldNanoUsd(lease), 0);
    return pot({
      spentNanoUsd: this.spent[window] ?? 0,
      reservedNanoUsd: sum("open"),
      indeterminateNanoUsd: sum("indeterminate"),
    });
  }

  take({ who, amount, act }: Step): void {
    if (act === "reset") {
      this.spent.push(0);
      this.bill.push(0);
      this.clients.push(...Array.from({ length: CLIENTS }, () => newClient(this.window)));
      return;
    }
    // Those of the window of now most of the time.
    const client = this.clients.at(-1 - (who % this.clients.length));
    if (client === undefined) return;
    const { window } = client;
    const isOver = window < this.window;
    const { lease, own } = client;
    const idle = own.granted - own.spentNanoUsd - own.releasedNanoUsd - own.inFlightNanoUsd;
    switch (act) {
      case "grant": {
        if (client.state !== "open" || !client.alive || isOver) return;
        const { granted } = serve(this.pot(), [want("it", amount)], { holders: 4, scarce: true });
        const nanoUsd = granted.get("it") ?? 0;
        client.lease = { ...lease, grantedNanoUsd: lease.grantedNanoUsd + nanoUsd };
        own.granted += nanoUsd;
        return;
      }
      case "start":
        // A client knows when its window ends, and begins nothing from a lease of before.
        if (!client.alive || client.state !== "open" || isOver || amount > idle) return;
        client.running.push(amount);
        own.inFlightNanoUsd += amount;
        return;
      case "end": {
        const worst = client.running.shift();
        if (worst === undefined) return;
        const cost = amount % (worst + 1);
        this.bill[window] = (this.bill[window] ?? 0) + cost;
        if (!client.alive) {
          client.lost += cost;
          return;
        }
        own.inFlightNanoUsd -= worst;
        own.spentNanoUsd += cost;
        client.records.push(cost);
        return;
      }
      case "giveBack":
        if (client.alive) own.releasedNanoUsd += Math.min(idle, amount);
        return;
      case "say":
        if (client.alive) client.mail.push({ ...own });
        return;
      case "deliver": {
        const said = client.mail.shift();
        if (said !== undefined) client.lease = heard(lease, said);
        return;
      }
      case "deliverOld": {
        const said = client.mail.pop();
        if (said !== undefined) client.lease = heard(lease, said);
        return;
      }
      case "deliverTwice": {
        const [said] = client.mail;
        if (said !== undefined) client.lease = heard(heard(lease, said), said);
        return;
      }
      case "report": {
        const cost = client.records.shift();
        if (cost === undefined) return;
        this.spent[window] = (this.spent[window] ?? 0) + cost;
        this.beyond[window] = (this.beyond[window] ?? 0) + Math.max(0, cost - heldNanoUsd(lease));
        client.lease = { ...lease, settledNanoUsd: lease.settledNanoUsd + Math.min(cost, heldNanoUsd(lease)) };
        return;
      }
      case "die":
        client.alive = false;
        client.lost += client.records.splice(0).reduce((sum, cost) => sum + cost, 0);
        return;
      case "expire":
        if (client.state === "open") client.state = "indeterminate";
        return;
      case "giveUp": {
        // A person returns what a silent client held, who knows that it costs nothing any more.
        const isFree = client.lost === 0 && client.running.length === 0 && client.records.length === 0;
        if (client.state !== "indeterminate" || !isFree) return;
        client.state = "ended";
        client.lease = { ...lease, releasedNanoUsd: lease.grantedNanoUsd - lease.settledNanoUsd };
        return;
      }
      case "lie":
        // Gives back more than it has: what it said of its calls before stands.
        client.lease = heard(lease, { ...lease, releasedNanoUsd: lease.releasedNanoUsd + 50_000 });
        return;
    }
  }

  /** Everything that is under way arrives, and clients that live give all back. */
  settle(): void {
    for (const [index, client] of this.clients.entries()) {
      if (!client.alive) continue;
      const who = this.clients.length - 1 - index;
      while (client.running.length > 0) this.take({ who, amount: 7, act: "end" });
      while (client.records.length > 0) this.take({ who, amount: 1, act: "report" });
      const { own } = client;
      own.releasedNanoUsd = own.granted - own.spentNanoUsd;
      client.lease = heard(client.lease, { ...own });
    }
  }
}

function newClient(window: number): Client {
  return {
    window,
    lost: 0,
    lease: { grantedNanoUsd: 0, releasedNanoUsd: 0, settledNanoUsd: 0, spentNanoUsd: 0, inFlightNanoUsd: 0 },
    state: "open",
    own: { granted: 0, spentNanoUsd: 0, releasedNanoUsd: 0, inFlightNanoUsd: 0 },
    running: [],
    mail: [],
    records: [],
    alive: true,
  };
}

describe("any interleaving of grants, calls, reports, repeats, crashes, expiries, returns and ends of windows", () => {
  it("keeps spent, reserved and indeterminate within the limit, and nothing below zero", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const world = new World();
        for (const step of all) {
          world.take(step);
          const counted = world.windows.map((window) => {
            const { spentNanoUsd, reservedNanoUsd, indeterminateNanoUsd } = world.pot(window);
            return spentNanoUsd + reservedNanoUsd + indeterminateNanoUsd - (world.beyond[window] ?? 0);
          });
          expect(Math.max(...counted)).toBeLessThanOrEqual(LIMIT);
          const least = world.clients.map(({ lease }) => Math.min(heldNanoUsd(lease), idleNanoUsd(lease)));
          expect(Math.min(...least)).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 400 },
    );
  });

  it("never bills beyond the limit: what a client can still spend is set aside, whatever is lost on the way", () => {
    const honest = steps.map((all) => all.filter(({ act }) => act !== "lie"));
    fc.assert(
      fc.property(honest, (all) => {
        const world = new World();
        for (const step of all) world.take(step);
        for (const window of world.windows) {
          const running = world.clients
            .filter((client) => client.window === window)
            .flatMap((client) => client.running);
          const most = running.reduce((sum, worst) => sum + worst, world.bill[window] ?? 0);
          expect(most).toBeLessThanOrEqual(LIMIT);
        }
        expect(world.beyond.every((nanoUsd) => nanoUsd === 0)).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  it("holds nothing at rest of clients that live, and has counted what was billed to the nano-USD", () => {
    const living = steps.map((all) => all.filter(({ act }) => act !== "die" && act !== "lie"));
    fc.assert(
      fc.property(living, (all) => {
        const world = new World();
        for (const step of all) world.take(step);
        world.settle();
        for (const window of world.windows) {
          expect(world.pot(window)).toMatchObject({ reservedNanoUsd: 0, indeterminateNanoUsd: 0 });
        }
        expect(world.spent).toEqual(world.bill);
      }),
      { numRuns: 400 },
    );
  });
});
