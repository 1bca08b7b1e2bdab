/** Whoever tells what a flag comes to tells the same: row, snapshot, every client and the last-known page, by the vectors. */
import { readFileSync } from "node:fs";
import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { planModels } from "../../sdk-client/src/evaluate/chain-plan.ts";
import { compile } from "../../sdk-client/src/evaluate/compile.ts";
import { evaluate } from "../../sdk-client/src/evaluate/evaluate.ts";
import { parseLocalKill } from "../../sdk-client/src/evaluate/local-override.ts";
import { modelTable, withPrices } from "../../sdk-client/src/evaluate/model-table.ts";
import { priceTable } from "../../sdk-client/src/pricing/price-table.ts";
import { parseSnapshot } from "../../sdk-client/src/wire/parse-snapshot.ts";
import type { DecisionReason, EvaluationContext, OffCause, SwitchState } from "../../sdk-client/src/wire/protocol.ts";
import { stateByItself } from "../../src/domain/effective.ts";
import type { StoredFlag, Surroundings } from "../../src/domain/flag.ts";
import type { TripInForce } from "../../src/domain/in-force.ts";
import { compileSnapshot } from "../../src/domain/snapshot.ts";
import { flagResource } from "../../src/services/flags/resource.ts";
import { LastKnown } from "../../src/web/board/last-known.tsx";
import { storedFlag } from "../support/stored-flag.ts";

interface Case {
  name: string;
  flag?: {
    state?: SwitchState;
    cause?: OffCause;
    ramp?: number;
    level?: number;
    levelModel?: string;
    chain?: string | null;
    chainOnly?: boolean;
  };
  trips?: { action: "kill" | "downgrade"; level?: number; model?: string }[];
  master?: SwitchState;
  blocked?: string[];
  aliases?: Record<string, string>;
  kill?: string;
  context?: EvaluationContext;
  expect: {
    state: "off" | "downgraded" | "ramping" | "on";
    reason: DecisionReason;
    level: number;
    step?: number;
    models?: string[];
    decision?: DecisionReason;
  };
  sends?: Record<string, string[]>;
}

interface Vectors {
  states: { chains: Record<string, string[]>; cases: Case[] };
}

const { states }: Vectors = JSON.parse(readFileSync(new URL("../vectors/evaluate.json", import.meta.url), "utf8"));
const chains = Object.entries(states.chains).map(([name, models]) => ({
  name,
  steps: models.map((model) => ({ model })),
}));
const START = new Date("2026-11-21T00:00:00Z");

const flagOf = ({ flag = {} }: Case): StoredFlag =>
  storedFlag(START, { chain: "main", levelSince: flag.level === undefined ? null : START, ...flag });

function tripsOf({ trips = [] }: Case): TripInForce[] {
  return trips.map(({ action, level = null, model = null }, index) => ({
    id: `trip-${index}`,
    flag: "chat",
    budgetId: "b1",
    budgetName: "Daily",
    atPercent: 100,
    action,
    level,
    model,
    since: START,
    until: null,
  }));
}

function rowOf(given: Case, master: SwitchState) {
  const { blocked = [], aliases = {} } = given;
  const around: Surroundings = {
    master: { state: master, by: null, reason: null, since: START, until: null },
    chains: new Map(chains.map(({ name, steps }) => [name, steps])),
    models: modelTable({ blocked, aliases }),
    blocks: blocked.map((model) => ({ model, by: "ann", reason: null, since: START, until: null })),
    trips: tripsOf(given),
    overridden: [],
    over: [],
  };
  return flagResource(flagOf(given), around, undefined);
}

function snapshotOf(given: Case) {
  const snapshot = compileSnapshot({
    environment: "production",
    revision: "a.1",
    committedAtMs: START.getTime(),
    master: given.master ?? "on",
    flags: [flagOf(given)],
    chains,
    blockedModels: given.blocked ?? [],
    breakers: [],
    trips: tripsOf(given),
    priceTable: priceTable().table,
    pricedModels: [],
    aliases: given.aliases ?? {},
    budgets: [],
  });
  // As it travels.
  const parsed = parseSnapshot(JSON.parse(JSON.stringify(snapshot)));
  if (!parsed.ok) throw new Error(parsed.problem);
  expect(parsed.warnings).toEqual([]);
  return parsed.snapshot;
}

const WORDS = { off: "Off", downgraded: "Downgraded", ramping: "Ramping", on: "On" } as const;

describe.each(states.cases)("$name", (given) => {
  const { expect: expected, sends = {} } = given;
  const { state, reason, level, step = null, models = [], decision = reason } = expected;
  const isOn = state !== "off";

  test("in the row of the flag", () => {
    const { effective, standing, level: shown } = rowOf(given, given.master ?? "on");
    expect(effective).toMatchObject({ state, reason, step, models, model: models[0] ?? null });
    expect(standing.state).toBe(state);
    expect(shown.level).toBe(level);
  });

  test("by itself, as if the master switch were on", () => {
    const lit = rowOf(given, "on").effective.state;
    expect([stateByItself(rowOf(given, "on")), stateByItself(rowOf(given, "off"))]).toEqual([lit, lit]);
  });

  test("in the decision of a client", () => {
    const settings = { instance: "instance-1", localKill: parseLocalKill(given.kill) };
    const compiled = compile(snapshotOf(given));
    const decided = evaluate(compiled, "chat", given.context, settings, "on", 0);
    const enabled = isOn && decision === reason;
    expect(decided).toMatchObject({ enabled, reason: decision, level, models: enabled ? models : [] });
    expect(compiled.flags.get("chat")?.now.state).toBe(state);
  });

  test("on the last-known page", async () => {
    const snapshot = snapshotOf(given);
    const board = {
      kind: "last known",
      environmentKey: "production",
      revision: "a.1",
      nowMs: 0,
      ageSeconds: 9,
    } as const;
    const actor = { kind: "op", id: "t", name: "ann", environmentIds: null, role: "viewer" } as const;
    const app = new Hono().get("/", (c) => c.html(<LastKnown board={{ ...board, snapshot }} actor={actor} />));
    const page = await (await app.request("/")).text();
    const shown = /<p class="state">(.*)<\/p>\s*<\/article>/.exec(page)?.[1] ?? "";
    expect(shown).toContain(`>${WORDS[state]}</b>`);
    expect(shown.includes("by the master switch")).toBe(reason === "MASTER");
    expect(/<code>(.*?)<\/code>/.exec(shown)?.[1] ?? null).toBe(isOn ? (models[0] ?? null) : null);
    expect(shown.includes("% of users")).toBe(isOn && given.flag?.ramp !== undefined);
  });

  test.each(Object.entries(sends))("a request for %s", (requested, sent) => {
    const { flags, models: table } = compile(snapshotOf(given));
    const flag = flags.get("chat") ?? expect.fail("the flag is not in the snapshot");
    const { level: from, chainOnly } = flag.source;
    const nowMs = START.getTime();
    const plan = planModels({
      requested,
      steps: flag.steps,
      level: from,
      chainOnly,
      models: withPrices(table, () => priceTable().table),
      nowMs,
    });
    expect(plan.map(({ model }) => model)).toEqual(sent);
  });
});
