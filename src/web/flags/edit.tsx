/** Creating, editing and deleting a flag. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { AppError } from "../../errors.ts";
import { requireScope } from "../../authorize.ts";
import { listChains } from "../../services/models/chains.ts";
import { createFlag, deleteFlag, getFlag, updateFlag } from "../../services/flags/flags.ts";
import { done } from "../shell/act.tsx";
import { draftFrom, draftOf, emptyFlag, type FlagDraft, parseDraft, reshaped } from "./draft.ts";
import { FlagForm } from "./form.tsx";
import { type FieldErrors, NO_ERRORS } from "../form/parts.tsx";
import { type PageContext, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { staying } from "./staying-budgets.ts";
import { sendPage } from "../shell/render.tsx";
import { pressed, submitted } from "../form/submit.ts";

export function flagEditPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/flags/new", async (c) => newPage(c, deps, emptyFlag(c.req.query("key") ?? ""), NO_ERRORS));
  app.post("/e/:environment/flags/new", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    const draft = draftFrom(form);
    const changed = reshaped(draft, form.text("do"));
    if (changed !== null) return newPage(c, deps, changed, NO_ERRORS);
    return submitted(
      async () => {
        const created = await createFlag(serviceContext(c, deps), environment, parseDraft(draft));
        return done(
          c,
          `/e/${environment}`,
          `${created.value.name} is under control: it is on, and can be killed here.`,
        );
      },
      (errors) => newPage(c, deps, draft, errors),
    );
  });

  app.get("/e/:environment/flags/:key/edit", async (c) => {
    const { environment, key } = c.req.param();
    requireScope(c.get("actor"), "admin");
    const flag = await getFlag(serviceContext(c, deps), environment, key);
    return editPage(c, deps, draftOf(flag), flag.version, NO_ERRORS);
  });
  app.post("/e/:environment/flags/:key/edit", async (c) => {
    const { environment, key } = c.req.param();
    const form = await readForm(c);
    const draft = { ...draftFrom(form), key };
    const version = versionOf(form.text("version"));
    const changed = reshaped(draft, form.text("do"));
    if (changed !== null) return editPage(c, deps, changed, version, NO_ERRORS);
    return submitted(
      async () => {
        const { key: _key, ...patch } = parseDraft(draft);
        const saved = await updateFlag(serviceContext(c, deps), environment, key, patch, `"${version}"`);
        return done(c, `/e/${environment}/flags/${key}`, `Saved ${saved.value.name}.`);
      },
      (errors) => editPage(c, deps, draft, version, errors),
    );
  });

  app.post("/e/:environment/flags/:key/delete", async (c) => {
    const { environment, key } = c.req.param();
    return pressed(c, `/e/${environment}/flags/${key}`, async () => {
      const { value } = await deleteFlag(serviceContext(c, deps), environment, key);
      const stay = value.length === 0 ? "" : ` ${staying(value)}`;
      return done(c, `/e/${environment}`, `Deleted the flag ${key}.${stay}`);
    });
  });

  return app;
}

async function newPage(c: PageContext, deps: Deps, draft: FlagDraft, errors: FieldErrors) {
  const { environment = "" } = c.req.param();
  return formPage(c, deps, {
    draft,
    errors,
    version: null,
    title: "New flag",
    action: `/e/${environment}/flags/new`,
    cancel: `/e/${environment}`,
  });
}

async function editPage(c: PageContext, deps: Deps, draft: FlagDraft, version: number, errors: FieldErrors) {
  const { environment = "", key = "" } = c.req.param();
  const path = `/e/${environment}/flags/${key}`;
  return formPage(c, deps, { draft, errors, version, title: `Edit ${key}`, action: `${path}/edit`, cancel: path });
}

interface FormPage {
  draft: FlagDraft;
  errors: FieldErrors;
  version: number | null;
  title: string;
  action: string;
  cancel: string;
}

async function formPage(c: PageContext, deps: Deps, props: FormPage) {
  const { environment = "" } = c.req.param();
  requireScope(c.get("actor"), "admin");
  const chains = (await listChains(serviceContext(c, deps), environment)).items.map((chain) => chain.name);
  return sendPage(
    c,
    deps,
    {
      title: props.title,
      section: "board",
      actor: c.get("actor"),
      environment,
      errors: props.errors,
    },
    <FlagForm {...props} chains={chains} />,
  );
}

function versionOf(text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new AppError("INVALID", "This form does not say which version it edits. Open it again.");
  return Number(text);
}
