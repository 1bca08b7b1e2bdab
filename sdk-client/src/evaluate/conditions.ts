/**
 * Conditions of targeting rules, prepared once per snapshot. Pure, and total: whatever the context holds (throwing
 * getters, proxies, symbols), a condition answers true or false.
 *
 * Types are strict: "5" is not 5. An attribute is a property of the context itself; dotted names are plain names, not
 * paths. Missing (absent, null, undefined) makes every operator false except `notIn` and `notEquals`. When the attribute
 * is an array, `in` holds if any element is in the list, `contains` if any element equals the value; all other operators
 * compare scalars and are false for an array, `notIn` and `notEquals` being the negations of `in` and `equals`.
 */
import type { Condition, ConditionOperator, Scalar } from "../wire/protocol.ts";
import { compareSemver, parseSemver } from "./semver.ts";
import { parseInstant } from "../wire/instant.ts";

export interface CompiledCondition {
  readonly attribute: string;
  /** The answer for an attribute that is missing or cannot be read. */
  readonly whenMissing: boolean;
  readonly matches: (attribute: unknown) => boolean;
}

/** Elements of an array attribute that are looked at; later ones are not seen. */
const MAX_ELEMENTS = 10_000;

/**
 * Prepares one condition. One that this client cannot understand (an operator it does not know, a value of the wrong
 * type) never holds, so that its rule does not decide.
 */
export function compileCondition(condition: Condition): CompiledCondition {
  const matches = matcher(condition.operator, condition.value);
  const negative = condition.operator === "notIn" || condition.operator === "notEquals";
  return {
    attribute: condition.attribute,
    whenMissing: negative && matches !== null,
    matches: matches ?? never,
  };
}

/** Whether the condition holds for a context. Never throws. */
export function holds(condition: CompiledCondition, context: unknown): boolean {
  try {
    if (typeof context !== "object" || context === null || !Object.hasOwn(context, condition.attribute)) {
      return condition.whenMissing;
    }
    const value: unknown = Reflect.get(context, condition.attribute);
    return value === undefined || value === null ? condition.whenMissing : condition.matches(value);
  } catch {
    // A getter or proxy of the caller threw: an attribute that cannot be read counts as missing.
    return condition.whenMissing;
  }
}

type Matcher = (attribute: unknown) => boolean;

function never(): boolean {
  return false;
}

function matcher(operator: ConditionOperator, value: Scalar | readonly Scalar[]): Matcher | null {
  switch (operator) {
    case "in":
      return memberOf(value);
    case "notIn":
      return not(memberOf(value));
    case "equals":
      return isScalar(value) ? (attribute) => attribute === value : null;
    case "notEquals":
      return isScalar(value) ? (attribute) => attribute !== value : null;
    case "contains":
      return contains(value);
    case "startsWith":
      return text(value, (attribute, part) => attribute.startsWith(part));
    case "endsWith":
      return text(value, (attribute, part) => attribute.endsWith(part));
    case "lessThan":
      return numeric(value, (attribute, bound) => attribute < bound);
    case "lessOrEqual":
      return numeric(value, (attribute, bound) => attribute <= bound);
    case "greaterThan":
      return numeric(value, (attribute, bound) => attribute > bound);
    case "greaterOrEqual":
      return numeric(value, (attribute, bound) => attribute >= bound);
    case "semverEqual":
      return semver(value, (order) => order === 0);
    case "semverLessThan":
      return semver(value, (order) => order < 0);
    case "semverGreaterThan":
      return semver(value, (order) => order > 0);
    case "before":
      return instant(value, (attributeMs, boundMs) => attributeMs < boundMs);
    case "after":
      return instant(value, (attributeMs, boundMs) => attributeMs > boundMs);
  }
  // A newer server may know operators that this client does not.
  return null;
}

function isScalar(value: unknown): value is Scalar {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function memberOf(value: Scalar | readonly Scalar[]): Matcher | null {
  if (!Array.isArray(value)) return null;
  const members = new Set<unknown>(value);
  return (attribute) =>
    Array.isArray(attribute) ? anyElement(attribute, (element) => members.has(element)) : members.has(attribute);
}

function not(inner: Matcher | null): Matcher | null {
  return inner === null ? null : (attribute) => !inner(attribute);
}

function contains(value: Scalar | readonly Scalar[]): Matcher | null {
  if (!isScalar(value)) return null;
  return (attribute) => {
    if (Array.isArray(attribute)) return anyElement(attribute, (element) => element === value);
    return typeof attribute === "string" && typeof value === "string" && attribute.includes(value);
  };
}

function anyElement(elements: readonly unknown[], matches: Matcher): boolean {
  const count = Math.min(elements.length, MAX_ELEMENTS);
  for (let index = 0; index < count; index++) {
    if (matches(elements[index])) return true;
  }
  return false;
}

function text(value: unknown, compare: (attribute: string, value: string) => boolean): Matcher | null {
  if (typeof value !== "string") return null;
  return (attribute) => typeof attribute === "string" && compare(attribute, value);
}

function numeric(value: unknown, compare: (attribute: number, value: number) => boolean): Matcher | null {
  if (typeof value !== "number") return null;
  return (attribute) => typeof attribute === "number" && compare(attribute, value);
}

function semver(value: unknown, accepts: (order: number) => boolean): Matcher | null {
  const bound = typeof value === "string" ? parseSemver(value) : null;
  if (bound === null) return null;
  return (attribute) => {
    const version = typeof attribute === "string" ? parseSemver(attribute) : null;
    return version !== null && accepts(compareSemver(version, bound));
  };
}

function instant(value: unknown, compare: (attributeMs: number, boundMs: number) => boolean): Matcher | null {
  const boundMs = parseInstant(value);
  if (boundMs === null) return null;
  return (attribute) => {
    const attributeMs = parseInstant(attribute);
    return attributeMs !== null && compare(attributeMs, boundMs);
  };
}
