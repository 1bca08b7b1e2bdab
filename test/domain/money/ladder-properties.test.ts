/** What holds for any usage in any order, and for any sequence of spending, raises, edits and overrides. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { priceTable } from "../../../sdk-client/src/pricing/price-table.ts";
import { priceUsage } from "../../../sdk-client/src/pricing/price.ts";
import { NO_USAGE } from "../../../sdk-client/src/wire/usage-protocol.ts";
import {
  addNanoUsd,
  type Budget,
  effectiveLimitNanoUsd,
  type LadderStep,
  MAX_LIMIT_NANO_USD,
  MAX_STEP_PERCENT,
} from "../../../src/domain/budget.ts";
import {
  advance,
  type LadderChange,
  override,
  stepKey,
  stepsInForce,
  thresholdNanoUsd,
  type WindowState,
} from "../../../src/domain/ladder.ts";
import { budget, NOW_MS, raise, text, today, USD } from "./budgets.ts";

const FLAG = "support-chat";
const { table } = priceTable();

const anyStep: fc.Arbitrary<LadderStep> = fc.oneof(
  fc.record({
    atPercent: fc.integer({ min: 1, max: 200 }),
    action: fc.constantFrom("alert" as const, "downgrade" as const, "kill" as const),
  }),
  fc.record({
    atPercent: fc.integer({ min: 1, max: 200 }),
    action: fc.constant("downgrade" as const),
    level: fc.integer({ min: 1, max: 4 }),
  }),
);
const anyLadder = fc.array(anyStep, { maxLength: 8 });

function run(b: Budget, batches: readonly number[][]): { state: WindowState; changes: string[] } {
  let state = today();
  const changes: string[] = [];
  for (const batch of batches) {
    const result = advance(b, state, batch.reduce(addNanoUsd, 0), NOW_MS);
    state = result.state;
    changes.push(...result.changes.map(text));
  }
  return { state, changes };
}

describe("any order, duplication and batching of the same records", () => {
  const anyRecords = fc.uniqueArray(
    fc.record({
      id: fc.uuid(),
      model: fc.constantFrom("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-unheard-of"),
      input: fc.integer({ min: 0, max: 400_000 }),
      output: fc.integer({ min: 0, max: 60_000 }),
    }),
    { selector: (record) => record.id, minLength: 1, maxLength: 30 },
  );

  it("gives the same sum, the same acts and the same trips", () => {
    const scenario = fc.tuple(anyRecords, anyLadder, fc.integer({ min: 1, max: 40 }));
    fc.assert(
      fc.property(scenario, fc.infiniteStream(fc.nat()), ([records, ladder, limitUsd], random) => {
        const next = () => random.next().value ?? 0;
        const b = budget({ ladder, limitNanoUsd: limitUsd * USD });
        const costOf = (record: (typeof records)[number]) =>
          priceUsage(table, {
            model: record.model,
            atMs: NOW_MS,
            usage: { ...NO_USAGE, input: record.input, output: record.output },
          }).costNanoUsd;

        const straight = run(b, [records.map(costOf)]);
        // Reported twice here and there, shuffled, and cut into batches.
        const sent = [...records, ...records.filter(() => next() % 2 === 0)]
          .map((record) => ({ record, place: next() }))
          .toSorted((x, y) => x.place - y.place)
          .map(({ record }) => record);
        const seen = new Set<string>();
        const batches: number[][] = [[]];
        for (const record of sent) {
          if (next() % 3 === 0) batches.push([]);
          if (!seen.has(record.id)) batches.at(-1)?.push(costOf(record));
          seen.add(record.id);
        }
        const mixed = run(b, batches);

        expect(mixed.state.spentNanoUsd).toBe(straight.state.spentNanoUsd);
        expect(mixed.state.standing).toEqual(straight.state.standing);
        expect(mixed.changes).toEqual(straight.changes);
        expect(stepsInForce(b, mixed.state, FLAG, NOW_MS)).toEqual(stepsInForce(b, straight.state, FLAG, NOW_MS));
      }),
    );
  });
});

type Command =
  | { type: "spend"; nanoUsd: number }
  | { type: "limit"; usd: number }
  | { type: "raise"; usd: number; forMs: number }
  | { type: "wait"; ms: number }
  | { type: "edit"; ladder: LadderStep[] }
  | { type: "override" };

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ type: fc.constant("spend" as const), nanoUsd: fc.integer({ min: 0, max: 30 * USD }) }),
  fc.record({ type: fc.constant("limit" as const), usd: fc.constantFrom(20, 50, 100, 200) }),
  fc.record({
    type: fc.constant("raise" as const),
    usd: fc.constantFrom(10, 50, 100),
    forMs: fc.integer({ min: 1, max: 100 }),
  }),
  fc.record({ type: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ type: fc.constant("edit" as const), ladder: anyLadder }),
  fc.record({ type: fc.constant("override" as const) }),
);

interface Moment {
  b: Budget;
  before: WindowState;
  state: WindowState;
  changes: LadderChange[];
  nowMs: number;
  command: Command;
}

/** Replays commands and lets `check` look after each. */
function replay(ladder: LadderStep[], commands: readonly Command[], check: (moment: Moment) => void): void {
  let b = budget({ ladder });
  let state = today();
  let nowMs = NOW_MS;
  for (const command of commands) {
    const before = state;
    if (command.type === "limit") b = { ...b, limitNanoUsd: command.usd * USD };
    if (command.type === "raise") b = { ...b, raises: [...b.raises, raise(command.usd, nowMs, nowMs + command.forMs)] };
    if (command.type === "wait") nowMs += command.ms;
    if (command.type === "edit") b = { ...b, ladder: command.ladder };
    if (command.type === "override") state = override(state, FLAG);
    const result = advance(b, state, command.type === "spend" ? command.nanoUsd : 0, nowMs);
    state = result.state;
    check({ b, before, state, changes: result.changes, nowMs, command });
  }
}

