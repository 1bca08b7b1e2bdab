/** The form of a price: which model, from when on, what each class of tokens costs, and why. */
import { TOKEN_CLASSES, type TokenClass } from "../../../sdk-client/src/wire/usage-protocol.ts";
import { NewModelChoice } from "../chains/new-model-choice.tsx";
import {
  Suggestions,
  Checkbox,
  CONFIRM_LABELS,
  Field,
  type FieldErrors,
  FormErrors,
  ReasonField,
} from "../form/parts.tsx";
import type { PriceDraft, RatesDraft } from "./draft.ts";

export const CLASS_LABELS: Readonly<Record<TokenClass, string>> = {
  input: "Input",
  output: "Output",
  cacheWrite5m: "Cache write, 5 min",
  cacheWrite1h: "Cache write, 1 h",
  cacheRead: "Cache read",
};

const pathsOf = (at: string): string[] => TOKEN_CLASSES.map((name) => `${at}.${name}`);
const FIELDS = [
  "model",
  "validFrom",
  "reason",
  "long.abovePromptTokens",
  ...pathsOf("usdPerMillion"),
  ...pathsOf("fastUsdPerMillion"),
  ...pathsOf("long.usdPerMillion"),
];

interface PriceFormProps {
  draft: PriceDraft;
  errors: FieldErrors;
  action: string;
  models: readonly string[];
}

export function PriceForm({ draft, errors, action, models }: PriceFormProps) {
  const isAbout = (at: string): boolean => [...errors.keys()].some((path) => path.startsWith(at));
  const isUnusual = [...errors.values()].some((message) => message.includes(CONFIRM_LABELS.unusual));
  return (
    <form class="card stack" method="post" action={action} id="price">
      <h2>Add or correct a price</h2>
      <FormErrors errors={errors} fields={FIELDS} />
      <Field
        name="model"
        label="Model"
        value={draft.model}
        errors={errors}
        mono
        list="priced-models"
        required
        placeholder="claude-opus-5-5"
      />
      <Suggestions id="priced-models" values={models} />
      {errors.has("model") ? <NewModelChoice /> : null}
      <Field
        name="validFrom"
        label="From when on (optional)"
        value={draft.validFrom}
        errors={errors}
        placeholder="2026-12-01"
        hint="A date, in UTC, or a time with its zone. Left empty: from now on. The date of a price that is there corrects it."
      />
      <fieldset class="box">
        <legend>USD per million tokens</legend>
        <Rates at="usdPerMillion" rates={draft.rates} errors={errors} />
      </fieldset>
      <details open={isAbout("fastUsdPerMillion") || draft.fast.input !== ""}>
        <summary class="line-summary">Fast mode</summary>
        <fieldset class="box">
          <legend>USD per million tokens, in fast mode</legend>
          <Rates at="fastUsdPerMillion" rates={draft.fast} errors={errors} />
        </fieldset>
      </details>
      <details open={isAbout("long") || draft.abovePromptTokens !== ""}>
        <summary class="line-summary">Long prompts</summary>
        <fieldset class="box">
          <legend>All tokens of a call with a long prompt</legend>
          <Field
            name="long.abovePromptTokens"
            label="Above how many tokens of prompt"
            value={draft.abovePromptTokens}
            errors={errors}
            inputmode="numeric"
            placeholder="200000"
          />
          <Rates at="long.usdPerMillion" rates={draft.long} errors={errors} />
        </fieldset>
      </details>
      <details open={isAbout("aliases")}>
        <summary class="line-summary">Other names, batches and regions</summary>
        <Field
          name="aliases"
          label="Other exact ids of the same model (optional)"
          value={draft.aliases}
          errors={errors}
          mono
          rows={2}
          hint="One a line, such as dated snapshots."
        />
        <p class="hint">A batch costs half of it, by itself.</p>
        <Checkbox name="usPremium" label="US-only inference costs 1.1 times as much" checked={draft.usPremium} />
        <Checkbox
          name="regionalPremium"
          label="Regional endpoints of the clouds cost 1.1 times as much"
          checked={draft.regionalPremium}
        />
      </details>
      <ReasonField
        value={draft.reason}
        errors={errors}
        required
        hint="For example where it was published. The audit keeps it."
      />
      {isUnusual ? <Checkbox name="unusual" label={CONFIRM_LABELS.unusual} checked={false} /> : null}
      <p class="hint">It counts in all environments. Calls that were already counted keep their cost.</p>
      <div>
        <button class="main">Save the price</button>
      </div>
    </form>
  );
}

function Rates({ at, rates, errors }: { at: string; rates: RatesDraft; errors: FieldErrors }) {
  return (
    <div class="row two">
      {TOKEN_CLASSES.map((name) => (
        <Field
          name={`${at}.${name}`}
          label={CLASS_LABELS[name]}
          value={rates[name]}
          errors={errors}
          inputmode="decimal"
        />
      ))}
    </div>
  );
}
