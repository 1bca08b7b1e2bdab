/** A channel in the list, its forms, and its signing secret on the one page that shows it. */
import type { ChannelResource } from "../../api/channel.ts";
import {
  addressOf,
  CHANNEL_KINDS,
  type ChannelKind,
  type ChannelTold,
  DEFAULT_ESCALATE_AFTER_MINUTES,
  PAGERDUTY_URL,
  SEVERITIES,
  type Severity,
} from "../../domain/channel.ts";
import type { QuietHours } from "../../domain/quiet-hours.ts";
import { MAX_NAME_CHARS } from "../../domain/limits.ts";
import type { ChannelTrouble } from "../../services/alerts/undelivered.ts";
import { FormActs, Checkbox, Field, type FieldErrors, FormErrors, Select } from "../form/parts.tsx";
import { Moment } from "../shell/moment.tsx";
import type { Form } from "../shell/page-context.ts";

export const KIND_NAMES: Readonly<Record<ChannelKind, string>> = {
  slack: "Slack",
  pagerduty: "PagerDuty",
  webhook: "webhook",
  email: "e-mail",
};

export interface ChannelEntryProps {
  channel: ChannelResource;
  trouble: ChannelTrouble | undefined;
  base: string;
  nowMs: number;
  operator: boolean;
  admin: boolean;
}

export function ChannelEntry({ channel, trouble, base, nowMs, operator, admin }: ChannelEntryProps) {
  const path = `${base}/channels/${channel.id}`;
  const { waiting, failed } = channel.alerts;
  return (
    <li class="entry">
      <div>
        <p>
          <b>{channel.name}</b> {KIND_NAMES[channel.kind]} <code>{channel.url}</code>
          {channel.routingKey === null ? null : (
            <>
              {" "}
              key <code>{channel.routingKey}</code>
            </>
          )}
        </p>
        {channel.escalateAfterMinutes === null ? null : (
          <p>{`Escalation: told when nobody has acknowledged for ${channel.escalateAfterMinutes} min.`}</p>
        )}
        {channel.minSeverity === "info" ? null : <p>{`Told from ${channel.minSeverity} on.`}</p>}
        {channel.quietHours === null ? null : <p>{quietText(channel.quietHours)}</p>}
        <p class="dim">
          {channel.testedAt === null ? (
            "Never tested."
          ) : (
            <>
              Tested <Moment at={channel.testedAt} nowMs={nowMs} />: {channel.testResult ?? ""}
            </>
          )}
        </p>
        {trouble === undefined ? null : <Trouble trouble={trouble} nowMs={nowMs} />}
        {waiting + failed === 0 ? null : (
          <p class="lag">
            <a href={`${base}/alerts${failed > 0 ? "?state=failed" : "?state=waiting"}`}>
              {[...(waiting > 0 ? [`${waiting} waiting`] : []), ...(failed > 0 ? [`${failed} failed`] : [])].join(", ")}
            </a>
          </p>
        )}
      </div>
      <div class="acts">
        {operator ? (
          <form method="post" action={`${path}/test`}>
            <button aria-label={`Test ${channel.name}`}>Test</button>
          </form>
        ) : null}
        {admin ? (
          <>
            <a class="button" href={path} aria-label={`Edit ${channel.name}…`}>
              Edit…
            </a>
            <a class="button" href={`${path}/delete`} aria-label={`Delete ${channel.name}…`}>
              Delete…
            </a>
          </>
        ) : null}
      </div>
    </li>
  );
}

function Trouble({ trouble, nowMs }: { trouble: ChannelTrouble; nowMs: number }) {
  return (
    <p class="lag">
      {trouble.takesNothing ? (
        <b>Has taken no alert since</b>
      ) : (
        `Takes other alerts, but has not taken ${trouble.waiting} since`
      )}{" "}
      <Moment at={trouble.since} nowMs={nowMs} />: {trouble.error ?? "being tried again now."}
    </p>
  );
}

interface ChannelFormProps {
  kind: ChannelKind;
  action: string;
  errors: FieldErrors;
  form: Form | undefined;
}

