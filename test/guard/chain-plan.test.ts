/** "Never upgrade", for every chain, level, block list and requested model. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planModels } from "../../sdk-client/src/evaluate/chain-plan.ts";
import { canonicalModel } from "../../sdk-client/src/pricing/model-id.ts";
import { modelTable } from "../../sdk-client/src/evaluate/model-table.ts";
import { PRICE_LIST } from "../../sdk-client/src/pricing/price-list.ts";
import { HAIKU, OPUS, SONNET } from "../support/guard-snapshots.ts";

/** `claude-2` has no price. */
const NAMES = [OPUS, SONNET, HAIKU, "claude-opus-4-1", "claude-sonnet-4-5", "claude-3-5-haiku", "claude-2"];
const NOW_MS = Date.UTC(2026, 10, 27);
const SPELLINGS = [
  (id: string) => id,
  (id: string) => `${id}-20251001`,
  (id: string) => `${id}@20251001`,
  (id: string) => `anthropic.${id}-20251001-v1:0`,
  (id: string) => `us.anthropic.${id}-v1:0`,
];

const model = fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...SPELLINGS)).map(([name, spell]) => spell(name));

const situation = fc.record({
  requested: model,
  steps: fc.array(
    model.map((id) => ({ model: id })),
    { maxLength: 6 },
  ),
  level: fc.nat({ max: 7 }),
  chainOnly: fc.boolean(),
  blocked: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 4 }),
});

const takenOut = fc.uniqueArray(
  fc.record({ model: fc.constantFrom(...NAMES), probeShare: fc.constantFrom(0, 0.1, 0.5) }),
  { maxLength: 5, selector: (breaker) => breaker.model },
);

interface Situation {
  requested: string;
  steps: { model: string }[];
  level: number;
  chainOnly?: boolean;
  blocked: string[];
  aliases?: Record<string, string>;
  breakers?: { model: string; probeShare: number }[];
  luck?: number;
}

function plan({ blocked, aliases, breakers, ...given }: Situation): string[] {
  const models = modelTable({ blocked, aliases, breakers });
  return planModels({ chainOnly: false, ...given, models, nowMs: NOW_MS }).map((choice) => choice.model);
}

/** USD per million tokens by the price list, told without the code under test: [output, input], dearest first. */
const RATES = new Map(
  PRICE_LIST.toSorted((a, b) => (a.validFrom < b.validFrom ? -1 : 1)).map((row) => [
    canonicalModel(row.model),
    [row.rates.output, row.rates.input] as const,
  ]),
);
function costsMore(a: string, b: string): boolean {
  const [left, right] = [RATES.get(canonicalModel(a)), RATES.get(canonicalModel(b))];
  if (left === undefined || right === undefined) return false;
  return left[0] > right[0] || (left[0] === right[0] && left[1] > right[1]);
}

/** The chain as an onlooker reads it: what each name is, where the request stands, what may be used now. */
function seen(given: Situation) {
  const chain = given.steps.map((step) => canonicalModel(step.model));
  const requested = canonicalModel(given.requested);
  const isUsable = (at: number): boolean =>
    at >= given.level && chain.indexOf(chain[at] ?? "") === at && !given.blocked.includes(chain[at] ?? "");
  return {
    chain,
    requested,
    position: chain.indexOf(requested),
    usable: chain.filter((_, at) => isUsable(at)),
    isUsable,
  };
}

