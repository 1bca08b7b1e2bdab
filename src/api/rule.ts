/**
 * Targeting rules: what clients will compare, checked here with the client's own parsers, so that a rule that is
 * accepted is a rule that can hold.
 */
import { z } from "@hono/zod-openapi";
import { parseInstant } from "../../sdk-client/src/wire/instant.ts";
import {
  CONDITION_OPERATORS,
  type ConditionOperator,
  type Rule,
  type Scalar,
} from "../../sdk-client/src/wire/protocol.ts";
import { parseSemver } from "../../sdk-client/src/evaluate/semver.ts";
import { MAX_CONDITION_VALUES, MAX_CONDITIONS, MAX_NAME_CHARS } from "../domain/limits.ts";
import { optionalField } from "./optional-field.ts";

const MAX_VALUE_CHARS = 500;
const SCALAR_ADVICE = "must be a text, a number, or true or false";

const scalarSchema = z.union(
  [z.string().max(MAX_VALUE_CHARS, `must be at most ${String(MAX_VALUE_CHARS)} characters`), z.number(), z.boolean()],
  SCALAR_ADVICE,
);

const conditionSchema = z
  .strictObject({
    attribute: z
      .string("must be the name of an attribute")
      .min(1, "must be the name of an attribute")
      .max(MAX_NAME_CHARS, `must be at most ${String(MAX_NAME_CHARS)} characters`)
      .openapi({ example: "plan" }),
    operator: z.enum(CONDITION_OPERATORS, `must be one of ${CONDITION_OPERATORS.join(", ")}`),
    value: z.union(
      [
        scalarSchema,
        z.array(scalarSchema).max(MAX_CONDITION_VALUES, `must be at most ${String(MAX_CONDITION_VALUES)} values`),
      ],
      `must be a text, a number, true or false, or (for in and notIn) a list of at most ${String(MAX_CONDITION_VALUES)} of them`,
    ),
  })
  .superRefine(({ operator, value }, check) => {
    const message = faultOf(operator, value);
    if (message !== null) check.addIssue({ code: "custom", path: ["value"], message, input: value });
  })
  .openapi("Condition");

/** As the wire has it, which is read-only. */
export const ruleSchema: z.ZodType<Rule> = z
  .strictObject({
    name: optionalField(
      z
        .string("must be a text")
        .trim()
        .max(MAX_NAME_CHARS, `must be at most ${String(MAX_NAME_CHARS)} characters`),
    ),
    when: z
      .array(conditionSchema, "must be a list of conditions")
      .min(1, "must have at least one condition; to turn everybody off, kill the flag")
      .max(MAX_CONDITIONS, `must be at most ${String(MAX_CONDITIONS)} conditions`),
    then: z.enum(["on", "off"], 'must be "on" or "off"'),
  })
  .openapi("Rule");

/** What is wrong with `value` for `operator`; null when it can hold. */
function faultOf(operator: ConditionOperator, value: Scalar | readonly Scalar[]): string | null {
  switch (operator) {
    case "in":
    case "notIn":
      return Array.isArray(value) && value.length > 0 ? null : `must be a list of at least one value for "${operator}"`;
    case "equals":
    case "notEquals":
      return typeof value === "object" ? `must be one value for "${operator}"; use in or notIn for a list` : null;
    case "contains":
      return typeof value === "object" || value === "" ? 'must be one value, not empty, for "contains"' : null;
    case "startsWith":
    case "endsWith":
      return typeof value === "string" && value !== "" ? null : `must be a text, not empty, for "${operator}"`;
    case "lessThan":
    case "lessOrEqual":
    case "greaterThan":
    case "greaterOrEqual":
      return typeof value === "number" ? null : `must be a number for "${operator}"`;
    case "semverEqual":
    case "semverLessThan":
    case "semverGreaterThan":
      return typeof value === "string" && parseSemver(value) !== null
        ? null
        : `must be a version such as 2.1.0 for "${operator}"`;
    case "before":
    case "after":
      return parseInstant(value) === null ? `must be a time such as 2030-01-31T06:00:00Z for "${operator}"` : null;
  }
}
