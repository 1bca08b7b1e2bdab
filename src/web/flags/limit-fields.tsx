/** The fields of a flag's limits and caps, as typed: empty is no limit. */
import { LIMIT_NAMES, LIMIT_SCOPES, type LimitScope } from "../../../sdk-client/src/wire/protocol.ts";
import type { FlagResource } from "../../api/flag.ts";
import { Checkbox, Field, type FieldErrors } from "../form/parts.tsx";
import type { Form } from "../shell/page-context.ts";

/** By the paths of the API: `limits.user.concurrent`. */
export type LimitDraft = Readonly<Record<string, string>>;

export const CAPS = ["maxInputBytes", "maxOutputTokens"] as const;
const PATHS = LIMIT_SCOPES.flatMap((scope) =>
  LIMIT_NAMES.map((name) => ({ scope, name, path: `limits.${scope}.${name}` })),
);
export const LIMIT_FIELDS: readonly string[] = [...PATHS.map(({ path }) => path), ...CAPS];

export function limitDraftOf(flag: FlagResource): LimitDraft {
  return Object.fromEntries([
    ...PATHS.map(({ scope, name, path }) => [path, shown(flag.limits[scope]?.[name])]),
    ...CAPS.map((name) => [name, shown(flag[name])]),
  ]);
}

export function limitDraftFrom(form: Form): LimitDraft {
  return Object.fromEntries(LIMIT_FIELDS.map((path) => [path, form.trimmed(path)]));
}

/** What the API takes: only the limits that were given. */
export function limitsOfDraft(draft: LimitDraft): Record<string, unknown> {
  const limits: Record<string, Record<string, number>> = {};
  for (const { scope, name, path } of PATHS) {
    const limit = numberOf(draft[path]);
    if (limit !== null) limits[scope] = { ...limits[scope], [name]: limit };
  }
  return { limits, ...Object.fromEntries(CAPS.map((name) => [name, numberOf(draft[name])])) };
}

function shown(limit: number | null | undefined): string {
  return limit === null || limit === undefined ? "" : String(limit);
}

/** Null when empty; not a number when it is none, which the API says of it. */
function numberOf(typed = ""): number | null {
  const digits = typed.replaceAll(/[\s,_]/g, "");
  return digits === "" ? null : Number(digits);
}

const WHOM: Readonly<Record<LimitScope, string>> = { flag: "All calls", user: "Each user", session: "Each session" };
const UNITS = { concurrent: "calls at a time", requestsPerMinute: "requests a minute", tokensPerDay: "tokens a day" };

interface LimitFieldsProps {
  draft: LimitDraft;
  clampMaxTokens: boolean;
  errors: FieldErrors;
}

export function LimitFields({ draft, clampMaxTokens, errors }: LimitFieldsProps) {
  return (
    <>
      <p class="hint">
        Empty is no limit. Each instance of the application counts its own calls, so that it goes on when Andon is away:
        ten instances together let up to ten times as much through. A day is one of UTC. A call that is over a limit
        gets what a call gets while the flag is off.
      </p>
      {LIMIT_SCOPES.map((scope) => (
        <div class="row three">
          {LIMIT_NAMES.map((name) => (
            <Field
              name={`limits.${scope}.${name}`}
              label={`${WHOM[scope]}: ${UNITS[name]}`}
              value={draft[`limits.${scope}.${name}`] ?? ""}
              errors={errors}
              inputmode="numeric"
            />
          ))}
        </div>
      ))}
      <Field
        name="maxInputBytes"
        label="Largest request, bytes"
        value={draft["maxInputBytes"] ?? ""}
        errors={errors}
        inputmode="numeric"
        hint="Of the whole body, images and documents included. About four bytes of text are a token."
      />
      <Field
        name="maxOutputTokens"
        label="Largest max_tokens"
        value={draft["maxOutputTokens"] ?? ""}
        errors={errors}
        inputmode="numeric"
      />
      <Checkbox
        name="clampMaxTokens"
        label="Lower max_tokens instead of refusing"
        checked={clampMaxTokens}
        hint="A request that asks for more is sent with the largest max_tokens. Its answer may then end early."
      />
    </>
  );
}
