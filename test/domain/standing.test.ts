/** Since when a flag is in its state, and what decides, for any sequence of what people and budgets do. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { flagResource } from "../../src/services/flags/resource.ts";
import { settled, type StoredFlag, type Surroundings } from "../../src/domain/flag.ts";
import type { TripInForce } from "../../src/domain/in-force.ts";
import type { OverBudget } from "../../src/domain/over-limit.ts";
import type { BlockedModel } from "../../src/domain/standing.ts";
import { modelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import type { StandingResource } from "../../src/api/standing.ts";
import { storedFlag } from "../support/stored-flag.ts";

const MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"];
const START = new Date("2026-11-21T00:00:00Z");
const ON = { state: "on" as const, cause: null, reason: null, by: null, until: null, ramp: null };
const NO_LEVEL = {
  levelModel: null,
  level: null,
  levelReason: null,
  levelBy: null,
  levelSince: null,
  levelUntil: null,
};

interface World {
  flag: StoredFlag;
  around: Surroundings;
  /** Each change with the state after it. */
  history: { at: Date; state: string }[];
  revision: number;
}

function world(): World {
  const flag = storedFlag(START);
  const around: Surroundings = {
    master: { state: "on", by: null, reason: null, since: START, until: null },
    chains: new Map([["default", MODELS.map((model) => ({ model }))]]),
    models: modelTable({ blocked: [] }),
    blocks: [],
    trips: [],
    overridden: [],
    over: [],
  };
  const made = { flag, around, history: [], revision: 0 };
  change(made, START, () => undefined);
  return made;
}

type Deed = (world: World, at: Date) => void;

/** One change at a moment, settled as a transaction settles it. */
function change(its: World, at: Date, deed: Deed): void {
  its.revision += 1;
  deed(its, at);
  const next = settled(its.flag, its.around, at, its.revision);
  if (next !== null) its.flag = { ...its.flag, ...next };
  its.history.push({ at, state: standing(its).state });
}

function standing({ flag, around }: World): StandingResource {
  return flagResource(flag, around, undefined).standing;
}

const trip = (action: "kill" | "downgrade", at: Date): TripInForce => ({
  id: `${action} ${at.getTime()}`,
  flag: "chat",
  budgetId: "b1",
  budgetName: "Daily",
  atPercent: action === "kill" ? 100 : 80,
  action,
  level: action === "kill" ? null : 1,
  model: action === "kill" ? null : (MODELS[1] ?? null),
  since: at,
  until: null,
});

const overBudget = (at: Date, more: Partial<OverBudget> = {}): OverBudget => ({
  budgetId: "b1",
  budgetName: "Daily",
  flag: "chat",
  model: null,
  enforcement: "trip",
  ladder: [{ atPercent: 100, action: "kill" }],
  windowStartsAt: START,
  windowEndsAt: new Date("2026-11-22T00:00:00Z"),
  since: at,
  spentNanoUsd: 29,
  limitNanoUsd: 1,
  raiseBy: null,
  raiseEndedAt: null,
  ...more,
});

const blocks = (its: World, next: BlockedModel[]) => {
  its.around = { ...its.around, blocks: next, models: modelTable({ blocked: next.map(({ model }) => model) }) };
};
const block =
  (model: string, by: string): Deed =>
  (its, since) => {
    const others = its.around.blocks.filter((one) => one.model !== model);
    blocks(its, [...others, { model, by, reason: "outage", since, until: null }]);
  };
const unblock =
  (model: string): Deed =>
  (its) => {
    blocks(
      its,
      its.around.blocks.filter((one) => one.model !== model),
    );
  };
const kill =
  (by: string): Deed =>
  (its, since) => {
    if (its.flag.state === "on") its.flag = { ...its.flag, state: "off", cause: "manual", by, reason: "cost", since };
  };
const restore =
  (by: string): Deed =>
  (its, at) => {
    if (its.flag.state === "off") its.flag = { ...its.flag, ...ON, by, reason: "over", since: at };
    const overridden = its.around.trips.map(({ action, budgetId, budgetName, flag }) => ({
      flag,
      budgetId,
      budgetName,
      action,
      windowStartsAt: START,
      until: null,
      by,
      reason: "over",
      at,
    }));
    its.around = { ...its.around, trips: [], overridden: [...its.around.overridden, ...overridden] };
  };
const ramp =
  (percent: number | null): Deed =>
  (its) => {
    if (its.flag.state === "on") its.flag = { ...its.flag, ramp: percent };
  };
