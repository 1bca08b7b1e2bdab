/** Models: which are in use, which are blocked, since when and why; block and unblock. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { MODEL_PATTERN } from "../../domain/limits.ts";
import type { BreakerResource, ModelResource } from "../../api/model.ts";
import { AppError, invalid } from "../../errors.ts";
import { getAliases, setAlias } from "../../services/models/aliases.ts";
import { listModels, putModel, restoreModel } from "../../services/models/blocks.ts";
import { done } from "../shell/act.tsx";
import { AliasCard } from "./alias-card.tsx";
import { Field, type FieldErrors, FormErrors, NO_ERRORS } from "../form/parts.tsx";
import { HowLong, untilOf } from "../form/how-long.tsx";
import { Moment } from "../shell/moment.tsx";
import { ModelTabs } from "./tabs.tsx";
import { NewModelChoice } from "../chains/new-model-choice.tsx";
import {
  type Form,
  mayAdminister,
  mayOperate,
  type PageContext,
  type PageEnv,
  readForm,
  serviceContext,
} from "../shell/page-context.ts";
import { REASONS } from "../../domain/reasons.ts";
import { ReasonChoice, reasonOf } from "../form/reason-choice.tsx";
import { sendPage } from "../shell/render.tsx";
import { pressed, submitted } from "../form/submit.ts";

export function modelPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/models", async (c) => page(c, deps, NO_ERRORS));

  app.post("/e/:environment/models/block", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    return submitted(
      async () => {
        const model = form.trimmed("model");
        if (!MODEL_PATTERN.test(model)) throw invalid("model", "must be a model id such as claude-sonnet-5-5");
        const reason = reasonOf(form);
        const input = {
          blocked: true,
          reason: reason === "" ? null : reason,
          until: untilOf(form, deps.clock.nowMs()),
          newModel: form.has("newModel"),
        };
        const { value, warnings } = await putModel(serviceContext(c, deps), environment, model, input);
        const chains = value.usedBy.length === 0 ? "No chain has it." : `${value.usedBy.join(", ")} now step past it.`;
        return done(
          c,
          `/e/${environment}/models`,
          [`Blocked ${model}. ${chains} The board shows who is downgraded by it.`, ...warnings].join(" "),
        );
      },
      (errors) => page(c, deps, errors, form),
    );
  });

  app.post("/e/:environment/models/unblock", async (c) => {
    const { environment } = c.req.param();
    const model = (await readForm(c)).trimmed("model");
    return pressed(c, `/e/${environment}/models`, async () => {
      if (!MODEL_PATTERN.test(model)) throw new AppError("INVALID", "That is not a model id.");
      await putModel(serviceContext(c, deps), environment, model, {
        blocked: false,
        reason: "unblocked on the board",
        until: null,
      });
      return done(c, `/e/${environment}/models`, `Unblocked ${model}: chains use it again.`);
    });
  });
  app.post("/e/:environment/models/restore", async (c) => {
    const { environment } = c.req.param();
    const model = (await readForm(c)).trimmed("model");
    return pressed(c, `/e/${environment}/models`, async () => {
      if (!MODEL_PATTERN.test(model)) throw new AppError("INVALID", "That is not a model id.");
      await restoreModel(serviceContext(c, deps), environment, model, { reason: "restored on the board" });
      return done(
        c,
        `/e/${environment}/models`,
        `Restored ${model}: chains use it again. Its breaker acts again once the model has recovered.`,
      );
    });
  });
  app.post("/e/:environment/models/aliases", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    const [name, model] = [form.trimmed("name"), form.trimmed("of")];
    return submitted(
      async () => {
        if (!MODEL_PATTERN.test(name)) throw invalid("name", "must be a name as applications send it");
        if (form.text("do") === "forget") {
          await setAlias(serviceContext(c, deps), environment, { name, model: null, newModel: true });
          return done(c, `/e/${environment}/models`, `${name} is not mapped any more.`);
        }
        if (!MODEL_PATTERN.test(model)) throw invalid("of", "must be a model id such as claude-sonnet-5-5");
        await setAlias(serviceContext(c, deps), environment, { name, model, newModel: form.has("newModel") });
        return done(c, `/e/${environment}/models`, `${name} counts as ${model} from now on.`);
      },
      (errors) => {
        // The block form above has a field "model" of its own.
        const fault = errors.get("model");
        if (fault !== undefined) errors.set("of", fault);
        errors.delete("model");
        return page(c, deps, errors, form);
      },
    );
  });
  return app;
}

async function page(c: PageContext, deps: Deps, errors: FieldErrors, form?: Form) {
  const { environment = "" } = c.req.param();
  const actor = c.get("actor");
  const ctx = serviceContext(c, deps);
  const [{ items }, { aliases }] = await Promise.all([listModels(ctx, environment), getAliases(ctx, environment)]);
  const operator = mayOperate(actor);
  const nowMs = deps.clock.nowMs();
  const base = `/e/${environment}/models`;
  return sendPage(
    c,
    deps,
    { title: "Models", section: "models", actor, environment, errors },
    <>
      <h1>Models</h1>
      <ModelTabs base={`/e/${environment}`} tab="models" />
      <section class="card">
        {items.length === 0 ? (
          <p>
            No chain names a model yet. <a href={`/e/${environment}/chains`}>Create a chain</a>; its models are listed
            here and can be taken out of every chain at once.
          </p>
        ) : (
          <ul class="list">
            {items.map((model) => (
              <ModelEntry model={model} base={base} operator={operator} nowMs={nowMs} />
            ))}
          </ul>
        )}
      </section>
      {operator ? (
        <form class="card stack" method="post" action={`${base}/block`} id="block">
          <h2>Block a model</h2>
          <FormErrors
            errors={errors.has("name") || errors.has("of") ? NO_ERRORS : errors}
            fields={["model", "reason"]}
          />
          <p>
            Takes it out everywhere, at once: every chain steps past it. A flag whose chain has no other model goes off.
          </p>
          <Field
            name="model"
            label="Model"
            value={form?.trimmed("model") ?? c.req.query("model") ?? ""}
            errors={errors}
            mono
            list="models"
            required
          />
          <datalist id="models">
            {items
              .filter((one) => !one.blocked)
              .map((one) => (
                <option value={one.model}></option>
              ))}
          </datalist>
          <ReasonChoice
            presets={REASONS}
            value={form === undefined ? "" : reasonOf(form)}
            errors={errors}
            required={false}
          />
          <HowLong value={form?.text("minutes") ?? ""} />
          {errors.has("model") ? <NewModelChoice /> : null}
          <div>
            <button class="danger">Block it</button>
          </div>
        </form>
      ) : null}
      <AliasCard aliases={aliases} admin={mayAdminister(actor)} base={base} errors={errors} form={form} />
    </>,
  );
}

function ModelEntry({
  model,
  base,
  operator,
  nowMs,
}: {
  model: ModelResource;
  base: string;
  operator: boolean;
  nowMs: number;
}) {
  return (
    <li class="entry">
      <div>
        <p>
          <span class={`light ${lightOf(model)}`} aria-hidden="true"></span> <code>{model.model}</code>{" "}
          {model.blocked ? <b class="word off">Blocked</b> : isOut(model) ? null : <span class="word on">In use</span>}
          {model.blocked && model.since !== null ? (
            <>
              {" "}
              since <Moment at={model.since} nowMs={nowMs} />
              {model.by === null ? "" : ` by ${model.by}`}
              {model.reason === null ? "" : ` — ${model.reason}`}
              {model.until === null ? null : (
                <>
                  {" "}
                  · until <Moment at={model.until} nowMs={nowMs} />
                </>
              )}
            </>
          ) : null}
        </p>
        {model.breaker === null ? null : (
          <p>
            <BreakerLine breaker={model.breaker} nowMs={nowMs} />
          </p>
        )}
        <p class="dim">{model.usedBy.length === 0 ? "in no chain" : `in ${model.usedBy.join(", ")}`}</p>
      </div>
      {!operator ? null : model.blocked ? (
        <form method="post" action={`${base}/unblock`}>
          <input type="hidden" name="model" value={model.model} />
          <button aria-label={`Unblock ${model.model}`}>Unblock</button>
        </form>
      ) : (
        <div class="acts">
          {isOut(model) ? (
            <form method="post" action={`${base}/restore`}>
              <input type="hidden" name="model" value={model.model} />
              <button aria-label={`Restore ${model.model} over its breaker`}>Restore</button>
            </form>
          ) : null}
          <a
            class="button danger"
            href={`${base}?model=${encodeURIComponent(model.model)}#block`}
            aria-label={`Block ${model.model}`}
          >
            Block…
          </a>
        </div>
      )}
    </li>
  );
}

/** Whether its breaker keeps it out. */
function isOut({ breaker }: ModelResource): boolean {
  return breaker !== null && breaker.state !== "overridden";
}

