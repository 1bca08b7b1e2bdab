/** Budgets: list, create, edit, raise, delete. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { requireScope } from "../../authorize.ts";
import { oneReading } from "../../transaction.ts";
import { usd } from "../../domain/alert-text.ts";
import { liftBody, raiseBudgetBody } from "../../api/budget.ts";
import { boardMoney, spendersOf } from "../../services/board/money.ts";
import { getBudget, listBudgets } from "../../services/budgets/view.ts";
import { createBudget, deleteBudget, updateBudget } from "../../services/budgets/budgets.ts";
import { returnIndeterminate } from "../../services/budgets/lease-return.ts";
import { listLeases } from "../../services/budgets/lease-view.ts";
import { returnBody } from "../../api/lease.ts";
import { ReturnPage } from "./leases.tsx";
import { raiseBudget } from "../../services/budgets/raise.ts";
import { listFlags } from "../../services/flags/flags.ts";
import { listModels } from "../../services/models/blocks.ts";
import { done } from "../shell/act.tsx";
import {
  amountOf,
  type BudgetDraft,
  budgetDraftFrom,
  budgetDraftOf,
  EMPTY_BUDGET,
  parseBudget,
  reshapedBudget,
} from "./draft.ts";
import { BudgetEntry } from "./entry.tsx";
import { liftSubject } from "../../services/verdicts/lift.ts";
import { BudgetForm } from "./form.tsx";
import { LiftPage } from "./subjects.tsx";
import { FormActs, type FieldErrors, NO_ERRORS } from "../form/parts.tsx";
import { usdLimit } from "../text/money.ts";
import {
  type Form,
  mayAdminister,
  mayOperate,
  type PageContext,
  type PageEnv,
  readForm,
  serviceContext,
} from "../shell/page-context.ts";
import { searchOfPage } from "../board/find.tsx";
import { RaisePage, raiseUntil } from "./raise.tsx";
import { sendPage } from "../shell/render.tsx";
import { selfUpdating } from "../shell/self-updating.ts";
import { UnpricedLine } from "../board/unpriced-line.tsx";
import { parseForm, pressed, submitted } from "../form/submit.ts";

export function budgetPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/budgets", async (c) => listPage(c, deps));

  app.get("/e/:environment/budgets/new", async (c) => {
    const flag = (await listFlags(serviceContext(c, deps), c.req.param("environment"))).items.find(
      ({ key }) => key === c.req.query("flag"),
    );
    return formPage(c, deps, { ...EMPTY_BUDGET, flag: flag?.key ?? "" }, NO_ERRORS, null);
  });
  app.post("/e/:environment/budgets/new", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    const draft = budgetDraftFrom(form);
    const changed = reshapedBudget(draft, form.text("do"));
    if (changed !== null) return formPage(c, deps, changed, NO_ERRORS, null);
    return submitted(
      async () => {
        const { value } = await createBudget(serviceContext(c, deps), environment, parseBudget(draft));
        const spentNanoUsd = Number(value.now.spentNanoUsd);
        const already = spentNanoUsd === 0 ? "" : ` ${usd(spentNanoUsd)} of it is spent already.`;
        return done(c, `/e/${environment}/budgets`, `Created the budget ${value.name}.${already}`);
      },
      (errors) => formPage(c, deps, draft, errors, null),
    );
  });

  app.get("/e/:environment/budgets/:id", async (c) => {
    const { environment, id } = c.req.param();
    const budget = await getBudget(serviceContext(c, deps), environment, id);
    return formPage(c, deps, budgetDraftOf(budget), NO_ERRORS, budget.version);
  });
  app.post("/e/:environment/budgets/:id", async (c) => {
    const { environment, id } = c.req.param();
    const form = await readForm(c);
    const version = Number(form.text("version"));
    const draft = budgetDraftFrom(form);
    const changed = reshapedBudget(draft, form.text("do"));
    if (changed !== null) return formPage(c, deps, changed, NO_ERRORS, version);
    return submitted(
      async () => {
        const ctx = serviceContext(c, deps);
        const { value } = await updateBudget(ctx, environment, id, parseBudget(draft), `"${version}"`);
        return done(c, `/e/${environment}/budgets`, `Saved the budget ${value.name}.`);
      },
      (errors) => formPage(c, deps, draft, errors, version),
    );
  });

  app.get("/e/:environment/budgets/:id/raise", async (c) => raisePage(c, deps, NO_ERRORS));
  app.post("/e/:environment/budgets/:id/raise", async (c) => {
    const { environment, id } = c.req.param();
    const ctx = serviceContext(c, deps);
    const form = await readForm(c);
    return submitted(
      async () => {
        const budget = await getBudget(ctx, environment, id);
        const until = raiseUntil(form, budget, deps.clock.nowMs());
        const body = { addUsd: amountOf(form.trimmed("addUsd")), until, reason: form.trimmed("reason") };
        const raise = parseForm(raiseBudgetBody, body);
        const { value } = await raiseBudget(ctx, environment, id, { ...raise, until: new Date(raise.until) });
        const { limitNanoUsd } = value.now;
        const spentNanoUsd = Number(value.now.spentNanoUsd);
        const reached = spentNanoUsd >= limitNanoUsd ? " Its limit is still reached." : "";
        return done(
          c,
          `/e/${environment}${searchOfPage(c)}`,
          `Raised ${value.name}: ${usd(spentNanoUsd)} of ${usdLimit(limitNanoUsd)} spent.${reached}`,
        );
      },
      (errors) => raisePage(c, deps, errors, form),
    );
  });

  app.get("/e/:environment/budgets/:id/return", async (c) => returnPage(c, deps, NO_ERRORS));
  app.post("/e/:environment/budgets/:id/return", async (c) => {
    const { environment, id } = c.req.param();
    const form = await readForm(c);
    return submitted(
      async () => {
        const { reason } = parseForm(returnBody, { reason: form.trimmed("reason") });
        const { value } = await returnIndeterminate(serviceContext(c, deps), environment, id, { reason });
        return done(c, `/e/${environment}/budgets`, `Returned what silent clients held to ${value.name}.`);
      },
      (errors) => returnPage(c, deps, errors, form),
    );
  });

  app.get("/e/:environment/budgets/:id/lift", async (c) =>
    liftPage(
      c,
      deps,
      { user: c.req.query("user") ?? "", session: c.req.query("session") ?? "", reason: "" },
      NO_ERRORS,
    ),
  );
  app.post("/e/:environment/budgets/:id/lift", async (c) => {
    const { environment, id } = c.req.param();
    const form = await readForm(c);
    const whom = { user: form.text("user"), session: form.text("session"), reason: form.trimmed("reason") };
    return submitted(
      async () => {
        const body = parseForm(liftBody, {
          ...(whom.user !== "" && { user: whom.user }),
          ...(whom.session !== "" && { session: whom.session }),
          reason: whom.reason,
        });
        const { value } = await liftSubject(serviceContext(c, deps), environment, id, body);
        return done(c, `/e/${environment}/budgets`, `${value.name} lets it go on until the window ends.`);
      },
      (errors) => liftPage(c, deps, whom, errors),
    );
  });

  app.get("/e/:environment/budgets/:id/delete", async (c) => deletePage(c, deps));
  app.post("/e/:environment/budgets/:id/delete", async (c) => {
    const { environment, id } = c.req.param();
    const path = `/e/${environment}/budgets`;
    return pressed(c, path, async () => {
      const ctx = serviceContext(c, deps);
      const { name } = await getBudget(ctx, environment, id);
      await deleteBudget(ctx, environment, id);
      return done(c, path, `Deleted the budget ${name}. What it had switched is as people left it.`);
    });
  });

  return app;
}

async function listPage(c: PageContext, deps: Deps) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  const admin = mayAdminister(actor);
  const ctx = serviceContext(c, deps);
  const [{ budgets: items, flags }, money] = await Promise.all([
    oneReading(ctx, async (own) => ({
      budgets: (await listBudgets(own, environment)).items,
      flags: (await listFlags(own, environment)).items,
    })),
    boardMoney(ctx, environment),
  ]);
  const base = `/e/${environment}`;
  return sendPage(
    c,
    deps,
    { title: "Budgets", section: "budgets", actor, environment },
    <>
      <div class="title">
        <h1>Budgets</h1>
        {admin ? (
          <a class="button main" href={`${base}/budgets/new`}>
            New budget…
          </a>
        ) : null}
      </div>
      <UnpricedLine unpriced={money.unpriced} base={base} />
      {items.length === 0 ? (
        <section class="card">
          <p>
            <b>No budget yet.</b> A budget is a limit in USD for a flag, a model or the whole environment. It counts
            every call, and when enough of it is spent it tells on-call, steps the flag down to a cheaper model, or
            turns it off by itself.
          </p>
          {admin ? null : <p>An admin creates the first one.</p>}
        </section>
      ) : (
        <ul class="list" {...selfUpdating("budgets", `${base}/budgets`)}>
          {items.map((budget) => (
            <BudgetEntry
              budget={budget}
              base={base}
              nowMs={deps.clock.nowMs()}
              operator={mayOperate(actor)}
              admin={admin}
              environment={environment}
              spenders={spendersOf(budget.scope, flags, money)}
            />
          ))}
        </ul>
      )}
    </>,
  );
}

async function formPage(c: PageContext, deps: Deps, draft: BudgetDraft, errors: FieldErrors, version: number | null) {
  const { environment = "", id = "" } = c.req.param();
  const ctx = serviceContext(c, deps);
  requireScope(c.get("actor"), "admin");
  const [flags, models] = await Promise.all([listFlags(ctx, environment), listModels(ctx, environment)]);
  const base = `/e/${environment}/budgets`;
  return sendPage(
    c,
    deps,
    { title: "Budget", section: "budgets", actor: c.get("actor"), environment, errors },
    <BudgetForm
      draft={draft}
      errors={errors}
      version={version}
      action={version === null ? `${base}/new` : `${base}/${id}`}
      cancel={base}
      flags={flags.items}
      models={models.items.map((one) => one.model)}
    />,
  );
}

async function raisePage(c: PageContext, deps: Deps, errors: FieldErrors, form?: Form) {
  const { environment = "", id = "" } = c.req.param();
  requireScope(c.get("actor"), "operator");
  const budget = await getBudget(serviceContext(c, deps), environment, id);
  return sendPage(
    c,
    deps,
    {
      title: `Raise ${budget.name}`,
      section: "budgets",
      actor: c.get("actor"),
      environment,
      errors,
    },
    <RaisePage budget={budget} environment={environment} search={searchOfPage(c)} errors={errors} form={form} />,
  );
}

async function returnPage(c: PageContext, deps: Deps, errors: FieldErrors, form?: Form) {
  const { environment = "", id = "" } = c.req.param();
  requireScope(c.get("actor"), "operator");
  const ctx = serviceContext(c, deps);
  const budget = await getBudget(ctx, environment, id);
  const { items } = await listLeases(ctx, environment, id);
  const nowMs = deps.clock.nowMs();
  return sendPage(
    c,
    deps,
    { title: `Return money to ${budget.name}`, section: "budgets", actor: c.get("actor"), environment, errors },
    <ReturnPage budget={budget} leases={items} environment={environment} nowMs={nowMs} errors={errors} form={form} />,
  );
}

async function liftPage(
  c: PageContext,
  deps: Deps,
  whom: { user: string; session: string; reason: string },
  errors: FieldErrors,
) {
  const { environment = "", id = "" } = c.req.param();
  requireScope(c.get("actor"), "operator");
  const budget = await getBudget(serviceContext(c, deps), environment, id);
  return sendPage(
    c,
    deps,
    { title: `Let go on: ${budget.name}`, section: "budgets", actor: c.get("actor"), environment, errors },
    <LiftPage budget={budget} base={`/e/${environment}/budgets`} {...whom} errors={errors} />,
  );
}

async function deletePage(c: PageContext, deps: Deps) {
  const { environment = "", id = "" } = c.req.param();
  requireScope(c.get("actor"), "admin");
  const budget = await getBudget(serviceContext(c, deps), environment, id);
  const flags = budget.now.trips.filter((trip) => trip.overriddenBy === null).map((trip) => trip.flag);
  return sendPage(
    c,
    deps,
    { title: `Delete ${budget.name}`, section: "budgets", actor: c.get("actor"), environment },
    <form class="card stack" method="post" action={`/e/${environment}/budgets/${id}/delete`}>
      <h1>{`Delete budget ${budget.name}?`}</h1>
      <p>
        Nothing will watch this spending any more.
        {flags.length === 0 ? "" : ` Its trips end at once, which restores ${[...new Set(flags)].join(", ")}.`} The sums
        of the calls stay.
      </p>
      <FormActs does="Delete it" cancel={`/e/${environment}/budgets`} isDangerous />
    </form>,
  );
}