const anyStory = fc.tuple(anyLadder, fc.array(anyCommand, { maxLength: 40 }));

describe("through any sequence of commands", () => {
  it("a step never acts twice in a window at one effective limit", () => {
    fc.assert(
      fc.property(anyStory, ([ladder, commands]) => {
        const acts = new Set<string>();
        replay(ladder, commands, ({ b, changes, nowMs }) => {
          for (const change of changes) {
            if (change.type !== "act") continue;
            const act = `${change.key} ${effectiveLimitNanoUsd(b, nowMs)}`;
            expect(acts).not.toContain(act);
            acts.add(act);
          }
        });
      }),
    );
  });

  it("exactly the crossed steps stand", () => {
    fc.assert(
      fc.property(anyStory, ([ladder, commands]) => {
        replay(ladder, commands, ({ b, state, nowMs }) => {
          const limit = effectiveLimitNanoUsd(b, nowMs);
          const crossed = b.ladder.filter((step) => state.spentNanoUsd >= thresholdNanoUsd(limit, step.atPercent));
          expect(new Set(state.standing)).toEqual(new Set(crossed.map(stepKey)));
        });
      }),
    );
  });

  it("the trips that stand follow from the changes: each begins with act or resume and ends once", () => {
    fc.assert(
      fc.property(anyStory, ([ladder, commands]) => {
        const trips = new Set<string>();
        replay(ladder, commands, ({ state, changes }) => {
          for (const change of changes) {
            if (change.key.startsWith("alert")) continue;
            if (change.type === "end") expect(trips.delete(change.key)).toBe(true);
            else expect(trips.has(change.key)).toBe(false);
            if (change.type !== "end") trips.add(change.key);
          }
          expect(trips).toEqual(new Set(state.standing.filter((key) => !key.startsWith("alert"))));
        });
      }),
    );
  });

  it("an override leaves nothing in force for its flag until something more is crossed", () => {
    fc.assert(
      fc.property(anyStory, ([ladder, commands]) => {
        replay(ladder, commands, ({ b, state, command, nowMs, changes }) => {
          if (command.type !== "override" || changes.length > 0) return;
          expect(stepsInForce(b, state, FLAG, nowMs)).toEqual([]);
        });
      }),
    );
  });

  it("asking again changes nothing", () => {
    fc.assert(
      fc.property(anyStory, ([ladder, commands]) => {
        replay(ladder, commands, ({ b, state, nowMs }) => {
          expect(advance(b, state, 0, nowMs)).toEqual({ state, changes: [] });
        });
      }),
    );
  });

  it("nothing in the state depends on more than JSON can carry", () => {
    fc.assert(
      fc.property(anyStory, ([ladder, commands]) => {
        replay(ladder, commands, ({ state }) => {
          expect(JSON.parse(JSON.stringify(state))).toEqual(state);
        });
      }),
    );
  });
});

describe("sums", () => {
  const anyAmount = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

  it("stay safe integers, and past the largest everything stays crossed", () => {
    fc.assert(
      fc.property(fc.array(anyAmount, { minLength: 1, maxLength: 20 }), (amounts) => {
        let state = today();
        for (const amount of amounts) state = advance(budget(), state, amount, NOW_MS).state;
        expect(Number.isSafeInteger(state.spentNanoUsd)).toBe(true);
        const exact = amounts.reduce((sum, amount) => sum + BigInt(amount), 0n);
        const most = BigInt(Number.MAX_SAFE_INTEGER);
        expect(BigInt(state.spentNanoUsd)).toBe(exact > most ? most : exact);
      }),
    );
  });

  it("meet a threshold exactly where the share is reached", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 * 10 ** 14 }), fc.integer({ min: 1, max: 1_000 }), (limit, percent) => {
        const at = thresholdNanoUsd(limit, percent);
        expect(BigInt(at) * 100n >= BigInt(limit) * BigInt(percent)).toBe(true);
        expect(BigInt(at - 1) * 100n < BigInt(limit) * BigInt(percent)).toBe(true);
      }),
    );
  });

  it("and thresholds meet at the largest safe integer, so that the highest step can always be crossed", () => {
    const b = budget({ limitNanoUsd: MAX_LIMIT_NANO_USD, ladder: [{ atPercent: MAX_STEP_PERCENT, action: "kill" }] });
    const spent = advance(b, today(), Number.MAX_SAFE_INTEGER, NOW_MS);
    expect(spent.changes.map(text)).toEqual(["act kill@1000"]);
  });
});