function lightOf(model: ModelResource): "off" | "downgraded" | "on" {
  return model.blocked ? "off" : isOut(model) ? "downgraded" : "on";
}

/** "Out since 02:41 by its breaker — 31 of 40 calls failed … · probed again 02:42". */
function BreakerLine({ breaker, nowMs }: { breaker: BreakerResource; nowMs: number }) {
  const { state, since, reason, probeAt, probeShare, overriddenBy, overrideReason } = breaker;
  const taken = (
    <>
      since <Moment at={since} nowMs={nowMs} /> by its breaker — {reason}
    </>
  );
  switch (state) {
    case "open":
      return (
        <>
          <b class="word downgraded">Out</b> {taken}
          {probeAt === null ? null : (
            <>
              {" · probed from "}
              <Moment at={probeAt} nowMs={nowMs} />
              {" on"}
            </>
          )}
        </>
      );
    case "probing":
      return (
        <>
          <b class="word downgraded">Out</b> {taken} · {shareText(probeShare ?? 0)} of its calls probe it
        </>
      );
    case "overridden":
      return (
        <>
          Taken out {taken} · restored{overriddenBy === null ? "" : ` by ${overriddenBy}`}
          {overrideReason === null ? "" : ` (${overrideReason})`}, until it has recovered
        </>
      );
  }
}

/** "50 %", "0.4 %". */
function shareText(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}
