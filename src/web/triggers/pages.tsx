/** Triggers: whose alerts pull the cord here, what came of the last one, and how each sender is set up. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { requireScope } from "../../authorize.ts";
import { createTriggerBody, type TriggerResource, updateTriggerBody } from "../../api/trigger.ts";
import { sourceName } from "../../domain/trigger.ts";
import { listFlags } from "../../services/flags/flags.ts";
import {
  createTrigger,
  deleteTrigger,
  getTrigger,
  listTriggers,
  updateTrigger,
} from "../../services/triggers/triggers.ts";
import { type FieldErrors, FormActs, NO_ERRORS } from "../form/parts.tsx";
import { parseForm, pressed, submitted } from "../form/submit.ts";
import { IncidentTabs } from "../incidents/tabs.tsx";
import { done } from "../shell/act.tsx";
import { Moment } from "../shell/moment.tsx";
import { mayAdminister, type PageContext, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { bodyOf, draftFrom, draftOf, Setup, type TriggerDraft, TriggerForm } from "./form.tsx";

export function triggerPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/triggers", async (c) => {
    const { environment } = c.req.param();
    const { items } = await listTriggers(serviceContext(c, deps), environment);
    const base = `/e/${environment}`;
    const admin = mayAdminister(c.get("actor"));
    return sendPage(
      c,
      deps,
      { title: "Triggers", section: "incidents", actor: c.get("actor"), environment },
      <>
        <h1>Triggers</h1>
        <IncidentTabs base={base} tab="triggers" />
        {items.length === 0 ? (
          <section class="card">
            <p>
              <b>No trigger yet: no alert of another system turns anything off here.</b> With one, an alert of
              Alertmanager, Grafana, Datadog, PagerDuty or a script of yours turns flags off or steps them down the
              moment it fires. It can do nothing else.
            </p>
          </section>
        ) : (
          <ul class="list">
            {items.map((trigger) => (
              <Entry trigger={trigger} base={base} nowMs={deps.clock.nowMs()} admin={admin} />
            ))}
          </ul>
        )}
        {admin ? (
          <div class="acts">
            <a class="button main" href={`${base}/triggers/new`}>
              New trigger…
            </a>
          </div>
        ) : (
          <p class="dim">An admin adds triggers.</p>
        )}
      </>,
    );
  });

  app.get("/e/:environment/triggers/new", async (c) => formPage(c, deps, null, draftOf(null), NO_ERRORS));
  app.post("/e/:environment/triggers", async (c) => {
    const { environment } = c.req.param();
    const draft = draftFrom(await readForm(c));
    return submitted(
      async () => {
        const parsed = parseForm(createTriggerBody, bodyOf(draft, true));
        const { value } = await createTrigger(serviceContext(c, deps), environment, parsed);
        return done(
          c,
          `/e/${environment}/triggers#trigger-${value.id}`,
          `Created ${value.name}. Set its sender up now.`,
        );
      },
      (errors) => formPage(c, deps, null, draft, errors),
    );
  });

  app.get("/e/:environment/triggers/:id", async (c) => {
    const trigger = await triggerOf(c, deps);
    return formPage(c, deps, trigger, draftOf(trigger), NO_ERRORS);
  });
  app.post("/e/:environment/triggers/:id", async (c) => {
    const { environment, id } = c.req.param();
    const form = await readForm(c);
    const draft = draftFrom(form);
    return submitted(
      async () => {
        const parsed = parseForm(updateTriggerBody, bodyOf(draft, false));
        const version = `"${form.text("version")}"`;
        const { value } = await updateTrigger(serviceContext(c, deps), environment, id, parsed, version);
        return done(c, `/e/${environment}/triggers#trigger-${id}`, `Saved ${value.name}.`);
      },
      async (errors) => formPage(c, deps, await triggerOf(c, deps), draft, errors),
    );
  });

  app.get("/e/:environment/triggers/:id/delete", async (c) => {
    const { environment } = c.req.param();
    requireScope(c.get("actor"), "admin");
    const { id, name } = await triggerOf(c, deps);
    const path = `/e/${environment}/triggers`;
    return sendPage(
      c,
      deps,
      { title: `Delete ${name}`, section: "incidents", actor: c.get("actor"), environment },
      <form class="card stack" method="post" action={`${path}/${id}/delete`}>
        <h1>{`Delete trigger ${name}?`}</h1>
        <p>Its alerts pull nothing any more. What it has switched stays until somebody restores.</p>
        <FormActs does="Delete it" cancel={path} isDangerous />
      </form>,
    );
  });
  app.post("/e/:environment/triggers/:id/delete", async (c) => {
    const { environment, id } = c.req.param();
    const path = `/e/${environment}/triggers`;
    return pressed(c, path, async () => {
      const { name } = await triggerOf(c, deps);
      await deleteTrigger(serviceContext(c, deps), environment, id);
      return done(c, path, `Deleted ${name}: its alerts pull nothing any more.`);
    });
  });

  return app;
}

interface EntryProps {
  trigger: TriggerResource;
  base: string;
  nowMs: number;
  admin: boolean;
}

function Entry({ trigger, base, nowMs, admin }: EntryProps) {
  const path = `${base}/triggers/${trigger.id}`;
  const { action, level, flags, tag, expiresMinutes } = trigger;
  return (
    <li class="card stack" id={`trigger-${trigger.id}`}>
      <div class="title">
        <div class="names">
          <h2>{trigger.name}</h2>
          {trigger.paused ? <span class="dim">paused: its alerts pull nothing</span> : null}
          <span class="dim">{sourceName(trigger.source)}</span>
        </div>
        {admin ? (
          <div class="acts">
            <a class="button" href={path} aria-label={`Edit ${trigger.name}…`}>
              Edit…
            </a>
            <a class="button" href={`${path}/delete`} aria-label={`Delete ${trigger.name}…`}>
              Delete…
            </a>
          </div>
        ) : null}
      </div>
      <p>
        {action === "kill" ? "Turns off " : "Steps down "}
        {tag === null ? (
          flags.map((key, at) => (
            <>
              {at === 0 ? "" : ", "}
              <a href={`${base}/flags/${key}`}>
                <code>{key}</code>
              </a>
            </>
          ))
        ) : (
          <>
            all with the tag <code>{tag}</code>
          </>
        )}
        {level === null ? "" : `, to level ${level}`}
        {expiresMinutes === null ? "; until somebody restores." : `; for ${expiresMinutes} minutes.`}
      </p>
      <p class="dim">
        {trigger.receivedAt === null ? (
          "Never heard of it."
        ) : (
          <>
            Heard <Moment at={trigger.receivedAt} nowMs={nowMs} />: {trigger.received}
          </>
        )}
      </p>
      {admin ? <Setup trigger={trigger} tokens={`${base}/tokens`} /> : null}
    </li>
  );
}

async function formPage(
  c: PageContext,
  deps: Deps,
  trigger: TriggerResource | null,
  draft: TriggerDraft,
  errors: FieldErrors,
) {
  const { environment = "" } = c.req.param();
  requireScope(c.get("actor"), "admin");
  const { items } = await listFlags(serviceContext(c, deps), environment);
  const base = `/e/${environment}/triggers`;
  return sendPage(
    c,
    deps,
    {
      title: trigger === null ? "New trigger" : `Edit ${trigger.name}`,
      section: "incidents",
      actor: c.get("actor"),
      environment,
      errors,
    },
    <TriggerForm
      draft={draft}
      errors={errors}
      trigger={trigger}
      action={trigger === null ? base : `${base}/${trigger.id}`}
      cancel={base}
      flags={items}
    />,
  );
}

async function triggerOf(c: PageContext, deps: Deps): Promise<TriggerResource> {
  const { environment = "", id = "" } = c.req.param();
  return getTrigger(serviceContext(c, deps), environment, id);
}