describe("planModels", () => {
  it("never plans a step before the level or the requested model, a blocked model, or a model twice", () => {
    fc.assert(
      fc.property(situation, (given) => {
        const { chain, requested, position } = seen(given);
        const planned = plan(given).map(canonicalModel);
        expect(new Set(planned).size).toBe(planned.length);
        for (const id of planned) {
          expect(given.blocked).not.toContain(id);
          if (position < 0 && id === requested) continue;
          expect(chain.indexOf(id)).toBeGreaterThanOrEqual(Math.max(position, given.level));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("plans in the order of the chain, and leaves out nothing that may be used", () => {
    fc.assert(
      fc.property(situation, (given) => {
        const { chain, position, isUsable } = seen(given);
        fc.pre(position >= 0);
        const usable = chain.filter((_, at) => at >= position && isUsable(at));
        expect(plan(given).map(canonicalModel)).toEqual(usable);
      }),
      { numRuns: 2_000 },
    );
  });

  it("never sends a model outside the chain on to a dearer one, unless its flag is held to its chain", () => {
    fc.assert(
      fc.property(situation, (given) => {
        const { requested, position, usable } = seen(given);
        fc.pre(position < 0 && given.steps.length > 0);
        const planned = plan(given).map(canonicalModel);
        const dearer = planned.filter((id) => costsMore(id, requested));
        if (dearer.length === 0) return;
        // The one exception: the flag's owner chose it, and of what is usable nothing costs less.
        expect(given.chainOnly).toBe(true);
        expect(planned).toEqual(dearer.slice(0, 1));
        expect(usable.filter((id) => costsMore(dearer[0] ?? "", id))).toEqual([]);
      }),
      { numRuns: 5_000 },
    );
  });

  it("leaves a model outside the chain alone exactly when nothing is against it, or all steps are dearer", () => {
    fc.assert(
      fc.property(situation, (given) => {
        const { chain, requested, position, usable, isUsable } = seen(given);
        fc.pre(position < 0 && given.steps.length > 0);
        const planned = plan(given).map(canonicalModel);
        const isBlocked = given.blocked.includes(requested);
        const allDearer = usable.every((id) => costsMore(id, requested));
        const stays = usable.length > 0 && !isBlocked && !given.chainOnly && (isUsable(0) || allDearer);
        expect(planned[0] === requested).toBe(stays);
        if (usable.length === 0) expect(planned).toEqual([]);
        if (given.chainOnly) expect(planned).not.toContain(requested);
        // Whatever is not dearer may be fallen back on, in the order of the chain.
        const cheaper = usable.filter((id) => !costsMore(id, requested));
        if (cheaper.length > 0) expect(planned.filter((id) => chain.includes(id))).toEqual(cheaper);
      }),
      { numRuns: 5_000 },
    );
  });

  it("is never empty because of breakers, and names what they took out only as a probe or for want of another", () => {
    fc.assert(
      fc.property(situation, takenOut, fc.double({ min: 0, max: 1, noNaN: true }), (given, out, luck) => {
        const without = plan(given).map(canonicalModel);
        const planned = plan({ ...given, breakers: out, luck }).map(canonicalModel);
        expect(planned.length > 0).toBe(without.length > 0);
        for (const name of planned) expect(given.blocked).not.toContain(name);
        const isOut = (name: string): boolean =>
          out.some((breaker) => breaker.model === name && luck >= breaker.probeShare);
        const inUse = without.filter((name) => !isOut(name));
        const isOfChain = seen(given).position >= 0;
        // A chain whose first step is out stands at a later one: like a block, that moves models outside of it as well.
        const [first] = given.steps;
        const stands = isOfChain || first === undefined || !isOut(canonicalModel(first.model));
        if (stands && inUse.length === without.length && without.length > 0) expect(planned).toEqual(without);
        // A chain that has a step in use sends nothing else.
        if (isOfChain && inUse.length > 0) expect(planned).toEqual(inUse);
        if (isOfChain && inUse.length === 0) expect(planned.length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 3_000 },
    );
  });

  const steps = [{ model: OPUS }, { model: SONNET }, { model: HAIKU }];

  it("stays on the step that was taken out last when all of a chain are", () => {
    const out = [SONNET, HAIKU, OPUS].map((id) => ({ model: id, probeShare: 0 }));
    expect(plan({ requested: OPUS, steps, level: 0, blocked: [], breakers: out })).toEqual([OPUS]);
    expect(plan({ requested: SONNET, steps, level: 0, blocked: [], breakers: out })).toEqual([HAIKU]);
    expect(plan({ requested: OPUS, steps: [], level: 0, blocked: [], breakers: out })).toEqual([OPUS]);
  });

  it("keeps the request's own spelling of a model it does not replace", () => {
    expect(plan({ requested: `${OPUS}-20251001`, steps, level: 0, blocked: [] })).toEqual([
      `${OPUS}-20251001`,
      SONNET,
      HAIKU,
    ]);
  });

  it("has no model when the level is past the chain or all the rest is blocked", () => {
    expect(plan({ requested: OPUS, steps, level: 3, blocked: [] })).toEqual([]);
    expect(plan({ requested: HAIKU, steps, level: 0, blocked: [HAIKU] })).toEqual([]);
    expect(plan({ requested: "claude-2", steps, level: 3, blocked: [] })).toEqual([]);
    expect(plan({ requested: "claude-2", steps, level: 0, blocked: [OPUS, SONNET, HAIKU] })).toEqual([]);
    expect(plan({ requested: "claude-2", steps: [], level: 0, blocked: ["claude-2"] })).toEqual([]);
  });

  const PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3";

  it("sends a name that cannot be read only while no model is blocked", () => {
    const asked = { requested: PROFILE, steps, level: 0 };
    expect(plan({ ...asked, blocked: [] })[0]).toBe(PROFILE);
    expect(plan({ ...asked, blocked: ["claude-opus-4-1"] })).toEqual([]);
    expect(plan({ ...asked, steps: [], blocked: ["claude-opus-4-1"] })).toEqual([]);
  });

  it("takes a mapped name for the model behind it: its place in the chain, its blocks, its own spelling", () => {
    const aliases = { [PROFILE]: `${SONNET}-20260901` };
    const asked = { requested: PROFILE, steps, level: 0, aliases };
    expect(plan({ ...asked, blocked: [OPUS] })).toEqual([PROFILE, HAIKU]);
    expect(plan({ ...asked, blocked: [SONNET] })).toEqual([HAIKU]);
    expect(plan({ ...asked, requested: PROFILE.toUpperCase(), blocked: [SONNET] })).toEqual([HAIKU]);
  });
});

/** The rule in examples, for other implementations to be held to as well. */
interface PlanCase {
  name: string;
  requested: string;
  steps: string[];
  level?: number;
  chainOnly?: boolean;
  blocked?: string[];
  aliases?: Record<string, string>;
  expect: string[];
}

const vectors: { cases: PlanCase[] } = JSON.parse(
  readFileSync(new URL("../vectors/chain-plan.json", import.meta.url), "utf8"),
);

describe("the plan is as the vectors say", () => {
  it.each(vectors.cases)("$name", ({ steps, level = 0, blocked = [], expect: expected, name: _name, ...given }) => {
    expect(plan({ ...given, level, blocked, steps: steps.map((id) => ({ model: id })) })).toEqual(expected);
  });
});

describe("canonicalModel", () => {
  it.each([
    ["claude-haiku-4-5", "claude-haiku-4-5"],
    ["claude-haiku-4-5-20251001", "claude-haiku-4-5"],
    ["claude-haiku-4-5@20251001", "claude-haiku-4-5"],
    ["publishers/anthropic/models/claude-haiku-4-5@20251001", "claude-haiku-4-5"],
    ["anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"],
    ["us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"],
    ["us-gov.anthropic.claude-haiku-4-5-20251001-v1:0:200k", "claude-haiku-4-5"],
    ["global.anthropic.claude-opus-5-5-v1", "claude-opus-5-5"],
    ["claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet"],
    ["anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"],
    ["claude-3-5-sonnet-latest", "claude-3-5-sonnet"],
    ["claude-opus-4-1", "claude-opus-4-1"],
    ["anthropic/claude-opus-4.8", "claude-opus-4-8"],
    ["anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet"],
    ["claude-sonnet-4-5[1m]", "claude-sonnet-4-5"],
    ["claude-sonnet-4-5-20250929[1m]", "claude-sonnet-4-5"],
    ["another-vendor-2", "another-vendor-2"],
  ])("reads %s as %s", (id, canonical) => {
    expect(canonicalModel(id)).toBe(canonical);
    expect(canonicalModel(canonical)).toBe(canonical);
  });
});
