/** One targeting rule as plain inputs. */
import type { ConditionOperator } from "../../../sdk-client/src/wire/protocol.ts";
import { CONDITION_OPERATORS } from "../../../sdk-client/src/wire/protocol.ts";
import { MAX_NAME_CHARS } from "../../domain/limits.ts";
import type { RuleDraft } from "./draft.ts";
import { Field, type FieldErrors, Select } from "../form/parts.tsx";

const OPERATORS: Record<ConditionOperator, string> = {
  in: "is one of",
  notIn: "is none of",
  equals: "is",
  notEquals: "is not",
  contains: "contains",
  startsWith: "starts with",
  endsWith: "ends with",
  lessThan: "is less than",
  lessOrEqual: "is at most",
  greaterThan: "is more than",
  greaterOrEqual: "is at least",
  semverEqual: "is version",
  semverLessThan: "is below version",
  semverGreaterThan: "is above version",
  before: "is before",
  after: "is after",
};

/** "plan is one of free, trial": an operator in words. */
export function operatorText(operator: ConditionOperator): string {
  return OPERATORS[operator];
}

const OPTIONS = CONDITION_OPERATORS.map((value) => ({ value, label: OPERATORS[value] }));

export function RuleFields({
  rule,
  at,
  errors,
  full,
}: {
  rule: RuleDraft;
  at: number;
  errors: FieldErrors;
  full: boolean;
}) {
  const path = `rules.${at}`;
  const error = errors.get(`${path}.when`) ?? errors.get(path);
  return (
    <fieldset class="box">
      <legend>{`Rule ${at + 1}`}</legend>
      {error === undefined ? null : <p class="error">{error}</p>}
      <div class="row two">
        <Field
          name={`${path}.name`}
          label="Name (optional)"
          value={rule.name}
          errors={errors}
          maxlength={MAX_NAME_CHARS}
        />
        <Select
          name={`${path}.then`}
          label="Then the feature is"
          value={rule.outcome}
          errors={errors}
          options={[
            { value: "off", label: "off for them" },
            { value: "on", label: "on for them" },
          ]}
        />
      </div>
      {rule.when.map((condition, of) => {
        const each = `${path}.when.${of}`;
        return (
          <div class="row three">
            <Field
              name={`${each}.attribute`}
              label={of === 0 ? "When attribute" : "and attribute"}
              value={condition.attribute}
              errors={errors}
              mono
              placeholder="plan"
            />
            <Select
              name={`${each}.operator`}
              label="compares as"
              value={condition.operator}
              errors={errors}
              options={OPTIONS}
            />
            <Field
              name={`${each}.value`}
              label="value"
              value={condition.value}
              errors={errors}
              mono
              placeholder="free, trial"
            />
            <button
              name="do"
              value={`remove-condition.${at}.${of}`}
              aria-label={`Remove condition ${of + 1} of rule ${at + 1}`}
            >
              Remove
            </button>
          </div>
        );
      })}
      <p class="hint">
        Lists are separated by commas. <code>5</code> is a number and <code>true</code> a yes; write <code>"5"</code>{" "}
        for a text. Times as <code>2030-01-31T06:00:00Z</code>.
      </p>
      <div class="acts">
        {full ? null : (
          <button name="do" value={`add-condition.${at}`}>
            Add a condition
          </button>
        )}
        <button name="do" value={`remove-rule.${at}`}>{`Remove rule ${at + 1}`}</button>
      </div>
    </fieldset>
  );
}
