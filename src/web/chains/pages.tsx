/** Chains: list, create, edit, delete. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { requireScope } from "../../authorize.ts";
import { AppError } from "../../errors.ts";
import { deleteChain, getChain, listChains, putChain } from "../../services/models/chains.ts";
import { listModels } from "../../services/models/blocks.ts";
import { done } from "../shell/act.tsx";
import {
  type ChainDraft,
  chainDraftFrom,
  chainDraftOf,
  confirmsNew,
  EMPTY_CHAIN,
  parseChain,
  withStep,
  reshapedChain,
} from "./draft.ts";
import { ChainForm } from "./form.tsx";
import { type FieldErrors, NO_ERRORS } from "../form/parts.tsx";
import { mayAdminister, type PageContext, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { pressed, submitted } from "../form/submit.ts";

export function chainPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/chains", async (c) => listPage(c, deps));

  app.get("/e/:environment/chains/new", async (c) => formPage(c, deps, EMPTY_CHAIN, NO_ERRORS, null));
  app.post("/e/:environment/chains/new", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    const draft = chainDraftFrom(form);
    const changed = reshapedChain(draft, form.text("do"));
    if (changed !== null) return formPage(c, deps, changed, NO_ERRORS, null);
    return submitted(
      async () => {
        const { name, steps } = parseChain(draft);
        const ctx = serviceContext(c, deps);
        if ((await listChains(ctx, environment)).items.some((chain) => chain.name === name)) {
          throw new AppError("CONFLICT", `There is a chain ${name} already.`, {
            faults: [{ path: "name", message: "is taken" }],
          });
        }
        const { warnings } = await putChain(ctx, environment, name, { steps, newModel: confirmsNew(form) });
        return done(
          c,
          `/e/${environment}/chains`,
          [`Created the chain ${name}. Give it to a flag to use it.`, ...warnings].join(" "),
        );
      },
      (errors) => formPage(c, deps, draft, errors, null),
    );
  });

  app.get("/e/:environment/chains/:name", async (c) => {
    const { environment, name } = c.req.param();
    requireScope(c.get("actor"), "admin");
    const chain = await getChain(serviceContext(c, deps), environment, name);
    const draft = withStep(chainDraftOf(chain), c.req.query("add") ?? "", deps.clock.nowMs());
    return formPage(c, deps, draft, NO_ERRORS, chain.version, chain.usedBy);
  });
  app.post("/e/:environment/chains/:name", async (c) => {
    const { environment, name } = c.req.param();
    const form = await readForm(c);
    const version = Number(form.text("version"));
    const draft = { ...chainDraftFrom(form), name };
    const changed = reshapedChain(draft, form.text("do"));
    if (changed !== null) return formPage(c, deps, changed, NO_ERRORS, version);
    return submitted(
      async () => {
        const input = { steps: parseChain(draft).steps, newModel: confirmsNew(form) };
        const { warnings } = await putChain(serviceContext(c, deps), environment, name, input, `"${version}"`);
        return done(c, `/e/${environment}/chains`, [`Saved the chain ${name}.`, ...warnings].join(" "));
      },
      (errors) => formPage(c, deps, draft, errors, version),
    );
  });

  app.post("/e/:environment/chains/:name/delete", async (c) => {
    const { environment, name } = c.req.param();
    return pressed(c, `/e/${environment}/chains`, async () => {
      await deleteChain(serviceContext(c, deps), environment, name);
      return done(c, `/e/${environment}/chains`, `Deleted the chain ${name}.`);
    });
  });

  return app;
}

async function listPage(c: PageContext, deps: Deps) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  const admin = mayAdminister(actor);
  const { items } = await listChains(serviceContext(c, deps), environment);
  const base = `/e/${environment}/chains`;
  return sendPage(
    c,
    deps,
    { title: "Chains", section: "chains", actor, environment },
    <section class="card">
      <div class="title">
        <h1>Chains</h1>
        {admin ? (
          <a class="button main" href={`${base}/new`}>
            New chain…
          </a>
        ) : null}
      </div>
      {items.length === 0 ? (
        <p>
          No chain yet. A chain is the models a feature may use, best first: with one, a flag can be downgraded instead
          of killed.
        </p>
      ) : (
        <ul class="list">
          {items.map((chain) => (
            <li class="entry">
              <div>
                <p>
                  <b>{chain.name}</b>{" "}
                  <span class="dim">
                    {chain.usedBy.length === 0 ? "not used" : `used by ${chain.usedBy.join(", ")}`}
                  </span>
                </p>
                <ol class="chain">
                  {chain.steps.map((step) => (
                    <li>
                      <code>{step.model}</code>
                    </li>
                  ))}
                </ol>
              </div>
              {admin ? (
                <div class="acts">
                  <a class="button" href={`${base}/${chain.name}`} aria-label={`Edit chain ${chain.name}`}>
                    Edit…
                  </a>
                  {chain.usedBy.length === 0 ? (
                    <form method="post" action={`${base}/${chain.name}/delete`}>
                      <button aria-label={`Delete chain ${chain.name}`}>Delete</button>
                    </form>
                  ) : null}
                </div>
              ) : null}
            </li>
          ))}
        </ul>
      )}
    </section>,
  );
}

async function formPage(
  c: PageContext,
  deps: Deps,
  draft: ChainDraft,
  errors: FieldErrors,
  version: number | null,
  usedBy: readonly string[] = [],
) {
  const { environment = "" } = c.req.param();
  requireScope(c.get("actor"), "admin");
  const models = (await listModels(serviceContext(c, deps), environment)).items.map((one) => one.model);
  const base = `/e/${environment}/chains`;
  return sendPage(
    c,
    deps,
    { title: "Chain", section: "chains", actor: c.get("actor"), environment, errors },
    <ChainForm
      draft={draft}
      errors={errors}
      version={version}
      action={version === null ? `${base}/new` : `${base}/${draft.name}`}
      cancel={base}
      usedBy={usedBy}
      models={models}
    />,
  );
}
