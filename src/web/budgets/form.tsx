/** The form of a budget: what counts, how much, for how long, and the ladder of what happens at which share of it. */
import { MAX_LADDER_STEPS } from "../../domain/budget.ts";
import { MAX_NAME_CHARS } from "../../domain/limits.ts";
import type { BudgetDraft } from "./draft.ts";
import {
  Suggestions,
  FormActs,
  Checkbox,
  Choices,
  EditForm,
  Field,
  type FieldErrors,
  FormErrors,
  Select,
} from "../form/parts.tsx";

export interface BudgetFormProps {
  draft: BudgetDraft;
  errors: FieldErrors;
  /** Null for a new budget. */
  version: number | null;
  action: string;
  cancel: string;
  flags: readonly { key: string; name: string; tags: readonly string[] }[];
  models: readonly string[];
}

const FIELDS = [
  "name",
  "scope.flag",
  "scope.tag",
  "scope.model",
  "scope.user",
  "scope.session",
  "limitUsd",
  "period",
  "timezone",
  "enforcement",
  "onUnavailable",
  "reserveWaitMs",
  "minTokens",
  "whenHeld",
  "onReset",
];
const ACTIONS = [
  { value: "alert", label: "alert: only tell" },
  { value: "downgrade", label: "downgrade: a cheaper model" },
  { value: "kill", label: "kill: turn it off" },
] as const;
const PERIODS = [
  { value: "hour", label: "an hour" },
  { value: "day", label: "a day" },
  { value: "week", label: "a week, from Monday" },
  { value: "month", label: "a month" },
] as const;

export function BudgetForm({ draft, errors, version, action, cancel, flags, models }: BudgetFormProps) {
  const isNew = version === null;
  const ladderPaths = [...errors.keys()].filter((path) => path.startsWith("ladder"));
  return (
    <EditForm action={action} version={version}>
      <h1>{isNew ? "New budget" : `Edit budget ${draft.name}`}</h1>
      <FormErrors errors={errors} fields={[...FIELDS, ...ladderPaths]} />
      <Field
        name="name"
        label="Name"
        value={draft.name}
        errors={errors}
        maxlength={MAX_NAME_CHARS}
        autofocus={isNew}
        hint="As alerts will say it, for example Support chat, daily"
      />
      <Select
        name="scope.flag"
        label="What counts"
        value={draft.flag}
        errors={errors}
        options={[
          { value: "", label: "all flags of this environment" },
          ...flags.map(({ key, name }) => ({ value: key, label: `${name} (${key})` })),
        ]}
      />
      <Field
        name="scope.tag"
        label="Of flags with this tag only (optional)"
        value={draft.tag}
        errors={errors}
        mono
        list="known-tags"
        hint="A flag's tags are edited with it. What a flag spends counts from when it has the tag."
      />
      <Suggestions id="known-tags" values={[...new Set(flags.flatMap(({ tags }) => tags))]} />
      <Suggestions id="known-models" values={models} />
      <Field
        name="scope.model"
        label="Of one model only (optional)"
        value={draft.model}
        errors={errors}
        mono
        list="known-models"
      />
      <div class="row two">
        <Field
          name="scope.user"
          label="Of single users (optional)"
          value={draft.user}
          errors={errors}
          placeholder="each"
          hint="each: the limit is for every user alone, and only who reaches it is stopped. Or the id of one user."
        />
        <Field
          name="scope.session"
          label="Of single sessions (optional)"
          value={draft.session}
          errors={errors}
          placeholder="each"
          hint="The same for sessions. Such a budget counts from when it is made."
        />
      </div>
      <div class="row two">
        <Field
          name="limitUsd"
          label="Limit in USD"
          value={draft.limitUsd}
          errors={errors}
          inputmode="decimal"
          placeholder="200"
        />
        <Select name="period" label="For" value={draft.period} errors={errors} options={PERIODS} />
      </div>
      <Suggestions id="zones" values={Intl.supportedValuesOf("timeZone")} />
      <Field
        name="timezone"
        label="Time zone"
        value={draft.timezone}
        errors={errors}
        list="zones"
        hint="Its day begins at midnight there, for example Europe/Berlin"
      />
      <Choices
        name="enforcement"
        legend="What it does"
        value={draft.enforcement}
        errors={errors}
        options={[
          {
            value: "trip",
            label: "Trip",
            note: "Counts every call and acts by the ladder, by itself, within seconds. What can still be spent after a trip: what the calls then running cost. The budget shows the most that this can be.",
          },
          {
            value: "reserve",
            label: "Reserve",
            note: "No call is sent without money set aside for the most that it can cost: it is never overspent. What can still be spent after a trip is what is set aside, within the limit. Put agents and chat in separate budgets: one agent sets aside what a hundred chats need.",
          },
          { value: "track", label: "Track", note: "Counts and alerts; never switches anything." },
        ]}
      />
      <Reserve draft={draft} errors={errors} />
      <Ladder draft={draft} errors={errors} />
      <Choices
        name="onReset"
        legend="When a new window begins"
        value={draft.onReset}
        errors={errors}
        options={[
          { value: "restore", label: "What it switched is restored by itself" },
          { value: "stay", label: "It stays until somebody restores" },
        ]}
      />
      <Checkbox
        name="paused"
        label="Paused"
        checked={draft.paused}
        hint="It goes on counting, and neither alerts nor acts. What it switched is restored."
      />
      <FormActs does={isNew ? "Create budget" : "Save"} cancel={cancel} />
    </EditForm>
  );
}

