/** Watches: what each is set to, what single flags have of their own, and a form that shows what it would have told. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import type { FlagResource } from "../../api/flag.ts";
import {
  DEFAULT_PREVIEW_DAYS,
  MAX_PREVIEW_DAYS,
  type WatchInput,
  type WatchPreview,
  type WatchResource,
} from "../../api/watch.ts";
import { LATENCY_BUCKETS_MS } from "../../domain/ledger.ts";
import { DEFAULT_WATCHES, WATCH_KINDS, type WatchKind, type WatchSetting } from "../../domain/watch.ts";
import { duration } from "../../domain/watch-text.ts";
import { AppError } from "../../errors.ts";
import { listFlags } from "../../services/flags/flags.ts";
import { previewWatch } from "../../services/watches/preview.ts";
import { listWatches, putWatch, resetWatch } from "../../services/watches/watches.ts";
import { Checkbox, Field, type FieldErrors, FormErrors, NO_ERRORS, Select } from "../form/parts.tsx";
import { pressed, submitted } from "../form/submit.ts";
import { IncidentTabs } from "../incidents/tabs.tsx";
import { done } from "../shell/act.tsx";
import { Moment } from "../shell/moment.tsx";
import {
  type Form,
  mayAdminister,
  type PageContext,
  type PageEnv,
  readForm,
  serviceContext,
} from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { count } from "../text/text.ts";
import { settingWords, WATCH_WORDS } from "./words.ts";

/** Times that are listed; the others are counted. */
const SHOWN_EPISODES = 12;

export function watchPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/watches", async (c) => listPage(c, deps));
  app.get("/e/:environment/watches/:kind", async (c) => editPage(c, deps, { kind: kindOf(c), errors: NO_ERRORS }));
  app.post("/e/:environment/watches/:kind", async (c) => {
    const kind = kindOf(c);
    const form = await readForm(c);
    const typed = typedIn(form);
    if (form.text("do") === "preview") return editPage(c, deps, { kind, errors: NO_ERRORS, typed });
    return submitted(
      async () => {
        const { environment } = c.req.param();
        const flag = typed.flag === "" ? null : typed.flag;
        const { value } = await putWatch(serviceContext(c, deps), environment, { kind, flag, input: inputOf(typed) });
        const whose = flag === null ? "of all flags without a setting of their own" : `of ${flag}`;
        return done(
          c,
          `/e/${environment}/watches`,
          `"${WATCH_WORDS[kind].name}" ${whose}: ${settingWords(kind, value)}.`,
        );
      },
      (errors) => editPage(c, deps, { kind, errors, typed }),
    );
  });
  app.post("/e/:environment/watches/:kind/reset", async (c) => {
    const { environment } = c.req.param();
    const kind = kindOf(c);
    const form = await readForm(c);
    const path = `/e/${environment}/watches`;
    return pressed(c, path, async () => {
      const flag = form.text("flag") === "" ? null : form.text("flag");
      await resetWatch(serviceContext(c, deps), environment, { kind, flag });
      return done(c, path, flag === null ? "The default counts again." : `${flag} has no setting of its own any more.`);
    });
  });
  return app;
}

/** What was typed. */
interface Typed {
  /** "": of all flags. */
  flag: string;
  enabled: boolean;
  limit: string;
  minimum: string;
  days: string;
}

function typedIn(form: Form): Typed {
  return {
    flag: form.trimmed("flag"),
    enabled: form.has("enabled"),
    limit: form.trimmed("limit"),
    minimum: form.trimmed("minimum"),
    days: form.trimmed("days"),
  };
}

/** What is no number is refused where its bounds are known. */
function inputOf({ enabled, limit, minimum }: Typed): Required<WatchInput> {
  return { enabled, limit: numberOf(limit), minimum: numberOf(minimum) };
}

const numberOf = (text: string): number => (text === "" ? Number.NaN : Number(text));

function kindOf(c: PageContext): WatchKind {
  const kind = WATCH_KINDS.find((one) => one === c.req.param("kind"));
  if (kind === undefined) throw new AppError("NOT_FOUND", "There is no such watch.");
  return kind;
}

