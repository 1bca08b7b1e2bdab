/** Channels: where alerts go. Added, edited and deleted by admins; the test button says at once what happened. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { requireScope } from "../../authorize.ts";
import { CHANNEL_KINDS } from "../../domain/channel.ts";
import { createChannelBody, updateChannelBody } from "../../api/channel.ts";
import { testChannel } from "../../services/alerts/channel-test.ts";
import { createChannel, deleteChannel, listChannels, updateChannel } from "../../services/alerts/channels.ts";
import { troubleOfChannels } from "../../services/alerts/undelivered.ts";
import { AppError } from "../../errors.ts";
import { done, flashOf } from "../shell/act.tsx";
import { ChannelEntry, ChannelForm, ChannelSecret, EditChannelForm } from "./parts.tsx";
import { type FieldErrors, FormActs, NO_ERRORS } from "../form/parts.tsx";
import { IncidentTabs } from "../incidents/tabs.tsx";
import {
  type Form,
  mayAdminister,
  mayOperate,
  type PageContext,
  type PageEnv,
  readForm,
  serviceContext,
  setFlash,
} from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { parseForm, pressed, submitted } from "../form/submit.ts";

export function channelPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/channels", async (c) => listPage(c, deps, NO_ERRORS));
  app.post("/e/:environment/channels", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    return submitted(
      async () => {
        const kind = form.text("kind");
        const parsed = parseForm(createChannelBody, {
          kind,
          name: form.text("name"),
          ...(kind === "email" ? { to: form.trimmed("to") } : { url: form.trimmed("url") }),
          ...(kind === "pagerduty" && { routingKey: form.trimmed("routingKey") }),
          ...toldTyped(form),
        });
        const { value } = await createChannel(serviceContext(c, deps), environment, parsed);
        if (value.secret !== null) return secretPage(c, deps, value.name, value.secret);
        return done(c, `/e/${environment}/channels`, `Added ${value.name}. Test it now, not at 3 AM.`);
      },
      (errors) => listPage(c, deps, errors, form),
    );
  });

  app.get("/e/:environment/channels/:id", async (c) => editPage(c, deps, NO_ERRORS));
  app.post("/e/:environment/channels/:id", async (c) => {
    const { environment, id } = c.req.param();
    const form = await readForm(c);
    return submitted(
      async () => {
        const url = form.trimmed("url");
        const routingKey = form.trimmed("routingKey");
        const to = form.trimmed("to");
        const parsed = parseForm(updateChannelBody, {
          name: form.text("name"),
          ...(url !== "" && { url }),
          ...(routingKey !== "" && { routingKey }),
          ...(to !== "" && { to }),
          ...toldTyped(form),
          ...(form.has("newSecret") && { newSecret: true }),
        });
        const ctx = serviceContext(c, deps);
        const { value } = await updateChannel(ctx, environment, id, parsed, `"${form.text("version")}"`);
        if (value.secret !== null) return secretPage(c, deps, value.name, value.secret);
        return done(c, `/e/${environment}/channels`, `Saved ${value.name}.`);
      },
      (errors) => editPage(c, deps, errors, form),
    );
  });

  app.post("/e/:environment/channels/:id/test", async (c) => {
    const { environment, id } = c.req.param();
    const path = `/e/${environment}/channels`;
    try {
      const ctx = serviceContext(c, deps);
      const { name } = await channelOf(c, deps);
      const { delivered, text } = await testChannel(ctx, environment, id);
      setFlash(c, {
        tone: delivered ? "done" : "problem",
        text: `Test of ${name}: ${text}${delivered ? " Look whether it arrived." : ""}`,
      });
    } catch (error) {
      setFlash(c, flashOf(error));
    }
    return c.redirect(path, 303);
  });

  app.get("/e/:environment/channels/:id/delete", async (c) => deletePage(c, deps));
  app.post("/e/:environment/channels/:id/delete", async (c) => {
    const { environment, id } = c.req.param();
    const path = `/e/${environment}/channels`;
    return pressed(c, path, async () => {
      const { name } = await channelOf(c, deps);
      await deleteChannel(serviceContext(c, deps), environment, id);
      return done(c, path, `Deleted ${name}: nothing is sent there any more.`);
    });
  });

  return app;
}

/** When it is told, as typed. */
function toldTyped(form: Form) {
  const [from, to, timezone] = ["from", "to", "timezone"].map((field) => form.trimmed(`quietHours.${field}`));
  return {
    escalateAfterMinutes: form.has("escalation") ? typedNumber(form.trimmed("escalateAfterMinutes")) : null,
    quietHours: from === "" && to === "" ? null : { from, to, timezone },
    ...(form.has("minSeverity") && { minSeverity: form.text("minSeverity") }),
  };
}

