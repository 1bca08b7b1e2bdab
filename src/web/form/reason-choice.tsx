/** Why something was done: presets one tap away, or own words. */
import { MAX_REASON_CHARS } from "../../domain/limits.ts";
import { Field, type FieldErrors } from "./parts.tsx";
import type { Form } from "../shell/page-context.ts";

/** Presets as radio buttons with a text field for anything else. */
export function ReasonChoice(props: {
  presets: readonly string[];
  value: string;
  errors: FieldErrors;
  legend?: string;
  required?: boolean;
}) {
  const preset = props.presets.includes(props.value);
  return (
    <fieldset class="choices">
      <legend>{props.legend ?? "Why?"}</legend>
      <div class="chips">
        {props.presets.map((reason) => (
          <label class="chip">
            <input type="radio" name="preset" value={reason} checked={props.value === reason} />
            <span>{reason}</span>
          </label>
        ))}
      </div>
      <Field
        name="reason"
        label={props.required === false ? "Or in your own words (optional)" : "Or in your own words"}
        value={preset ? "" : props.value}
        errors={props.errors}
        maxlength={MAX_REASON_CHARS}
      />
    </fieldset>
  );
}

/** The reason a form gives: own words win over a preset; `""` when there is neither. */
export function reasonOf(form: Form): string {
  const words = form.trimmed("reason");
  return (words === "" ? form.trimmed("preset") : words).slice(0, MAX_REASON_CHARS);
}