const tripped =
  (action: "kill" | "downgrade"): Deed =>
  (its, at) => {
    its.around = { ...its.around, trips: [...its.around.trips, trip(action, at)] };
  };
const tripsEnd: Deed = (its) => {
  its.around = { ...its.around, trips: [], overridden: [] };
};
const over: Deed = (its, at) => {
  if (its.around.over.length === 0) its.around = { ...its.around, over: [overBudget(at)] };
};
const overEnds: Deed = (its) => {
  its.around = { ...its.around, over: [] };
};
const level =
  (to: number, by: string): Deed =>
  (its, at) => {
    its.flag =
      to === 0
        ? { ...its.flag, ...NO_LEVEL }
        : { ...its.flag, level: to, levelModel: MODELS[to] ?? "", levelBy: by, levelReason: "slow", levelSince: at };
  };
const master =
  (state: "on" | "off", by: string): Deed =>
  (its, since) => {
    if (its.around.master.state === state) return;
    its.around = { ...its.around, master: { state, by, reason: "all", since, until: null } };
  };
const chainOf =
  (...models: string[]): Deed =>
  (its) => {
    its.around = { ...its.around, chains: new Map([["default", models.map((model) => ({ model }))]]) };
  };

const who = fc.constantFrom("maria", "bob");
const deed: fc.Arbitrary<Deed> = fc.oneof(
  who.map(kill),
  who.map(restore),
  fc.tuple(fc.constantFrom(...MODELS), who).map(([model, by]) => block(model, by)),
  fc.constantFrom(...MODELS).map(unblock),
  fc.constantFrom("kill" as const, "downgrade" as const).map(tripped),
  fc.constant(tripsEnd),
  fc.constant(over),
  fc.constant(overEnds),
  fc.tuple(fc.integer({ min: 0, max: 2 }), who).map(([to, by]) => level(to, by)),
  fc.tuple(fc.constantFrom("on" as const, "off" as const), who).map(([state, by]) => master(state, by)),
  fc.constantFrom(null, 10, 50).map(ramp),
  fc.constantFrom(chainOf(...MODELS), chainOf(...MODELS.slice(1))),
);
const deeds = fc.array(fc.tuple(deed, fc.integer({ min: 1, max: 3_600 })), { maxLength: 30 });

function played(steps: readonly [Deed, number][]): World {
  const its = world();
  let atMs = START.getTime();
  for (const [each, seconds] of steps) {
    atMs += seconds * 1_000;
    change(its, new Date(atMs), each);
  }
  return its;
}

/** When the run of equal states that lasts until now began. */
function unbroken(history: World["history"]): Date {
  const last = history.at(-1);
  let since = last?.at ?? START;
  for (const { at, state } of history.toReversed()) {
    if (state !== last?.state) break;
    since = at;
  }
  return since;
}

describe("the standing of a flag", () => {
  it("began with the unbroken time in its state, whatever causes came and went meanwhile", () => {
    fc.assert(
      fc.property(deeds, (steps) => {
        const its = played(steps);
        expect(standing(its).since).toBe(unbroken(its.history).toISOString());
      }),
      { numRuns: 500 },
    );
  });

  it("names a cause that is no older than the state only as the one that began it", () => {
    fc.assert(
      fc.property(deeds, (steps) => {
        const { since, heldSince, cause } = standing(played(steps));
        if (heldSince === null) expect(cause.at === null || cause.at <= since).toBe(true);
        else expect(heldSince > since && heldSince === cause.at).toBe(true);
      }),
    );
  });

  it("is decided by the order of authority: the master, a hand, a budget, no model", () => {
    fc.assert(
      fc.property(deeds, (steps) => {
        const its = played(steps);
        const { state, cause } = standing(its);
        if (its.around.master.state === "off") expect(cause.kind).toBe("MASTER");
        else if (its.flag.state === "off") expect(cause.kind).toBe("KILLED");
        else if (its.around.trips.some(({ action }) => action === "kill")) expect(cause.kind).toBe("TRIPPED");
        else if (state === "off") expect(cause.kind).toBe("NO_MODEL");
        else if (its.around.over.length > 0) expect(state).toBe("over");
      }),
    );
  });

  it("gives the revision that turned it off: a cause that only joins makes no new one", () => {
    fc.assert(
      fc.property(deeds, fc.constantFrom(kill("maria"), tripped("kill"), master("off", "bob")), (steps, joins) => {
        const its = played(steps);
        fc.pre(standing(its).state === "off");
        const before = standing(its).revision;
        change(its, new Date((its.history.at(-1)?.at.getTime() ?? 0) + 1_000), joins);
        expect(standing(its).revision).toBe(before);
      }),
    );
  });
});

