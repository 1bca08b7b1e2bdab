/**
 * The parts of every form: a labelled field with its hint and its error beside it. What was typed is always given
 * back, and an error is tied to its field for those who do not see it.
 */
import type { Child } from "hono/jsx";
import { MAX_REASON_CHARS } from "../../domain/limits.ts";
import { AppError, type Confirm, type Fault } from "../../errors.ts";

/** Faults by field name, as shown beside the fields. */
export type FieldErrors = ReadonlyMap<string, string>;
export const NO_ERRORS: FieldErrors = new Map();

/** The faults of a refused change by path; null when the error is of another kind and must travel on. */
export function fieldErrors(error: unknown): Map<string, string> | null {
  if (!(error instanceof AppError)) return null;
  switch (error.code) {
    case "INVALID":
    case "CONFLICT":
    case "PRECONDITION_FAILED":
    case "DATABASE_AWAY":
    case "OVERLOADED": {
      const errors = new Map(error.faults.map((fault) => [fault.path, forPerson(fault)]));
      if (errors.size === 0) errors.set("", error.message);
      return errors;
    }
    case "UNAUTHENTICATED":
    case "FORBIDDEN":
    case "NOT_FOUND":
    case "METHOD_NOT_ALLOWED":
    case "TOO_LARGE":
    case "UNSUPPORTED_MEDIA_TYPE":
    case "RATE_LIMITED":
    case "INTERNAL":
    case "NOT_READY":
      return null;
  }
}

/** The label of the box that confirms a fault. */
export const CONFIRM_LABELS: Readonly<Record<Confirm, string>> = {
  newModel: "The name is right: it is a new model",
  unusual: "The figures are right",
};

/** A person confirms with a box of the form. */
function forPerson({ message, confirm }: Fault): string {
  if (confirm === undefined) return message;
  return `${message} ${confirm === "newModel" ? "If it is new" : "If that is right"}, tick "${CONFIRM_LABELS[confirm]}".`;
}

/** A form that makes something, or edits the version of it that was seen. Its first button is what Enter presses: it saves. */
export function EditForm({ action, version, children }: { action: string; version: number | null; children: Child }) {
  return (
    <form class="card stack" method="post" action={action}>
      <button class="first-submit" name="do" value="save" tabindex={-1} aria-hidden="true">
        Save
      </button>
      {version === null ? null : <input type="hidden" name="version" value={String(version)} />}
      {children}
    </form>
  );
}

interface FieldProps {
  name: string;
  label: string;
  value: string;
  errors: FieldErrors;
  hint?: Child;
  required?: boolean;
  mono?: boolean;
  readonly?: boolean;
  type?: string;
  rows?: number;
  maxlength?: number;
  autofocus?: boolean;
  inputmode?: "numeric" | "decimal" | "url";
  autocomplete?: string;
  list?: string;
  placeholder?: string;
}

/** A text input, or a textarea when `rows` is given. */
export function Field(props: FieldProps) {
  const { name, label, value, errors, hint, mono = false, rows } = props;
  const error = errors.get(name);
  const attributes = {
    id: `f-${name}`,
    name,
    class: mono ? "mono" : undefined,
    required: props.required,
    readonly: props.readonly,
    maxlength: props.maxlength,
    autofocus: props.autofocus,
    placeholder: props.placeholder,
    "aria-invalid": error === undefined ? undefined : "true",
    "aria-describedby": describedBy(name, hint !== undefined, error !== undefined),
  };
  return (
    <div class="field">
      <label for={`f-${name}`}>{label}</label>
      {rows === undefined ? (
        <input
          {...attributes}
          type={props.type ?? "text"}
          value={value}
          inputmode={props.inputmode}
          autocomplete={props.autocomplete ?? "off"}
          spellcheck={mono ? false : undefined}
          autocapitalize={mono ? "none" : undefined}
          list={props.list}
        />
      ) : (
        <textarea {...attributes} rows={rows}>
          {value}
        </textarea>
      )}
      <FieldNotes name={name} hint={hint} error={error} />
    </div>
  );
}