/** What matters under `reserve`; the last one for `trip` too. */
function Reserve({ draft, errors }: { draft: BudgetDraft; errors: FieldErrors }) {
  return (
    <fieldset class="box">
      <legend>Calls that the budget has no room for</legend>
      <div class="row two">
        <Field
          name="reserveWaitMs"
          label="Wait, in ms"
          value={draft.reserveWaitMs}
          errors={errors}
          inputmode="numeric"
          hint="Reserve: for money that other calls hold. Agents need 10000 to 30000"
        />
        <Field
          name="minTokens"
          label="Fewest tokens"
          value={draft.minTokens}
          errors={errors}
          inputmode="numeric"
          hint="Reserve: refused sooner than clamped to less output"
        />
      </div>
      <Select
        name="whenHeld"
        label="When others hold the money"
        value={draft.whenHeld}
        errors={errors}
        options={[
          { value: "wait", label: "Reserve: a call waits its turn" },
          { value: "stepDown", label: "Reserve: it takes a cheaper model at once, if one fits" },
        ]}
      />
      <Select
        name="onUnavailable"
        label="When Andon cannot be reached"
        value={draft.onUnavailable}
        errors={errors}
        options={[
          { value: "allow", label: "calls are sent, and counted later" },
          { value: "deny", label: "calls are refused" },
        ]}
      />
    </fieldset>
  );
}

function Ladder({ draft, errors }: { draft: BudgetDraft; errors: FieldErrors }) {
  return (
    <fieldset class="box">
      <legend>Ladder: what happens at which share of the limit</legend>
      {errors.has("ladder") ? <p class="error">{errors.get("ladder")}</p> : null}
      {draft.ladder.length === 0 ? <p class="dim">No step: it counts, and nothing happens at its limit.</p> : null}
      {draft.ladder.map((step, at) => {
        const path = `ladder.${at}`;
        const fault = errors.get(path);
        return (
          <div class="row ladder" role="group" aria-label={`Step ${at + 1}`}>
            <Field
              name={`${path}.atPercent`}
              label="At %"
              value={step.atPercent}
              errors={fault === undefined ? errors : new Map([...errors, [`${path}.atPercent`, fault]])}
              inputmode="numeric"
            />
            <Select name={`${path}.action`} label="do" value={step.action} errors={errors} options={ACTIONS} />
            <Field
              name={`${path}.level`}
              label="Level"
              value={step.level}
              errors={errors}
              inputmode="numeric"
              placeholder="one further"
            />
            <button name="do" value={`remove-step.${at}`} aria-label={`Remove step ${at + 1}`}>
              Remove
            </button>
          </div>
        );
      })}
      {draft.ladder.length < MAX_LADDER_STEPS ? (
        <div>
          <button name="do" value="add-step">
            Add a step
          </button>
        </div>
      ) : null}
      <p class="hint">
        Each step acts once per window. Level 0 is full quality; without a level, a downgrade goes one step further.
      </p>
    </fieldset>
  );
}