/** What is no number stays what it is, and is told so. */
function typedNumber(text: string): unknown {
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}

async function listPage(c: PageContext, deps: Deps, errors: FieldErrors, form?: Form) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  const ctx = serviceContext(c, deps);
  const [{ items }, troubles] = await Promise.all([
    listChannels(ctx, environment),
    troubleOfChannels(ctx, environment),
  ]);
  const base = `/e/${environment}`;
  const asked = form?.text("kind") ?? c.req.query("kind");
  const kind = CHANNEL_KINDS.find((one) => one === asked) ?? "slack";
  return sendPage(
    c,
    deps,
    { title: "Channels", section: "incidents", actor, environment, errors },
    <>
      <h1>Channels</h1>
      <IncidentTabs base={base} tab="channels" />
      <section class="card">
        {items.length > 0 && items.every((channel) => channel.escalateAfterMinutes !== null) ? (
          <p class="lag">Every channel is for escalation: nobody is told at once.</p>
        ) : null}
        {items.length === 0 ? (
          <p>
            <b>No channel yet: incidents are shown on the board and nobody is told.</b>{" "}
            {mayAdminister(actor)
              ? "Add Slack, PagerDuty, e-mail or a webhook below."
              : "An admin adds Slack, PagerDuty, e-mail or a webhook."}
          </p>
        ) : (
          <ul class="list">
            {items.map((channel) => (
              <ChannelEntry
                channel={channel}
                trouble={troubles.get(channel.id)}
                base={base}
                nowMs={deps.clock.nowMs()}
                operator={mayOperate(actor)}
                admin={mayAdminister(actor)}
              />
            ))}
          </ul>
        )}
      </section>
      {mayAdminister(actor) ? (
        <ChannelForm kind={kind} action={`${base}/channels`} errors={errors} form={form} />
      ) : null}
    </>,
  );
}

async function editPage(c: PageContext, deps: Deps, errors: FieldErrors, form?: Form) {
  const { environment = "" } = c.req.param();
  requireScope(c.get("actor"), "admin");
  const channel = await channelOf(c, deps);
  return sendPage(
    c,
    deps,
    {
      title: `Edit ${channel.name}`,
      section: "incidents",
      actor: c.get("actor"),
      environment,
      errors,
    },
    <EditChannelForm channel={channel} base={`/e/${environment}/channels`} errors={errors} form={form} />,
  );
}

async function deletePage(c: PageContext, deps: Deps) {
  const { environment = "" } = c.req.param();
  requireScope(c.get("actor"), "admin");
  const channel = await channelOf(c, deps);
  const path = `/e/${environment}/channels`;
  const { waiting } = channel.alerts;
  return sendPage(
    c,
    deps,
    { title: `Delete ${channel.name}`, section: "incidents", actor: c.get("actor"), environment },
    <form class="card stack" method="post" action={`${path}/${channel.id}/delete`}>
      <h1>{`Delete channel ${channel.name}?`}</h1>
      <p>
        Nothing is sent there any more.
        {channel.kind === "pagerduty" ? " Pages of open incidents stay open at PagerDuty: resolve them there." : ""}
        {waiting === 0
          ? ""
          : ` ${waiting === 1 ? "1 alert waits" : `${waiting} alerts wait`} for it and will never be sent.`}
      </p>
      <FormActs does="Delete it" cancel={path} isDangerous />
    </form>,
  );
}

function secretPage(c: PageContext, deps: Deps, name: string, secret: string) {
  const { environment = "" } = c.req.param();
  return sendPage(
    c,
    deps,
    { title: `Signing secret of ${name}`, section: "incidents", actor: c.get("actor"), environment },
    <ChannelSecret name={name} secret={secret} base={`/e/${environment}/channels`} />,
  );
}

async function channelOf(c: PageContext, deps: Deps) {
  const { environment = "", id = "" } = c.req.param();
  const { items } = await listChannels(serviceContext(c, deps), environment);
  const channel = items.find((one) => one.id === id);
  if (channel === undefined) throw new AppError("NOT_FOUND", "There is no such channel in this environment.");
  return channel;
}
