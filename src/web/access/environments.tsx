/** Creating an environment. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { requireScope } from "../../authorize.ts";
import { MAX_NAME_CHARS } from "../../domain/limits.ts";
import { environmentBody } from "../../api/environment.ts";
import { createEnvironment } from "../../services/access/environments.ts";
import { done } from "../shell/act.tsx";
import { FormActs, Field, type FieldErrors, FormErrors, NO_ERRORS } from "../form/parts.tsx";
import { type Form, type PageContext, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { parseForm, submitted } from "../form/submit.ts";

export function environmentPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/environments/new", (c) => page(c, deps, NO_ERRORS));
  app.post("/environments", async (c) => {
    const form = await readForm(c);
    return submitted(
      async () => {
        const parsed = parseForm(environmentBody, { key: form.trimmed("key"), name: form.trimmed("name") });
        const created = await createEnvironment(serviceContext(c, deps), parsed);
        return done(c, `/e/${created.key}`, `Created the environment ${created.name}.`);
      },
      (errors) => page(c, deps, errors, form),
    );
  });
  return app;
}

function page(c: PageContext, deps: Deps, errors: FieldErrors, form?: Form) {
  requireScope(c.get("actor"), "admin");
  return sendPage(
    c,
    deps,
    { title: "New environment", actor: c.get("actor"), errors },
    <form class="card stack" method="post" action="/environments">
      <h1>New environment</h1>
      <FormErrors errors={errors} fields={["key", "name"]} />
      <p>Flags, chains, model blocks and application tokens belong to one environment each.</p>
      <Field
        name="name"
        label="Name"
        value={form?.text("name") ?? ""}
        errors={errors}
        maxlength={MAX_NAME_CHARS}
        autofocus
      />
      <Field
        name="key"
        label="Key"
        value={form?.text("key") ?? ""}
        errors={errors}
        mono
        hint="In addresses and tokens: production-eu. It cannot be changed later."
      />
      <FormActs does="Create environment" cancel="/" />
    </form>,
  );
}
