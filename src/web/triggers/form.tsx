/** The form of a trigger, and how its sender is set up. */
import type { TriggerResource } from "../../api/trigger.ts";
import { DATADOG_TEMPLATE, FLAG_LABEL } from "../../api/trigger-payload.ts";
import { MAX_NAME_CHARS } from "../../domain/limits.ts";
import { sourceName, TRIGGER_SOURCES, type TriggerSource } from "../../domain/trigger.ts";
import { Checkbox, Choices, EditForm, Field, type FieldErrors, FormActs, FormErrors } from "../form/parts.tsx";
import type { Form } from "../shell/page-context.ts";

const FIELDS = ["name", "source", "action", "level", "flags", "tag", "expiresMinutes", "secret"];

/** As typed, by the paths of the API. */
export interface TriggerDraft {
  name: string;
  source: string;
  action: string;
  level: string;
  flags: readonly string[];
  tag: string;
  expiresMinutes: string;
  secret: string;
  noSecret: boolean;
  paused: boolean;
}

const shown = (value: number | string | null | undefined): string => String(value ?? "");

/** What the form begins with: nothing, or the trigger that is edited. Its secret is never given back. */
export function draftOf(trigger: TriggerResource | null): TriggerDraft {
  return {
    name: trigger?.name ?? "",
    source: trigger?.source ?? "alertmanager",
    action: trigger?.action ?? "kill",
    level: shown(trigger?.level),
    flags: trigger?.flags ?? [],
    tag: trigger?.tag ?? "",
    expiresMinutes: shown(trigger?.expiresMinutes),
    secret: "",
    noSecret: false,
    paused: trigger?.paused ?? false,
  };
}

export function draftFrom(form: Form): TriggerDraft {
  return {
    name: form.text("name"),
    source: form.text("source"),
    action: form.text("action"),
    level: form.trimmed("level"),
    flags: form.all("flags"),
    tag: form.trimmed("tag"),
    expiresMinutes: form.trimmed("expiresMinutes"),
    secret: form.text("secret"),
    noSecret: form.has("noSecret"),
    paused: form.has("paused"),
  };
}

/** What the API takes. A secret that was not typed stays. */
export function bodyOf(draft: TriggerDraft, isNew: boolean): Record<string, unknown> {
  const tag = draft.tag === "" ? null : draft.tag;
  return {
    name: draft.name,
    action: draft.action,
    level: draft.action === "kill" ? null : numberOf(draft.level),
    flags: draft.flags,
    tag,
    expiresMinutes: numberOf(draft.expiresMinutes),
    paused: draft.paused,
    ...(isNew && { source: draft.source }),
    ...(draft.secret !== "" && { secret: draft.secret }),
    ...(draft.noSecret && { secret: null }),
  };
}

/** Null when empty; not a number when it is none, which the API says of it. */
function numberOf(typed: string): number | null {
  return typed === "" ? null : Number(typed);
}

interface TriggerFormProps {
  draft: TriggerDraft;
  errors: FieldErrors;
  /** Null for a new one. */
  trigger: TriggerResource | null;
  action: string;
  cancel: string;
  flags: readonly { key: string; name: string }[];
}

