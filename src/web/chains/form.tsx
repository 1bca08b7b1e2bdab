/** The form of a chain: its steps in order, best first, each with the body patch that its model needs. */
import { MAX_CHAIN_STEPS } from "../../domain/limits.ts";
import type { ChainDraft } from "./draft.ts";
import { Suggestions, FormActs, EditForm, Field, type FieldErrors, FormErrors } from "../form/parts.tsx";
import { NewModelChoice } from "./new-model-choice.tsx";

export interface ChainFormProps {
  draft: ChainDraft;
  errors: FieldErrors;
  /** Null for a new chain. */
  version: number | null;
  action: string;
  cancel: string;
  usedBy: readonly string[];
  /** Models known in this environment, to choose from. */
  models: readonly string[];
}

export function ChainForm({ draft, errors, version, action, cancel, usedBy, models }: ChainFormProps) {
  const isNew = version === null;
  return (
    <EditForm action={action} version={version}>
      <h1>{isNew ? "New chain" : `Edit chain ${draft.name}`}</h1>
      <FormErrors errors={errors} fields={["name", ...[...errors.keys()].filter((path) => path.startsWith("steps"))]} />
      <p>
        A chain is the models a feature may use, best first. Downgrading a flag, or blocking a model, makes its calls
        start further down.
      </p>
      {usedBy.length === 0 ? null : (
        <p class="flash">Used by {usedBy.join(", ")}: they use the new steps as soon as this is saved.</p>
      )}
      <Field
        name="name"
        label="Name"
        value={draft.name}
        errors={errors}
        readonly={!isNew}
        mono
        autofocus={isNew}
        hint={isNew ? "For example opus-first." : undefined}
      />
      {errors.has("steps") ? <p class="error">{errors.get("steps")}</p> : null}
      <Suggestions id="known-models" values={models} />
      {draft.steps.map((step, at) => {
        const path = `steps.${at}`;
        return (
          <fieldset class="box">
            <legend>{at === 0 ? "Step 1: full quality" : `Step ${at + 1}`}</legend>
            <Field
              name={`${path}.model`}
              label="Model"
              value={step.model}
              errors={errors}
              mono
              list="known-models"
              placeholder={EXAMPLES[at] ?? ""}
            />
            <details
              id={`more-${at}`}
              open={step.maxTokens !== "" || step.set !== "" || step.unset !== "" || hasErrors(errors, path)}
            >
              <summary class="line-summary">What its requests need to differ in (optional)</summary>
              <div class="stack">
                <Field
                  name={`${path}.maxTokens`}
                  label="At most max_tokens"
                  value={step.maxTokens}
                  errors={errors}
                  inputmode="numeric"
                />
                <Field
                  name={`${path}.set`}
                  label="Body fields to set, as JSON"
                  value={step.set}
                  errors={errors}
                  rows={2}
                  mono
                  hint={
                    <>
                      For example <code>{`{"thinking": {"type": "disabled"}}`}</code>
                    </>
                  }
                />
                <Field
                  name={`${path}.unset`}
                  label="Body fields to remove"
                  value={step.unset}
                  errors={errors}
                  mono
                  hint={
                    <>
                      Separated by commas: <code>temperature, top_k</code>
                    </>
                  }
                />
              </div>
            </details>
            <div class="acts">
              {at === 0 ? null : (
                <button name="do" value={`raise-step.${at}`} aria-label={`Move up step ${at + 1}`}>
                  Move up
                </button>
              )}
              {draft.steps.length === 1 ? null : (
                <button name="do" value={`remove-step.${at}`} aria-label={`Remove step ${at + 1}`}>
                  Remove
                </button>
              )}
            </div>
          </fieldset>
        );
      })}
      {draft.steps.length < MAX_CHAIN_STEPS ? (
        <div>
          <button name="do" value="add-step">
            Add a step
          </button>
        </div>
      ) : null}
      {[...errors.keys()].some((path) => /^steps\.\d+\.model$/.test(path)) ? <NewModelChoice /> : null}
      <FormActs does={isNew ? "Create chain" : "Save"} cancel={cancel} />
    </EditForm>
  );
}

const EXAMPLES = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"];

function hasErrors(errors: FieldErrors, path: string): boolean {
  return ["maxTokens", "set", "unset"].some((field) => errors.has(`${path}.${field}`));
}