async function listPage(c: PageContext, deps: Deps) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  const { items } = await listWatches(serviceContext(c, deps), environment);
  const base = `/e/${environment}`;
  const admin = mayAdminister(actor);
  return sendPage(
    c,
    deps,
    { title: "Watches", section: "incidents", actor, environment },
    <>
      <h1>Watches</h1>
      <IncidentTabs base={base} tab="watches" />
      <section class="card stack">
        <p>
          What is unusual opens an incident and tells the channels, with the user, session, model or version behind it.
          It switches nothing. It is told again only when it has doubled, and ends when it has been within its limit for
          half an hour. What begins within ten minutes is one incident, and a flag that is off is not watched.
        </p>
      </section>
      {WATCH_KINDS.map((kind) => (
        <WatchCard
          kind={kind}
          items={items.filter((one) => one.kind === kind)}
          base={base}
          admin={admin}
          nowMs={deps.clock.nowMs()}
        />
      ))}
    </>,
  );
}

interface CardProps {
  kind: WatchKind;
  /** The environment's first. */
  items: readonly WatchResource[];
  base: string;
  admin: boolean;
  nowMs: number;
}

function WatchCard({ kind, items, base, admin, nowMs }: CardProps) {
  const { name, about } = WATCH_WORDS[kind];
  const path = `${base}/watches/${kind}`;
  return (
    <section class="card stack" id={kind}>
      <h2>{name}</h2>
      <p class="dim">{about}</p>
      <ul class="list">
        {items.map((item) => (
          <li class="entry">
            <div>
              <p>
                {item.flag === null ? <b>All flags</b> : <code>{item.flag}</code>}: {settingWords(kind, item)}
              </p>
              {item.changedAt === null ? (
                <p class="dim">The default</p>
              ) : (
                <p class="dim">
                  By {item.changedBy} <Moment at={item.changedAt} nowMs={nowMs} />
                </p>
              )}
            </div>
            <div class="acts">
              <a
                class="button"
                href={item.flag === null ? path : `${path}?flag=${encodeURIComponent(item.flag)}`}
                aria-label={`${admin ? "Change" : "Preview"} ${name} of ${item.flag ?? "all flags"}…`}
              >
                {admin ? "Change…" : "Preview…"}
              </a>
              {admin && item.changedAt !== null ? (
                <form method="post" action={`${path}/reset`}>
                  <input type="hidden" name="flag" value={item.flag ?? ""} />
                  <button aria-label={`Reset ${name} of ${item.flag ?? "all flags"}`}>Reset</button>
                </form>
              ) : null}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface Editing {
  kind: WatchKind;
  errors: FieldErrors;
  typed?: Typed;
}

async function editPage(c: PageContext, deps: Deps, { kind, errors, typed }: Editing) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  const ctx = serviceContext(c, deps);
  const [{ items }, flags] = await Promise.all([listWatches(ctx, environment), listFlags(ctx, environment)]);
  const draft = typed ?? draftOf(kind, items, c.req.query("flag") ?? "");
  const base = `/e/${environment}`;
  const { name, about } = WATCH_WORDS[kind];
  const path = `${base}/watches/${kind}`;
  const preview = await previewOf(ctx, environment, kind, draft);
  const all = preview.errors.size > 0 && errors.size === 0 ? preview.errors : errors;
  return sendPage(
    c,
    deps,
    { title: name, section: "incidents", actor, environment, errors: all },
    <>
      <h1>{name}</h1>
      <IncidentTabs base={base} tab="watches" />
      <form class="card stack" method="post" action={path}>
        <FormErrors errors={all} fields={["flag", "limit", "minimum", "days"]} />
        <p class="dim">{about}</p>
        <WatchFields kind={kind} draft={draft} flags={flags.items} errors={all} />
        <div class="acts">
          <button class="main" name="do" value="preview">
            Preview
          </button>
          {mayAdminister(actor) ? (
            <button name="do" value="save">
              Save
            </button>
          ) : null}
          <a class="button" href={`${base}/watches`}>
            Cancel
          </a>
        </div>
      </form>
      {preview.found === null ? null : <Preview found={preview.found} draft={draft} nowMs={deps.clock.nowMs()} />}
      {preview.why === undefined ? null : (
        <section class="card stack" id="preview" aria-label="Preview">
          <h2>No preview now</h2>
          <p>{preview.why} Choose one flag or fewer days, or save without it: the watch itself reads far less.</p>
        </section>
      )}
    </>,
  );
}

/** A flag without a setting of its own begins with the environment's. */
function draftOf(kind: WatchKind, items: readonly WatchResource[], flag: string): Typed {
  const ofKind = items.filter((one) => one.kind === kind);
  const setting: WatchSetting =
    ofKind.find((one) => one.flag === flag) ?? ofKind.find((one) => one.flag === null) ?? DEFAULT_WATCHES[kind];
  const { enabled, limit, minimum } = setting;
  return { flag, enabled, limit: String(limit), minimum: String(minimum), days: String(DEFAULT_PREVIEW_DAYS) };
}

/** What these figures would have told; with errors beside the fields when they are none; why, when it cannot be read now. */
async function previewOf(
  ctx: ReturnType<typeof serviceContext>,
  environment: string,
  kind: WatchKind,
  draft: Typed,
): Promise<{ found: WatchPreview | null; errors: FieldErrors; why?: string }> {
  const errors = new Map<string, string>();
  const days = Number(draft.days);
  if (!Number.isInteger(days) || days < 1 || days > MAX_PREVIEW_DAYS) {
    errors.set("days", `must be a whole number from 1 to ${MAX_PREVIEW_DAYS}`);
    return { found: null, errors };
  }
  const { limit, minimum } = inputOf(draft);
  const query = { days, limit, minimum, ...(draft.flag !== "" && { flag: draft.flag }) };
  try {
    return { found: await previewWatch(ctx, environment, kind, query), errors };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (error.code === "DATABASE_AWAY" || error.code === "OVERLOADED")
      return { found: null, errors, why: error.message };
    if (error.code !== "INVALID") throw error;
    for (const { path, message } of error.faults) errors.set(path, message);
    return { found: null, errors };
  }
}

interface FieldsProps {
  kind: WatchKind;
  draft: Typed;
  flags: readonly FlagResource[];
  errors: FieldErrors;
}

function WatchFields({ kind, draft, flags, errors }: FieldsProps) {
  const { limitLabel, minimumLabel, minimumHint } = WATCH_WORDS[kind];
  const options = [
    { value: "", label: "All flags without a setting of their own" },
    ...flags.map(({ key, name }) => ({ value: key, label: `${name} (${key})` })),
  ];
  return (
    <>
      <Select name="flag" label="Which flags" value={draft.flag} options={options} errors={errors} />
      <Checkbox name="enabled" label="Tell on-call" checked={draft.enabled} />
      {kind === "latency" ? (
        <Select
          name="limit"
          label={limitLabel}
          value={draft.limit}
          options={LATENCY_BUCKETS_MS.map((bound) => ({ value: String(bound), label: duration(bound) }))}
          errors={errors}
        />
      ) : (
        <Field name="limit" label={limitLabel} value={draft.limit} errors={errors} inputmode="decimal" required />
      )}
      <Field
        name="minimum"
        label={minimumLabel}
        value={draft.minimum}
        errors={errors}
        hint={minimumHint}
        inputmode="decimal"
        required
      />
      <Field name="days" label="Days of the preview" value={draft.days} errors={errors} inputmode="numeric" required />
    </>
  );
}

/** "Would have fired 3 times in the last 7 days", each with its time; what cannot be told is said. */
function Preview({ found, draft, nowMs }: { found: WatchPreview; draft: Typed; nowMs: number }) {
  const { fired, episodes, flags, notes } = found;
  const often = fired === 0 ? "not once" : fired === 1 ? "once" : `${fired} times`;
  const shown = episodes.slice(0, SHOWN_EPISODES);
  return (
    <section class="card stack" id="preview" aria-label="Preview">
      <h2>{`Would have fired ${often} in the last ${count(Number(draft.days), "day")}`}</h2>
      {draft.enabled ? null : <p>It is off: it tells nobody.</p>}
      {flags === 0 ? (
        <p>{draft.flag === "" ? "No flag was called in these days." : `${draft.flag} was not called in these days.`}</p>
      ) : null}
      {shown.length === 0 ? null : (
        <ul class="list">
          {shown.map((one) => (
            <li>
              <p>
                <Moment at={one.at} nowMs={nowMs} exact />
                {one.until === null ? (
                  ", and still"
                ) : one.until === one.at ? null : (
                  <>
                    {" "}
                    until <Moment at={one.until} nowMs={nowMs} exact />
                  </>
                )}
                : {one.title}
              </p>
            </li>
          ))}
        </ul>
      )}
      {fired > shown.length ? <p>{`And ${fired - shown.length} times before.`}</p> : null}
      {notes.map((note) => (
        <p class="dim">{note}</p>
      ))}
    </section>
  );
}