/** Each kind has its own fields; the links above choose which, with JavaScript and without it. */
export function ChannelForm({ kind, action, errors, form }: ChannelFormProps) {
  return (
    <form class="card stack" method="post" action={action} id="add">
      <h2>Add a channel</h2>
      <nav class="chips" aria-label="Kind of channel">
        {CHANNEL_KINDS.map((one) => (
          <a class="chip-button" href={`${action}?kind=${one}#add`} aria-current={one === kind ? "true" : undefined}>
            {KIND_NAMES[one]}
          </a>
        ))}
      </nav>
      <p class="dim">{KIND_NOTES[kind]}</p>
      <FormErrors errors={errors} fields={FIELDS} />
      <input type="hidden" name="kind" value={kind} />
      <Field
        name="name"
        label="Name"
        value={form?.text("name") ?? ""}
        errors={errors}
        maxlength={MAX_NAME_CHARS}
        hint="Who is reached, for example #on-call"
      />
      {kind === "pagerduty" ? (
        <RoutingKey label="Integration key" form={form} errors={errors} hint={SECRET_HINT} />
      ) : null}
      {kind === "email" ? (
        <Address
          label="Address"
          form={form}
          errors={errors}
          hint="One address; of several people, that of their list."
        />
      ) : (
        <Field
          name="url"
          label={kind === "pagerduty" ? "Where events go" : "URL"}
          value={form?.text("url") ?? (kind === "pagerduty" ? PAGERDUTY_URL : "")}
          errors={errors}
          inputmode="url"
          mono
          hint={kind === "pagerduty" ? "Accounts in the EU: https://events.eu.pagerduty.com/v2/enqueue" : SECRET_HINT}
        />
      )}
      <ToldFields escalateAfterMinutes={null} minSeverity="info" quietHours={null} form={form} errors={errors} />
      <div>
        <button class="main">Add channel</button>
      </div>
    </form>
  );
}

const SECRET_HINT = "Whoever has it can write there: it is kept secret and shown masked.";

const KIND_NOTES: Readonly<Record<ChannelKind, string>> = {
  slack: "An incoming webhook: Slack → Apps → Incoming Webhooks.",
  pagerduty:
    "A service's integration of the kind Events API v2. One page for each incident, acknowledged and resolved with it.",
  webhook: "Any receiver; signed by Standard Webhooks.",
  email: "Sent by the mail server that whoever runs Andon has set (ANDON_SMTP_URL).",
};

const FIELDS = [
  "name",
  "url",
  "to",
  "routingKey",
  "escalateAfterMinutes",
  "minSeverity",
  "quietHours.from",
  "quietHours.to",
  "quietHours.timezone",
];

const SEVERITY_LABELS: Readonly<Record<Severity, string>> = {
  info: "info: everything",
  warning: "warning: a threshold, a model without a price",
  error: "error: downgraded, a model taken out",
  critical: "critical: turned off, over its limit, refused by Claude",
};

/** "Quiet from 22:00 to 07:00 Europe/Berlin: only what is critical comes at once." */
function quietText({ from, to, timezone }: QuietHours): string {
  return `Quiet from ${from} to ${to} ${timezone}: only what is critical comes at once.`;
}

