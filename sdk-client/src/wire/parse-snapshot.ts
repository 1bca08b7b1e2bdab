/**
 * Reads a snapshot from JSON that came over the wire, from a cache or from the application. What decides whether a
 * feature runs (version, revision, master, each flag's state) must be right, or the whole snapshot is refused and the
 * state before it stays. Anything else that is malformed falls back to a neutral value and is named in `warnings`: one
 * odd field must not keep a kill from arriving. Unknown fields are ignored. Pure.
 */
import type { SubjectBudget } from "./verdict-protocol.ts";
import { isObject } from "./json.ts";
import { parseRevision } from "./revision.ts";
import { LIMIT_NAMES, LIMIT_SCOPES } from "./protocol.ts";
import type {
  CallLimits,
  ChainStep,
  Condition,
  FlagLimits,
  PricedModel,
  Rule,
  Snapshot,
  SnapshotBreaker,
  SnapshotBudget,
  SnapshotChain,
  SnapshotFlag,
  SwitchState,
} from "./protocol.ts";

export type ParsedSnapshot =
  | { readonly ok: true; readonly snapshot: Snapshot; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problem: string };

/** Warnings kept per snapshot; more add nothing. */
const MAX_WARNINGS = 20;
/** Price rows kept of a snapshot: more than any set of chains has models and dates. */
const MAX_PRICE_ROWS = 2_000;

/** Validates and normalises; never throws. */
export function parseSnapshot(value: unknown): ParsedSnapshot {
  const warnings: string[] = [];
  try {
    const snapshot = readSnapshot(value, (path, problem) => {
      if (warnings.length < MAX_WARNINGS) warnings.push(`${path}: ${problem}`);
    });
    return { ok: true, snapshot, warnings };
  } catch (error) {
    // Readers below report a refusal by throwing; a hostile bootstrap object may throw anything.
    return { ok: false, problem: error instanceof Error ? error.message : "cannot be read" };
  }
}

type Warn = (path: string, problem: string) => void;
type JsonObject = Readonly<Record<string, unknown>>;

function readSnapshot(value: unknown, warn: Warn): Snapshot {
  const body = object(value, "snapshot");
  if (body["version"] !== 1) throw new Error("version: expected 1");
  const revision = nonEmptyText(body["revision"], "revision");
  if (parseRevision(revision) === null) throw new Error("revision: expected <lineage>.<n>");
  const committedAtMs = body["committedAtMs"];
  return {
    version: 1,
    environment: nonEmptyText(body["environment"], "environment"),
    revision,
    committedAtMs: typeof committedAtMs === "number" ? committedAtMs : 0,
    master: { state: switchState(object(body["master"], "master")["state"], "master.state") },
    // fromEntries defines own properties, so that "__proto__" is a key like any other.
    flags: Object.fromEntries(
      Object.entries(object(body["flags"], "flags")).map(([key, flag]) => [key, readFlag(key, flag, warn)]),
    ),
    chains: readChains(body["chains"], warn),
    blockedModels: texts(body["blockedModels"], "blockedModels", warn),
    ...(body["breakers"] === undefined ? {} : { breakers: readBreakers(body["breakers"], warn) }),
    ...(body["prices"] === undefined ? {} : { prices: readPrices(body["prices"], warn) }),
    ...(body["aliases"] === undefined ? {} : { aliases: readAliases(body["aliases"], warn) }),
    ...(body["subjectBudgets"] === undefined
      ? {}
      : { subjectBudgets: items(body["subjectBudgets"], "subjectBudgets", warn).filter(isSubjectBudget) }),
    ...(body["budgets"] === undefined ? {} : { budgets: items(body["budgets"], "budgets", warn).filter(isBudget) }),
  };
}

/** What is not understood takes no model out. */
function readBreakers(value: unknown, warn: Warn): SnapshotBreaker[] {
  return items(value, "breakers", warn).flatMap((entry, index) => {
    const { model, probeShare } = isObject(entry) ? entry : NOTHING;
    if (isText(model) && model !== "" && typeof probeShare === "number") return [{ model, probeShare }];
    warn(`breakers.${index}`, "malformed");
    return [];
  });
}

const NOTHING: JsonObject = {};

function isSubjectBudget(value: unknown): value is SubjectBudget {
  return isObject(value) && isText(value["id"]) && isText(value["name"]);
}

/** A budget that is not understood is enforced by its ladder alone. */
function isBudget(value: unknown): value is SnapshotBudget {
  const { id, enforcement, reserveWaitMs, minTokens } = isObject(value) ? value : NOTHING;
  const isEnforced = enforcement === "reserve" || enforcement === "trip";
  return isText(id) && isEnforced && typeof reserveWaitMs === "number" && typeof minTokens === "number";
}

/** A mapping that is not understood is left out: its name counts as one that says nothing. */
function readAliases(value: unknown, warn: Warn): Record<string, string> {
  if (!isObject(value)) {
    warn("aliases", "expected an object");
    return {};
  }
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => {
      const isSound = isText(entry[1]) && entry[1] !== "";
      if (!isSound) warn(`aliases.${entry[0]}`, "expected a model id");
      return isSound;
    }),
  );
}