export function TriggerForm({ draft, errors, trigger, action, cancel, flags }: TriggerFormProps) {
  const flagFault = [...errors].find(([path]) => path === "flags" || path.startsWith("flags."));
  const gone = draft.flags.filter((key) => !flags.some((flag) => flag.key === key));
  return (
    <EditForm action={action} version={trigger?.version ?? null}>
      <h1>{trigger === null ? "New trigger" : `Edit trigger ${trigger.name}`}</h1>
      <FormErrors errors={errors} fields={[...FIELDS, ...(flagFault === undefined ? [] : [flagFault[0]])]} />
      <p>
        An alert of another system turns flags off, or steps them down, the moment it fires. Its end lifts nothing: a
        person restores.
      </p>
      <Field
        name="name"
        label="Name"
        value={draft.name}
        errors={errors}
        maxlength={MAX_NAME_CHARS}
        autofocus={trigger === null}
        hint="As flags and the audit will say it, for example Prometheus, error rate"
      />
      {trigger === null ? (
        <Choices
          name="source"
          legend="Whose alerts"
          value={draft.source}
          errors={errors}
          options={TRIGGER_SOURCES.map((source) => ({ value: source, ...SOURCES[source] }))}
        />
      ) : null}
      <Choices
        name="action"
        legend="What an alert does"
        value={draft.action}
        errors={errors}
        options={[
          { value: "kill", label: "turns the flags off" },
          {
            value: "downgrade",
            label: "steps them down their chains",
            note: "Flags without a chain stay as they are.",
          },
        ]}
      />
      <Field
        name="level"
        label="Down to level (optional)"
        value={draft.level}
        errors={errors}
        inputmode="numeric"
        placeholder="one further"
        hint="Of a step down. Never up: a flag that is further down stays there."
      />
      <fieldset class="choices">
        <legend>Which flags</legend>
        {flags.map(({ key, name }) => (
          <FlagBox flag={key} label={name} checked={draft.flags.includes(key)} />
        ))}
        {gone.map((key) => (
          <FlagBox flag={key} label="deleted since" checked />
        ))}
        {flagFault === undefined ? null : <p class="error">{flagFault[1]}</p>}
        <p class="hint">
          An alert with the label <code>{FLAG_LABEL}</code> is about that one of them alone.
        </p>
      </fieldset>
      <Field
        name="tag"
        label="Or all with this tag"
        value={draft.tag}
        errors={errors}
        mono
        hint="Those that have it when the alert fires."
      />
      <Field
        name="expiresMinutes"
        label="Ends by itself after minutes (optional)"
        value={draft.expiresMinutes}
        errors={errors}
        inputmode="numeric"
        placeholder="never"
        hint="Empty: it stays until somebody restores."
      />
      <Field
        name="secret"
        label={trigger?.isSigned === true ? "New signing secret (optional)" : "Signing secret (optional)"}
        value=""
        errors={errors}
        type="password"
        autocomplete="off"
        hint="Where the sender signs in place of sending a kill token: Grafana, PagerDuty, or Standard Webhooks."
      />
      {trigger?.isSigned === true ? (
        <Checkbox name="noSecret" label="Take no signed alerts any more" checked={draft.noSecret} />
      ) : null}
      <Checkbox name="paused" label="Paused" checked={draft.paused} hint="Its alerts are answered and pull nothing." />
      <FormActs does={trigger === null ? "Create trigger" : "Save"} cancel={cancel} />
    </EditForm>
  );
}

function FlagBox({ flag, label, checked }: { flag: string; label: string; checked: boolean }) {
  return (
    <label class="choice">
      <input type="checkbox" name="flags" value={flag} checked={checked} />
      <span>
        {label} <code>{flag}</code>
      </span>
    </label>
  );
}

const SOURCES: Readonly<Record<TriggerSource, { label: string; note: string }>> = {
  alertmanager: { label: "Alertmanager", note: "Its webhook; each alert of a group is judged by itself." },
  grafana: { label: "Grafana", note: "A contact point of kind webhook." },
  datadog: { label: "Datadog", note: "A webhook with our template." },
  pagerduty: { label: "PagerDuty", note: "Webhooks version 3 of a service." },
  generic: { label: "Anything else", note: "A script, a cron job, a button in a chat." },
};

/** How the sender is told, ready to be copied. */
export function Setup({ trigger, tokens }: { trigger: TriggerResource; tokens: string }) {
  return (
    <details class="card" open={trigger.receivedAt === null}>
      <summary class="line-summary">{`How ${sourceName(trigger.source)} is set up`}</summary>
      <div class="stack">
        <p>
          It needs a <a href={tokens}>token of kind kill</a>
          {trigger.isSigned ? ", or signs with the secret of this trigger" : ""}. Such a token can only turn off and
          step down.
        </p>
        <div class="snippet">
          <pre tabindex={0} aria-label={`Set-up of ${trigger.name}`}>
            <code id={`setup-${trigger.id}`}>{setupText(trigger)}</code>
          </pre>
          <button type="button" class="quiet" data-copy={`setup-${trigger.id}`} hidden>
            Copy
          </button>
        </div>
      </div>
    </details>
  );
}

function setupText({ source, url }: TriggerResource): string {
  switch (source) {
    case "alertmanager":
      return `receivers:
  - name: andon
    webhook_configs:
      - url: ${url}
        send_resolved: true
        http_config:
          authorization:
            credentials_file: /etc/alertmanager/andon-kill-token`;
    case "grafana":
      return `Alerting → Contact points → Add: Webhook
URL: ${url}
Authorization header: scheme Bearer, credentials: the kill token
or HMAC signature: the secret of this trigger`;
    case "datadog":
      return `Integrations → Webhooks → New
URL: ${url}
Custom headers: {"Authorization": "Bearer <kill token>"}
Payload:
${DATADOG_TEMPLATE}
Then name @webhook-<its name> in the monitor's message.`;
    case "pagerduty":
      return `Integrations → Generic Webhooks (v3) → New webhook
URL: ${url}
Events: incident.triggered, incident.reopened, incident.resolved
Custom header: Authorization = Bearer <kill token>
or copy the secret that it shows into this trigger`;
    case "generic":
      return `curl -X POST ${url} \\
  -H "Authorization: Bearer $ANDON_KILL_TOKEN" -H "Content-Type: application/json" \\
  -d '{"id": "nightly-check", "status": "firing", "title": "The nightly check failed"}'`;
  }
}
