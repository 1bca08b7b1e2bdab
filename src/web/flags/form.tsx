/** The form of a flag: what it is, what it does while off, whom it is for. Rules are plain inputs and work without JavaScript. */
import type { Child } from "hono/jsx";
import {
  MAX_CONDITIONS,
  MAX_DESCRIPTION_CHARS,
  MAX_NAME_CHARS,
  MAX_OFF_MESSAGE_CHARS,
  MAX_RULES,
} from "../../domain/limits.ts";
import type { FlagDraft } from "./draft.ts";
import { FormActs, EditForm, Checkbox, Choices, Field, type FieldErrors, FormErrors, Select } from "../form/parts.tsx";
import { LIMIT_FIELDS, LimitFields } from "./limit-fields.tsx";
import { RuleFields } from "./rule-fields.tsx";

export interface FlagFormProps {
  draft: FlagDraft;
  errors: FieldErrors;
  chains: readonly string[];
  /** Where it is posted. */
  action: string;
  cancel: string;
  /** The version that is edited; null for a new flag. */
  version: number | null;
  title: string;
}

const FIELDS = [
  "key",
  "name",
  "description",
  "owner",
  "runbookUrl",
  "chain",
  "offMode",
  "offMessage",
  "tags",
  "rollout",
];

export function FlagForm({ draft, errors, chains, action, cancel, version, title }: FlagFormProps) {
  const isNew = version === null;
  const fields = [
    ...FIELDS,
    ...LIMIT_FIELDS,
    ...[...errors.keys()].filter((path) => path.startsWith("rules.") || path.startsWith("tags.")),
  ];
  return (
    <EditForm action={action} version={version}>
      <h1>{title}</h1>
      <FormErrors errors={errors} fields={fields} />
      <Field
        name="name"
        label="Name"
        value={draft.name}
        errors={errors}
        maxlength={MAX_NAME_CHARS}
        autofocus={isNew}
        hint="As on-call will read it: Support chat"
      />
      <Field
        name="key"
        label="Key"
        value={draft.key}
        errors={errors}
        readonly={!isNew}
        mono
        hint={
          isNew
            ? "As the code names it: support-chat. It cannot be changed later."
            : "Keys do not change: the code names it."
        }
      />
      <Select
        name="chain"
        label="Chain"
        value={draft.chain}
        errors={errors}
        options={[
          { value: "", label: "None: the model each request names" },
          ...chains.map((name) => ({ value: name, label: name })),
        ]}
        hint={
          chains.length === 0
            ? "There is no chain yet. Without one a flag can be killed, not downgraded; it can be given one later."
            : "The models it may use, best first. Without one it can be killed, not downgraded."
        }
      />
      <Checkbox
        name="chainOnly"
        label="Hold calls to the chain"
        checked={draft.chainOnly}
        hint="A request for a model outside the chain is sent a step of it: the first that is not dearer, else the cheapest. Otherwise such a request is sent as it asks while nothing is blocked or downgraded."
      />
      <Group title="While it is off">
        <Choices
          name="offMode"
          legend="A call gets"
          value={draft.offMode}
          errors={errors}
          options={[
            { value: "error", label: "an error", note: "FeatureDisabledError: the application decides what to show." },
            {
              value: "message",
              label: "the message below, as an ordinary answer",
              note: "For chats: the user just reads it.",
            },
          ]}
        />
        <Field
          name="offMessage"
          label="Message for users"
          value={draft.offMessage}
          errors={errors}
          rows={2}
          maxlength={MAX_OFF_MESSAGE_CHARS}
          hint="Empty: “This feature is switched off at the moment. Please try again later.”"
        />
        <Checkbox
          name="abortInFlight"
          label="Stop running calls too"
          checked={draft.abortInFlight}
          hint="A kill aborts calls and streams that are running. Otherwise they finish, and only new calls are stopped."
        />
      </Group>
      <Group title="For whom">
        <Field
          name="rollout"
          label="Rollout, percent of users"
          value={draft.rollout}
          errors={errors}
          inputmode="decimal"
          hint="100 is everybody. A user stays in or out as long as it does not change."
        />
        <RuleList draft={draft} errors={errors} />
      </Group>
      <Group title="Limits">
        <LimitFields draft={draft.limits} clampMaxTokens={draft.clampMaxTokens} errors={errors} />
      </Group>
      <Group title="For on-call">
        <Field
          name="description"
          label="What it does"
          value={draft.description}
          errors={errors}
          rows={2}
          maxlength={MAX_DESCRIPTION_CHARS}
        />
        <Field
          name="tags"
          label="Tags"
          value={draft.tags}
          errors={errors.has("tags") ? errors : tagErrors(errors)}
          hint="Separated by commas. A budget may count all flags with a tag."
        />
        <Field
          name="owner"
          label="Owner"
          value={draft.owner}
          errors={errors}
          maxlength={MAX_NAME_CHARS}
          hint="Team or person to wake."
        />
        <Field
          name="runbookUrl"
          label="Runbook"
          value={draft.runbookUrl}
          errors={errors}
          inputmode="url"
          hint="https://…"
        />
      </Group>
      <FormActs does={isNew ? "Create flag" : "Save"} cancel={cancel} />
    </EditForm>
  );
}

function Group({ title, children }: { title: string; children?: Child }) {
  return (
    <fieldset class="box">
      <legend>{title}</legend>
      {children}
    </fieldset>
  );
}

function RuleList({ draft, errors }: { draft: FlagDraft; errors: FieldErrors }) {
  return (
    <>
      <p class="hint">
        Rules come first: the first whose conditions all hold decides. “off” refuses those users; “on” lets them in
        whatever the rollout says. A user whom no rule names goes by the rollout.
      </p>
      {draft.rules.map((rule, at) => (
        <RuleFields rule={rule} at={at} errors={errors} full={rule.when.length >= MAX_CONDITIONS} />
      ))}
      {draft.rules.length < MAX_RULES ? (
        <div>
          <button name="do" value="add-rule">
            Add a rule
          </button>
        </div>
      ) : null}
    </>
  );
}

/** A fault of one tag stands at the field of all. */
function tagErrors(errors: FieldErrors): FieldErrors {
  const fault = [...errors].find(([path]) => path.startsWith("tags."));
  return fault === undefined ? errors : new Map([...errors, ["tags", fault[1]]]);
}