/** When it is told. */
function ToldFields({
  escalateAfterMinutes: minutes,
  minSeverity,
  quietHours,
  form,
  errors,
}: ChannelTold & Pick<ChannelFormProps, "form" | "errors">) {
  const isForEscalation = form === undefined ? minutes !== null : form.has("escalation");
  return (
    <>
      <Checkbox
        name="escalation"
        label="For escalation"
        checked={isForEscalation}
        hint="Told only of an incident that nobody has acknowledged for a while, and of what follows."
      />
      <Field
        name="escalateAfterMinutes"
        label="Escalate after, in minutes"
        value={form?.text("escalateAfterMinutes") ?? String(minutes ?? DEFAULT_ESCALATE_AFTER_MINUTES)}
        errors={errors}
        inputmode="numeric"
        hint="Counts only for escalation."
      />
      <Select
        name="minSeverity"
        label="Told from which severity on"
        value={form?.text("minSeverity") ?? minSeverity}
        errors={errors}
        options={SEVERITIES.map((severity) => ({ value: severity, label: SEVERITY_LABELS[severity] }))}
      />
      <Field
        name="quietHours.from"
        label="Quiet hours from (optional)"
        type="time"
        value={form?.text("quietHours.from") ?? quietHours?.from ?? ""}
        errors={errors}
        hint="What is critical comes at once all the same. All else waits for their end and comes as one digest."
      />
      <Field
        name="quietHours.to"
        label="Until"
        type="time"
        value={form?.text("quietHours.to") ?? quietHours?.to ?? ""}
        errors={errors}
      />
      <Field
        name="quietHours.timezone"
        label="Time zone"
        value={form?.text("quietHours.timezone") ?? quietHours?.timezone ?? "UTC"}
        errors={errors}
        hint="For example Europe/Berlin"
      />
    </>
  );
}

function Address({ label, hint, errors, form }: SecretFieldProps) {
  return <Field name="to" label={label} value={form?.text("to") ?? ""} errors={errors} mono hint={hint} />;
}

interface SecretFieldProps {
  label: string;
  hint: string;
  errors: FieldErrors;
  form: Form | undefined;
}

function RoutingKey({ label, hint, errors, form }: SecretFieldProps) {
  const value = form?.text("routingKey") ?? "";
  return <Field name="routingKey" label={label} value={value} errors={errors} mono hint={hint} />;
}

interface EditChannelProps {
  channel: ChannelResource;
  base: string;
  errors: FieldErrors;
  form: Form | undefined;
}

export function EditChannelForm({ channel, base, errors, form }: EditChannelProps) {
  return (
    <form class="card stack" method="post" action={`${base}/${channel.id}`}>
      <h1>{`Edit channel ${channel.name}`}</h1>
      <FormErrors errors={errors} fields={FIELDS} />
      <input type="hidden" name="version" value={form?.text("version") ?? String(channel.version)} />
      <Field
        name="name"
        label="Name"
        value={form?.text("name") ?? channel.name}
        errors={errors}
        maxlength={MAX_NAME_CHARS}
      />
      {channel.kind === "email" ? (
        <Address
          label="New address (optional)"
          form={form}
          errors={errors}
          hint={`Now ${addressOf(channel.url)}. Left empty, it stays.`}
        />
      ) : (
        <Field
          name="url"
          label="New URL (optional)"
          value={form?.text("url") ?? ""}
          errors={errors}
          inputmode="url"
          mono
          hint={`Now ${channel.url}. Left empty, it stays.`}
        />
      )}
      {channel.kind === "pagerduty" ? (
        <RoutingKey
          label="New integration key (optional)"
          form={form}
          errors={errors}
          hint={`Now ${channel.routingKey ?? "none"}. Left empty, it stays. What the old key paged is still closed by it.`}
        />
      ) : null}
      <ToldFields {...channel} form={form} errors={errors} />
      {channel.kind === "webhook" ? (
        <Checkbox
          name="newSecret"
          label="Make a new signing secret"
          checked={form?.has("newSecret") ?? false}
          hint="The old one ends at once; the new one is shown once."
        />
      ) : null}
      <FormActs does="Save" cancel={base} />
    </form>
  );
}

export function ChannelSecret({ name, secret, base }: { name: string; secret: string; base: string }) {
  return (
    <section class="card stack">
      <h1>{`Signing secret of ${name}`}</h1>
      <p>
        <b>Copy it now: it is not shown again.</b> The receiver checks each message with it, by Standard Webhooks.
      </p>
      <code class="secret" id="secret">
        {secret}
      </code>
      <div class="acts">
        <button type="button" class="main" data-copy="secret" hidden>
          Copy the secret
        </button>
        <a class="button" href={base}>
          To the channels
        </a>
      </div>
    </section>
  );
}
