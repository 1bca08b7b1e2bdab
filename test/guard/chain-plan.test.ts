/** "Never upgrade", for every chain, level, block list and requested model. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planModels } from "../../sdk-client/src/chain-plan.ts";
import { canonicalModel } from "../../sdk-client/src/model-id.ts";
import { HAIKU, OPUS, SONNET } from "../support/guard-snapshots.ts";

const NAMES = [OPUS, SONNET, HAIKU, "claude-opus-4-1", "claude-sonnet-4-5", "claude-3-5-haiku"];
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
  blocked: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 4 }),
});

function plan(given: { requested: string; steps: { model: string }[]; level: number; blocked: string[] }): string[] {
  const blocked = new Set(given.blocked.map(canonicalModel));
  const choices = planModels({ ...given, isBlocked: (id) => blocked.has(canonicalModel(id)) });
  return choices.map((choice) => choice.model);
}

describe("planModels", () => {
  it("never plans a step before the level or the requested model, a blocked model, or a model twice", () => {
    fc.assert(
      fc.property(situation, (given) => {
        const chain = given.steps.map((step) => canonicalModel(step.model));
        const position = chain.indexOf(canonicalModel(given.requested));
        const planned = plan(given).map(canonicalModel);
        expect(new Set(planned).size).toBe(planned.length);
        for (const id of planned) {
          expect(given.blocked).not.toContain(id);
          const isLeftAlone = position < 0 && id === canonicalModel(given.requested);
          if (isLeftAlone) expect(given.level === 0 || chain.length === 0).toBe(true);
          else expect(chain.indexOf(id)).toBeGreaterThanOrEqual(Math.max(position, given.level));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("plans in the order of the chain, and leaves out nothing that may be used", () => {
    fc.assert(
      fc.property(situation, (given) => {
        const chain = given.steps.map((step) => canonicalModel(step.model));
        const position = chain.indexOf(canonicalModel(given.requested));
        fc.pre(position >= 0);
        const usable = chain.filter(
          (id, at) => chain.indexOf(id) === at && at >= Math.max(position, given.level) && !given.blocked.includes(id),
        );
        expect(plan(given).map(canonicalModel)).toEqual(usable);
      }),
      { numRuns: 2_000 },
    );
  });

  const steps = [{ model: OPUS }, { model: SONNET }, { model: HAIKU }];

  it("keeps the request's own spelling of a model it does not replace", () => {
    expect(plan({ requested: `${OPUS}-20251001`, steps, level: 0, blocked: [] })).toEqual([
      `${OPUS}-20251001`,
      SONNET,
      HAIKU,
    ]);
  });

  it("leaves a model outside the chain alone at level 0, with no next model", () => {
    expect(plan({ requested: "claude-2", steps, level: 0, blocked: [] })).toEqual(["claude-2"]);
    expect(plan({ requested: "claude-2", steps: [], level: 3, blocked: [] })).toEqual(["claude-2"]);
  });

  it("replaces a model outside the chain above level 0, or when it is blocked", () => {
    expect(plan({ requested: "claude-2", steps, level: 1, blocked: [] })).toEqual([SONNET, HAIKU]);
    expect(plan({ requested: "claude-2", steps, level: 0, blocked: ["claude-2", OPUS] })).toEqual([SONNET, HAIKU]);
  });

  it("has no model when the level is past the chain or all the rest is blocked", () => {
    expect(plan({ requested: OPUS, steps, level: 3, blocked: [] })).toEqual([]);
    expect(plan({ requested: HAIKU, steps, level: 0, blocked: [HAIKU] })).toEqual([]);
    expect(plan({ requested: "claude-2", steps: [], level: 0, blocked: ["claude-2"] })).toEqual([]);
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
    ["another-vendor-2", "another-vendor-2"],
  ])("reads %s as %s", (id, canonical) => {
    expect(canonicalModel(id)).toBe(canonical);
    expect(canonicalModel(canonical)).toBe(canonical);
  });
});