export interface Option {
  value: string;
  label: string;
}

export function Select(props: {
  name: string;
  label: string;
  value: string;
  options: readonly Option[];
  errors: FieldErrors;
  hint?: Child;
}) {
  const { name, label, value, options, errors, hint } = props;
  const error = errors.get(name);
  return (
    <div class="field">
      <label for={`f-${name}`}>{label}</label>
      <select
        id={`f-${name}`}
        name={name}
        aria-invalid={error === undefined ? undefined : "true"}
        aria-describedby={describedBy(name, hint !== undefined, error !== undefined)}
      >
        {options.map((option) => (
          <option value={option.value} selected={option.value === value}>
            {option.label}
          </option>
        ))}
      </select>
      <FieldNotes name={name} hint={hint} error={error} />
    </div>
  );
}

/** A choice of few, each with what it means. */
export function Choices(props: {
  name: string;
  legend: string;
  value: string;
  options: readonly (Option & { note?: Child })[];
  errors: FieldErrors;
}) {
  const error = props.errors.get(props.name);
  return (
    <fieldset class="choices">
      <legend>{props.legend}</legend>
      {props.options.map((option) => (
        <label class="choice">
          <input type="radio" name={props.name} value={option.value} checked={option.value === props.value} />
          <span>
            {option.label}
            {option.note === undefined ? null : <small>{option.note}</small>}
          </span>
        </label>
      ))}
      {error === undefined ? null : <p class="error">{error}</p>}
    </fieldset>
  );
}

export function Checkbox(props: { name: string; label: string; checked: boolean; hint?: Child }) {
  return (
    <label class="choice">
      <input type="checkbox" name={props.name} value="yes" checked={props.checked} />
      <span>
        {props.label}
        {props.hint === undefined ? null : <small>{props.hint}</small>}
      </span>
    </label>
  );
}

/** Why it is done: one line, in own words. */
export function ReasonField(props: Pick<FieldProps, "value" | "errors" | "hint" | "required" | "autofocus">) {
  return <Field {...props} name="reason" label="Why?" maxlength={MAX_REASON_CHARS} />;
}

/** What a text field suggests: its `list` is this one's id. */
export function Suggestions({ id, values }: { id: string; values: Iterable<string> }) {
  return (
    <datalist id={id}>
      {Array.from(values, (value) => (
        <option value={value}></option>
      ))}
    </datalist>
  );
}

/** The end of a form: the button that does it, and the way back. */
export function FormActs(props: { does: string; cancel: string; isDangerous?: boolean }) {
  return (
    <div class="acts">
      <button class={props.isDangerous === true ? "danger" : "main"} name="do" value="save">
        {props.does}
      </button>
      <a class="button" href={props.cancel}>
        Cancel
      </a>
    </div>
  );
}

/** What is wrong with the form as a whole, and with fields that are not on it. */
export function FormErrors({ errors, fields }: { errors: FieldErrors; fields?: readonly string[] }) {
  if (errors.size === 0) return null;
  const elsewhere = [...errors].filter(([path]) => path === "" || !(fields?.includes(path) ?? true));
  return (
    <div class="flash problem" role="alert">
      {elsewhere.length === 0 ? (
        <p>Nothing was saved: look at the fields marked below.</p>
      ) : (
        elsewhere.map(([path, message]) => <p>{path === "" ? message : `${path}: ${message}`}</p>)
      )}
    </div>
  );
}

function FieldNotes({ name, hint, error }: { name: string; hint: Child; error: string | undefined }) {
  return (
    <>
      {error === undefined ? null : (
        <p class="error" id={`e-${name}`}>
          {error}
        </p>
      )}
      {hint === undefined ? null : (
        <p class="hint" id={`h-${name}`}>
          {hint}
        </p>
      )}
    </>
  );
}

function describedBy(name: string, hint: boolean, error: boolean): string | undefined {
  const ids = [...(error ? [`e-${name}`] : []), ...(hint ? [`h-${name}`] : [])];
  return ids.length === 0 ? undefined : ids.join(" ");
}
