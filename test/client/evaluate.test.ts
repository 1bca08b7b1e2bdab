/** Decisions by the vectors in test/vectors/evaluate.json: the order of authority, rules and their operators, rollout. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compile } from "../../sdk-client/src/evaluate/compile.ts";
import { evaluate, type OnUnknown } from "../../sdk-client/src/evaluate/evaluate.ts";
import { parseLocalKill } from "../../sdk-client/src/evaluate/local-override.ts";
import { parseSnapshot } from "../../sdk-client/src/wire/parse-snapshot.ts";
import type { Decision, EvaluationContext, Snapshot } from "../../sdk-client/src/wire/protocol.ts";

interface Case {
  name: string;
  snapshot: string | null;
  flag: string;
  context?: EvaluationContext;
  settings?: { kill?: string; onUnknown?: OnUnknown; instance?: string };
  expect: Partial<Decision>;
}

interface Vectors {
  snapshots: Record<string, Snapshot>;
  cases: Case[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("../vectors/evaluate.json", import.meta.url), "utf8"));
const compiled = new Map(Object.entries(vectors.snapshots).map(([name, snapshot]) => [name, compile(read(snapshot))]));

function read(value: unknown): Snapshot {
  const parsed = parseSnapshot(value);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.snapshot;
}

describe("the evaluator decides as the vectors say", () => {
  test.each(vectors.cases)("$name", ({ snapshot, flag, context, settings = {}, expect: expected }) => {
    const known = snapshot === null ? null : (compiled.get(snapshot) ?? expect.fail(`no snapshot ${snapshot}`));
    const { kill, onUnknown = "on", instance = "instance-1" } = settings;
    const decision = evaluate(known, flag, context, { instance, localKill: parseLocalKill(kill) }, onUnknown, 42);
    expect(decision).toEqual({ flag, revision: known?.revision ?? null, staleMs: 42, ...expected });
  });
});