/** Whoever prices looks at the rest of a row. */
function readPrices(value: unknown, warn: Warn): PricedModel[] {
  const rows = items(value, "prices", warn);
  if (rows.length > MAX_PRICE_ROWS) warn("prices", `more than ${MAX_PRICE_ROWS} rows, the rest is left out`);
  return rows.slice(0, MAX_PRICE_ROWS).filter((row, index): row is PricedModel => {
    const { model, aliases = [], long } = isObject(row) ? row : NOTHING;
    const isNamed = isText(model) && model !== "" && Array.isArray(aliases) && aliases.every(isText);
    if (isNamed && (long === undefined || (isObject(long) && isLevel(long["abovePromptTokens"])))) return true;
    warn(`prices.${index}`, "malformed");
    return false;
  });
}

function readFlag(key: string, value: unknown, warn: Warn): SnapshotFlag {
  const path = `flags.${key}`;
  const flag = object(value, path);
  const pick = <T>(name: string, isValid: (field: unknown) => field is T, fallback: T): T => {
    const field = flag[name];
    if (isValid(field)) return field;
    warn(`${path}.${name}`, "malformed");
    return fallback;
  };
  const state = switchState(flag["state"], `${path}.state`);
  const { cause, limits, maxInputBytes, maxOutputTokens } = flag;
  return {
    state,
    ...(cause === "manual" || cause === "trigger" || cause === "budget" ? { cause } : {}),
    level: pick("level", isLevel, 0),
    chain: pick("chain", isTextOrNull, null),
    rollout: pick("rollout", isPercent, 100),
    ramp: pick("ramp", isPercentOrNull, null),
    salt: pick("salt", isText, key),
    rules: readRules(flag["rules"], `${path}.rules`, warn),
    offMode: flag["offMode"] === "message" ? "message" : "error",
    offMessage: pick("offMessage", isTextOrNull, null),
    abortInFlight: flag["abortInFlight"] === true,
    clampMaxTokens: flag["clampMaxTokens"] === true,
    chainOnly: flag["chainOnly"] === true,
    ...(isObject(limits) ? { limits: readLimits(limits) } : {}),
    ...(isLimit(maxInputBytes) ? { maxInputBytes } : {}),
    ...(isLimit(maxOutputTokens) ? { maxOutputTokens } : {}),
  };
}

/** A limit that is not understood does not limit: it must not turn a feature off. */
function readLimits(limits: JsonObject): FlagLimits {
  const read: FlagLimits = {};
  for (const scope of LIMIT_SCOPES) {
    const given = limits[scope];
    if (!isObject(given)) continue;
    const kept: CallLimits = {};
    for (const name of LIMIT_NAMES) {
      const limit = given[name];
      if (isLimit(limit)) kept[name] = limit;
    }
    if (Object.keys(kept).length > 0) read[scope] = kept;
  }
  return read;
}

/** A rule that is not understood is left out whole: with a condition less it would decide for too many. */
function readRules(value: unknown, path: string, warn: Warn): Rule[] {
  return items(value, path, warn).filter((rule, index): rule is Rule => {
    if (isRule(rule)) return true;
    warn(`${path}.${index}`, "malformed rule, not applied");
    return false;
  });
}

function readChains(value: unknown, warn: Warn): Record<string, SnapshotChain> {
  const chains = object(value, "chains");
  return Object.fromEntries(
    Object.entries(chains).map(([name, chain]) => {
      const steps = items(isObject(chain) ? chain["steps"] : undefined, `chains.${name}.steps`, warn);
      return [
        name,
        {
          steps: steps.map((step, index) => readStep(step, `chains.${name}.steps.${index}`, warn)),
        },
      ];
    }),
  );
}

/** A step is never left out: positions are levels. */
function readStep(value: unknown, path: string, warn: Warn): ChainStep {
  const step = object(value, path);
  const model = nonEmptyText(step["model"], `${path}.model`);
  const { set, unset, maxTokens } = step;
  return {
    model,
    ...(isObject(set) ? { set } : {}),
    ...(unset === undefined ? {} : { unset: texts(unset, `${path}.unset`, warn) }),
    ...(typeof maxTokens === "number" && maxTokens > 0 ? { maxTokens } : {}),
  };
}

function items(value: unknown, path: string, warn: Warn): readonly unknown[] {
  if (Array.isArray(value)) return value;
  warn(path, "expected an array");
  return [];
}

function texts(value: unknown, path: string, warn: Warn): string[] {
  return items(value, path, warn).filter(isText);
}

function object(value: unknown, path: string): JsonObject {
  if (!isObject(value)) throw new Error(`${path}: expected an object`);
  return value;
}

function nonEmptyText(value: unknown, path: string): string {
  if (typeof value !== "string" || value === "") throw new Error(`${path}: expected text`);
  return value;
}

function switchState(value: unknown, path: string): SwitchState {
  if (value !== "on" && value !== "off") throw new Error(`${path}: expected "on" or "off"`);
  return value;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

function isLevel(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function isLimit(value: unknown): value is number {
  return isLevel(value) && value > 0;
}

function isPercent(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 100;
}

function isPercentOrNull(value: unknown): value is number | null {
  return value === null || isPercent(value);
}

function isRule(value: unknown): value is Rule {
  if (!isObject(value) || (value["then"] !== "on" && value["then"] !== "off")) return false;
  return Array.isArray(value["when"]) && value["when"].every(isCondition);
}

function isCondition(value: unknown): value is Condition {
  return isObject(value) && isText(value["attribute"]) && isText(value["operator"]) && "value" in value;
}