const at = (time: string) => new Date(`2026-11-21T${time}:00Z`);
const iso = (time: string) => at(time).toISOString();

function story(...steps: [string, Deed][]): StandingResource {
  const its = world();
  for (const [time, each] of steps) change(its, at(time), each);
  return standing(its);
}

describe("since when, by whom and why", () => {
  it("a kill by hand over a trip: off since the trip, held by hand since the kill, also when the trip has ended", () => {
    const held = { state: "off", since: iso("01:00"), began: "TRIPPED", heldSince: iso("02:00") };
    const cause = { kind: "KILLED", by: "maria", reason: "cost" };
    expect(story(["01:00", tripped("kill")], ["02:00", kill("maria")])).toMatchObject({ ...held, cause });
    expect(story(["01:00", tripped("kill")], ["02:00", kill("maria")], ["03:00", tripsEnd])).toMatchObject({
      ...held,
      cause,
    });
  });

  it("a level by hand and then a block: downgraded since the level, held by the block since", () => {
    expect(story(["02:00", level(1, "maria")], ["03:00", block("claude-sonnet-5-5", "bob")])).toMatchObject({
      state: "downgraded",
      since: iso("02:00"),
      began: "LEVEL",
      heldSince: iso("03:00"),
      cause: { kind: "BLOCK", by: "bob", reason: "outage", models: ["claude-sonnet-5-5"] },
      revision: 3,
    });
  });

  it("a block of a model above the level does not decide", () => {
    expect(story(["02:00", level(1, "maria")], ["03:00", block("claude-opus-5-5", "bob")])).toMatchObject({
      since: iso("02:00"),
      heldSince: null,
      cause: { kind: "LEVEL", by: "maria" },
      revision: 2,
    });
  });

  it("an override and a later block: the block decides, and is told with its own time", () => {
    expect(
      story(["01:00", tripped("kill")], ["02:00", restore("maria")], ["03:00", block("claude-opus-5-5", "bob")]),
    ).toMatchObject({ state: "downgraded", since: iso("03:00"), cause: { kind: "BLOCK", by: "bob" } });
  });

  it("a restore over the limit: over since then, and who let it", () => {
    expect(
      story(
        ["01:00", (its, when) => [over, tripped("kill")].forEach((each) => each(its, when))],
        ["02:00", restore("maria")],
      ),
    ).toMatchObject({
      state: "over",
      since: iso("02:00"),
      heldSince: null,
      cause: { kind: "OVERRIDE", by: "maria", reason: "over", at: iso("02:00"), budget: { name: "Daily" } },
      over: { spentNanoUsd: 29, limitNanoUsd: 1 },
    });
  });

  it("what came back by itself is on since then, and not by whoever restored it last", () => {
    const back = story(
      ["00:10", kill("maria")],
      ["00:20", restore("maria")],
      ["01:00", tripped("kill")],
      ["02:00", tripsEnd],
    );
    expect(back).toMatchObject({ state: "on", since: iso("02:00"), cause: { kind: "ON", by: null, at: null } });
  });

  it("killed while everything was dark: off since the master switch, also after that is restored", () => {
    expect(
      story(["01:00", master("off", "bob")], ["02:00", kill("maria")], ["03:00", master("on", "bob")]),
    ).toMatchObject({
      state: "off",
      since: iso("01:00"),
      began: "MASTER",
      heldSince: iso("02:00"),
      cause: { kind: "KILLED", by: "maria" },
      revision: 2,
    });
  });
});

describe("why it is on over its limit", () => {
  it.each([
    ["TRACK", { enforcement: "track" as const }],
    ["NO_KILL", { ladder: [] }],
    ["NO_KILL", { ladder: [{ atPercent: 150, action: "kill" as const }] }],
    ["RAISE_ENDED", { raiseBy: "bob", raiseEndedAt: at("03:00") }],
  ])("%s", (kind, more) => {
    const its = world();
    change(its, at("03:00"), (one, when) => {
      one.around = { ...one.around, over: [overBudget(when, more)] };
    });
    expect(standing(its)).toMatchObject({ state: "over", since: iso("03:00"), cause: { kind } });
  });

  it("is not said of a budget of one model once the flag has been stepped past that model", () => {
    const its = world();
    change(its, at("03:00"), (one, when) => {
      one.around = { ...one.around, over: [overBudget(when, { model: "claude-opus-5-5" })] };
    });
    expect(standing(its).state).toBe("over");
    change(its, at("04:00"), level(1, "maria"));
    expect(standing(its).state).toBe("downgraded");
  });
});
