/** What a verb may record, as the compiler holds it: `npm run types` fails when a line that is marked here compiles. */
import { expect, it } from "vitest";
import { type AuditEntry, readTakenBack, targetKindOf } from "../../src/domain/audit.ts";
import { same } from "../../src/domain/same.ts";

const since = new Date(Date.UTC(2026, 0, 5));
const block = { reason: "outage", by: "maria", since, until: null };
const master = { masterReason: null, masterBy: null, masterSince: since, masterUntil: null };
const on = { ...master, masterState: "on" } as const;
const off = { ...master, masterState: "off" } as const;
const target = "production";

it("an action is recorded with its own kind of before and after, and with nothing else", () => {
  const killed: AuditEntry = { action: "master.killed", target, before: on, after: off };
  const blocked: AuditEntry = { action: "model.blocked", target: "claude-opus-5-5", before: null, after: block };
  const reason: AuditEntry = { action: "reason.given", about: "model.blocked", target: "claude-opus-5-5", reason: "x" };
  // @ts-expect-error The before of a kill is a switch, not a block.
  const otherBefore: AuditEntry = { action: "master.killed", target, before: block, after: off };
  // @ts-expect-error A kill has something before it.
  const noBefore: AuditEntry = { action: "master.killed", target, after: off };
  // @ts-expect-error What is new had nothing before.
  const tooMuch: AuditEntry = { action: "chain.created", target, before: { steps: [] }, after: { steps: [] } };
  // @ts-expect-error An edit of a chain takes no reason afterwards.
  const noReason: AuditEntry = { action: "reason.given", about: "chain.edited", target, reason: "x" };
  // @ts-expect-error There is no such action.
  const unknown: AuditEntry = { action: "master.kiled", target, before: on, after: off };
  expect([otherBefore, noBefore, tooMuch, noReason, unknown]).toHaveLength(5);
  expect([killed, blocked, reason].map(targetKindOf)).toEqual(["master", "model", "model"]);
});

it("what was recorded is read back from its JSON as it was", () => {
  const recorded = { action: "model.blocked", before: null, after: block } as const satisfies Omit<
    AuditEntry,
    "target"
  >;
  const after: unknown = JSON.parse(JSON.stringify(block));
  expect(readTakenBack({ ...recorded, after })).toEqual(recorded);
});

it.each([
  ["the order of fields", { a: 1, b: [since] }, { b: [new Date(since)], a: 1 }, true],
  ["a field without a value", { a: 1, b: undefined }, { a: 1 }, true],
  ["a field without a value on the other side", { a: 1 }, { b: undefined, a: 1 }, true],
  ["null and nothing", { a: null }, {}, false],
  ["nothing and null", {}, { a: null }, false],
  ["the order of a list", [1, 2], [2, 1], false],
  ["the length of a list", [1], [1, undefined], false],
  ["a list and an object", [], {}, false],
  ["another moment", since, new Date(1), false],
  ["a moment and its text", since, since.toISOString(), false],
])("two values are the same by what they say: %s", (_what, a, b, expected) => {
  expect(same(a, b)).toBe(expected);
});
