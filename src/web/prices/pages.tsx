/** Prices: what each model costs, which of them people added, and the form that adds or corrects one. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import type { CountedBefore, PriceResource } from "../../api/price.ts";
import { requireScope } from "../../authorize.ts";
import { usd } from "../../domain/alert-text.ts";
import { MODEL_PATTERN } from "../../domain/limits.ts";
import { AppError, invalid } from "../../errors.ts";
import { boardMoney } from "../../services/board/money.ts";
import { deletePrice, listPricesOf, putPrice } from "../../services/models/prices.ts";
import { UnpricedLine } from "../board/unpriced-line.tsx";
import { FormActs, type FieldErrors, FormErrors, NO_ERRORS, ReasonField } from "../form/parts.tsx";
import { submitted } from "../form/submit.ts";
import { ModelTabs } from "../models/tabs.tsx";
import { done } from "../shell/act.tsx";
import { mayAdminister, type PageContext, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { count } from "../text/text.ts";
import { emptyPrice, parsePrice, type PriceDraft, priceDraftFrom, priceDraftOf } from "./draft.ts";
import { PriceForm } from "./form.tsx";
import { AddedPrices, fromText, PriceTable } from "./list.tsx";

export function pricePages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/prices", async (c) => page(c, deps, NO_ERRORS));
  app.post("/e/:environment/prices", async (c) => {
    const form = await readForm(c);
    const draft = priceDraftFrom(form);
    const confirmed = { newModel: form.has("newModel"), unusual: form.has("unusual") };
    return submitted(
      async () => {
        if (!MODEL_PATTERN.test(draft.model)) throw invalid("model", "must be a model id such as claude-sonnet-5-5");
        const { validFrom = null, ...given } = parsePrice(draft, confirmed);
        const { price } = await putPrice(serviceContext(c, deps), draft.model, validFrom, given);
        const from = validFrom === null ? "from now on" : `from ${fromText(price.validFrom)} on`;
        const said = [`The price of ${price.model} counts ${from}.`, countedText(price.counted), ...price.warnings];
        return done(c, `/e/${c.req.param("environment")}/prices`, said.filter((one) => one !== "").join(" "));
      },
      (errors) => page(c, deps, errors, draft),
    );
  });

  app.get("/e/:environment/prices/remove", async (c) =>
    removePage(c, deps, { model: c.req.query("model") ?? "", validFrom: c.req.query("validFrom") ?? "" }, NO_ERRORS),
  );
  app.post("/e/:environment/prices/remove", async (c) => {
    const form = await readForm(c);
    const [model, validFrom, reason] = [form.text("model"), form.text("validFrom"), form.trimmed("reason")];
    return submitted(
      async () => {
        if (reason === "") throw invalid("reason", "must say why, in 1 to 500 characters");
        await deletePrice(serviceContext(c, deps), model, validFrom, reason);
        return done(
          c,
          `/e/${c.req.param("environment")}/prices`,
          `Removed the price of ${model} from ${fromText(validFrom)} on.`,
        );
      },
      (errors) => removePage(c, deps, { model, validFrom }, errors),
    );
  });
  return app;
}

/** What was counted before the price was there, and what it would have been: nothing is changed without a word. */
function countedText(counted: CountedBefore | null): string {
  if (counted === null) return "";
  const was = Number(counted.countedNanoUsd);
  const would = Number(counted.atThisPriceNanoUsd);
  const difference = usd(Math.abs(was - would));
  const compared = was === would ? "the same" : `${difference} ${would < was ? "less" : "more"}`;
  const calls = count(counted.attempts, "attempt");
  return `${calls} since then ${counted.attempts === 1 ? "was" : "were"} already counted, at ${usd(was)}, and ${counted.attempts === 1 ? "keeps" : "keep"} that; by this price it would be about ${usd(would)}, ${compared}.`;
}

async function page(c: PageContext, deps: Deps, errors: FieldErrors, typed?: PriceDraft) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  const ctx = serviceContext(c, deps);
  const [{ items }, money] = await Promise.all([listPricesOf(ctx, environment), boardMoney(ctx, environment)]);
  const base = `/e/${environment}`;
  const admin = mayAdminister(actor) && actor.environmentIds === null;
  const shown = { items, base, admin, nowMs: deps.clock.nowMs() };
  const unpriced = money.unpriced.map(({ model }) => model);
  return sendPage(
    c,
    deps,
    { title: "Prices", section: "models", actor, environment, errors },
    <>
      <h1>Prices</h1>
      <ModelTabs base={base} tab="prices" />
      <UnpricedLine unpriced={money.unpriced} base={base} />
      <AddedPrices {...shown} />
      <section class="card stack">
        <h2>USD per million tokens</h2>
        <p class="dim">
          The same in all environments. A batch costs half; US-only inference and regional endpoints of the clouds cost
          a tenth more, where the model has that. A model without a price counts at the dearest rate.
        </p>
        <PriceTable {...shown} />
      </section>
      {admin ? (
        <PriceForm
          draft={typed ?? draftFor(items, c.req.query("model") ?? "")}
          errors={errors}
          action={`${base}/prices`}
          models={[...new Set([...unpriced, ...items.map(({ model }) => model)])]}
        />
      ) : (
        <p class="dim">An admin of all environments adds and corrects prices.</p>
      )}
    </>,
  );
}

function draftFor(items: readonly PriceResource[], model: string): PriceDraft {
  const inForce = items.find((price) => price.model === model && price.inForce);
  return inForce === undefined ? emptyPrice(model) : priceDraftOf(inForce);
}

async function removePage(
  c: PageContext,
  deps: Deps,
  { model, validFrom }: { model: string; validFrom: string },
  errors: FieldErrors,
) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  requireScope(actor, "admin");
  const { items } = await listPricesOf(serviceContext(c, deps), environment);
  const price = items.find((one) => one.source === "added" && one.model === model && one.validFrom === validFrom);
  if (price === undefined) throw new AppError("NOT_FOUND", "There is no such price that was added here.");
  const others = items.some((one) => one !== price && one.model === model);
  return sendPage(
    c,
    deps,
    { title: `Remove a price of ${model}`, section: "models", actor, environment, errors },
    <form class="card stack" method="post" action={`/e/${environment}/prices/remove`}>
      <h1>{`Remove the price of ${model} from ${fromText(validFrom)} on?`}</h1>
      <FormErrors errors={errors} fields={["reason"]} />
      <p>
        {others
          ? "Its other prices count again from now on; a built-in price that this one stood for is in force again."
          : "A built-in price that it stood for is in force again; without one its calls count at the dearest rate."}{" "}
        Calls that were already counted keep their cost.
      </p>
      <input type="hidden" name="model" value={model} />
      <input type="hidden" name="validFrom" value={validFrom} />
      <ReasonField value="" errors={errors} required />
      <FormActs does="Remove it" cancel={`/e/${environment}/prices`} isDangerous />
    </form>,
  );
}
