/** The page of one flag: its state and chain, how it is defined, and who did what to it. */
import { NOT_WIRED } from "./not-wired.tsx";
import { Hono } from "hono";
import type { Deps, Ctx } from "../../deps.ts";
import { oneReading } from "../../transaction.ts";
import type { FlagResource } from "../../api/flag.ts";
import { listAudit } from "../../services/shared/audit.ts";
import { budgetGlances } from "../../services/board/money.ts";
import { flagSpend } from "../../services/usage/flag-spend.ts";
import { getFlag } from "../../services/flags/flags.ts";
import { listIncidents } from "../../services/incidents/view.ts";
import { fleetOf } from "../../services/instances/fleet.ts";
import { batchesByFlag } from "../../services/batches/view.ts";
import { BatchesLine } from "../batches/line.tsx";
import { AuditList } from "../audit/list.tsx";
import { fleetWords } from "../text/fleet.ts";
import { HeldLine } from "../board/held-line.tsx";
import { refusalsOf } from "../board/attention.ts";
import { MAX_OPEN_INCIDENTS } from "../board/state.ts";
import { ownBudget } from "../board/flag-money.tsx";
import { Moment } from "../shell/moment.tsx";
import { mayAdminister, mayOperate, type PageEnv, serviceContext } from "../shell/page-context.ts";
import { ReadinessLine } from "./readiness.tsx";
import { readinessOf } from "../../services/drills/readiness.ts";
import { sendPage } from "../shell/render.tsx";
import { operatorText } from "./rule-fields.tsx";
import { formatValue } from "./rule-value.ts";
import { selfUpdating } from "../shell/self-updating.ts";
import { Refused } from "./refused.tsx";
import { SentModels } from "./sent-models.tsx";
import { staying } from "./staying-budgets.ts";
import { StateLine } from "../text/state-line.tsx";
import { CallsChart, SpendChart } from "./spend-charts.tsx";
import { RecentCalls, Spenders } from "./spenders.tsx";
import { isHeldOff } from "../../domain/effective.ts";
import { someIn } from "../../domain/fleet.ts";
import { capWords, fleetLimitWords, limitWords } from "../../domain/limit-words.ts";
import { count, killTrip, lightOf, percent } from "../text/text.ts";

const HISTORY = 20;

export function flagPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/flags/:key", async (c) => {
    const { environment, key } = c.req.param();
    const ctx = serviceContext(c, deps);
    const actor = c.get("actor");
    const [{ flag, budgets, budget, spend }, audit, fleet, incidents, batches] = await Promise.all([
      oneReading(ctx, (own) => stateAndMoney(own, environment, key)),
      story(ctx, environment, key),
      fleetOf(ctx, environment),
      listIncidents(ctx, environment, { open: true, limit: MAX_OPEN_INCIDENTS }),
      batchesByFlag(ctx, environment),
    ]);
    const readiness = await readinessOf(ctx, environment, { flag, fleet, incidents: incidents.items });
    const nowMs = deps.clock.nowMs();
    const path = `/e/${environment}/flags/${key}`;
    const refusals = refusalsOf(flag, incidents.items);
    const light = lightOf(flag, refusals.length > 0);
    return sendPage(
      c,
      deps,
      { title: flag.name, section: "board", actor, environment },
      <>
        <p>
          <a href={`/e/${environment}`}>Board</a> / {flag.name}
        </p>
        <section class={`card ${light}`} {...selfUpdating("state", path)}>
          <div class="card-head">
            <span class={`light ${light}`} aria-hidden="true"></span>
            <div class="names">
              <h1>{flag.name}</h1>
              <code class="key">{flag.key}</code>
            </div>
          </div>
          {flag.description === "" ? null : <p>{flag.description}</p>}
          <p class="state">
            <StateLine flag={flag} nowMs={nowMs} light={light} />
          </p>
          <Refused refusals={refusals} />
          <SentModels flag={flag} base={`/e/${environment}`} admin={mayAdminister(actor)} />
          <p class="dim">
            {fleetWords(fleet)}. <Evaluated flag={flag} nowMs={nowMs} />
          </p>
          <ReadinessLine readiness={readiness} path={path} nowMs={nowMs} />
          <HeldLine fleet={fleet} flag={key} />
          <BatchesLine
            of={flag}
            batches={batches.get(key)}
            nowMs={nowMs}
            base={`/e/${environment}`}
            operator={mayOperate(actor)}
          />
          {mayOperate(actor) ? <Actions flag={flag} path={path} base={`/e/${environment}`} /> : null}
        </section>
        <div class="part" {...selfUpdating("money", path)}>
          {spend.usage.length === 0 && budget === null ? (
            <WithoutMoney path={`/e/${environment}/budgets/new?flag=${key}`} admin={mayAdminister(actor)} />
          ) : (
            <>
              <SpendChart spend={spend} budget={budget} nowMs={nowMs} />
              <CallsChart spend={spend} nowMs={nowMs} />
            </>
          )}
          {spend.calls.length === 0 ? null : (
            <>
              <Spenders users={spend.users} sessions={spend.sessions} />
              <RecentCalls calls={spend.calls} nowMs={nowMs} />
            </>
          )}
        </div>
        <div class="cards">
          <section class="card">
            <h2>Chain</h2>
            <Chain flag={flag} environment={environment} />
            {flag.chain !== null && mayAdminister(actor) ? (
              <p>
                <a class="button" href={`${path}/hold`}>
                  {flag.chainOnly ? "Let go of the chain…" : "Hold to chain…"}
                </a>
              </p>
            ) : null}
          </section>
          <section class="card">
            <div class="title">
              <h2>Definition</h2>
              {mayAdminister(actor) ? (
                <a class="button" href={`${path}/edit`}>
                  Edit…
                </a>
              ) : null}
            </div>
            <Definition flag={flag} base={`/e/${environment}`} instances={someIn(fleet, "live").count} nowMs={nowMs} />
          </section>
        </div>
        <section class="card">
          <h2>What happened to it</h2>
          <AuditList
            entries={audit.items}
            environment={environment}
            nowMs={nowMs}
            mayRevert={mayOperate(actor)}
            mayEdit={mayAdminister(actor)}
            back={path}
          />
          {audit.nextCursor === null ? null : (
            <p>
              <a href={`/e/${environment}/audit?kind=flag&key=${key}`}>All of it</a>
            </p>
          )}
        </section>
        {mayAdminister(actor) ? (
          <Delete flag={flag} path={path} budgets={budgets.filter(({ scope }) => scope.flag === key)} />
        ) : null}
      </>,
    );
  });
  return app;
}

/** What its head and its charts show. */
async function stateAndMoney(ctx: Ctx, environment: string, key: string) {
  const flag = await getFlag(ctx, environment, key);
  const { budgets, timezone } = await budgetGlances(ctx, environment);
  const budget = ownBudget(budgets, key);
  const spend = await flagSpend(ctx, environment, key, {
    period: budget?.period ?? "day",
    timezone: budget?.timezone ?? timezone,
    model: budget?.scope.model,
  });
  return { flag, budgets, budget, spend };
}

/** What happened to the flag, and what the master switch did to all, newest first. */
async function story(ctx: Ctx, environment: string, key: string) {
  const [own, master] = await Promise.all([
    listAudit(ctx, environment, { target: { kind: "flag", key }, limit: HISTORY }),
    listAudit(ctx, environment, { target: { kind: "master", key: environment }, limit: HISTORY }),
  ]);
  const oldest = own.items.at(-1)?.id ?? 0;
  const items = [...own.items, ...master.items.filter(({ id }) => id > oldest)];
  return { items: items.toSorted((a, b) => b.id - a.id), nextCursor: own.nextCursor };
}

/** A switch that no code asks does nothing: better seen now than when it is needed. */
function Evaluated({ flag: { key, evaluated, guarded }, nowMs }: { flag: FlagResource; nowMs: number }) {
  if (evaluated === null) {
    return (
      <>
        Never evaluated: no application asks for <code>{key}</code> yet.
      </>
    );
  }
  return (
    <>
      Last evaluated <Moment at={evaluated.at} nowMs={nowMs} />.{" "}
      {guarded === null ? (
        NOT_WIRED
      ) : (
        <>
          Last guarded call <Moment at={guarded.at} nowMs={nowMs} />
          {guarded.sdk === null ? "" : `, by @anthropic-ai/sdk ${guarded.sdk}`}.
        </>
      )}
    </>
  );
}

function WithoutMoney({ path, admin }: { path: string; admin: boolean }) {
  return (
    <section class="card">
      <h2>Spend today</h2>
      <p>
        <span class="dim">no calls yet today · no budget.</span> {admin ? <a href={path}>Give it a budget…</a> : null}
      </p>
    </section>
  );
}

function Actions({ flag, path, base }: { flag: FlagResource; path: string; base: string }) {
  const trip = killTrip(flag);
  if (isHeldOff(flag)) {
    return (
      <div class="acts">
        <a class="button main" href={`${path}/restore`}>
          Restore…
        </a>
        {trip === null ? null : (
          <a class="button" href={`${base}/budgets/${trip.budget.id}/raise`}>
            Raise budget…
          </a>
        )}
      </div>
    );
  }
  return (
    <div class="acts">
      {flag.level.level > 0 || flag.switch.ramp !== null ? (
        <a class="button" href={`${path}/restore`}>
          {flag.level.level > 0 ? "Restore quality…" : "End the ramp…"}
        </a>
      ) : null}
      {flag.steps.length > 1 ? (
        <a class="button" href={`${path}/downgrade`}>
          Downgrade…
        </a>
      ) : null}
      <form method="post" action={`${path}/kill`}>
        <button class="danger">Kill</button>
      </form>
    </div>
  );
}

function Chain({ flag, environment }: { flag: FlagResource; environment: string }) {
  if (flag.chain === null)
    return <p>None: each request uses the model it names. A chain makes downgrading possible.</p>;
  const { step: now, blocked } = flag.effective;
  return (
    <>
      <p>
        <a href={`/e/${environment}/chains/${flag.chain}`}>{flag.chain}</a>
        {flag.chainOnly ? " · held to it: no other model is sent" : ""}
      </p>
      <ol class="chain">
        {flag.steps.map((step, at) => {
          const passed = now !== null && (at < now || blocked.includes(step.model));
          return (
            <li class={passed ? "passed" : at === now ? "now-at" : undefined}>
              <code>{step.model}</code>
              {passed ? <span class="unseen"> (not used now)</span> : at === now ? " (now)" : ""}
            </li>
          );
        })}
      </ol>
    </>
  );
}

interface DefinitionProps {
  flag: FlagResource;
  base: string;
  instances: number;
  nowMs: number;
}

function Definition({ flag, base, instances, nowMs }: DefinitionProps) {
  return (
    <dl class="facts">
      <dt>While it is off</dt>
      <dd>
        {flag.offMode === "error" ? "a call gets FeatureDisabledError" : "a call gets this answer"}
        {flag.offMessage === null ? "" : `: “${flag.offMessage}”`}
      </dd>
      <dt>A kill</dt>
      <dd>
        {flag.abortInFlight ? "also aborts running calls and streams" : "stops new calls; running ones may finish"}
      </dd>
      <dt>Limits</dt>
      <dd>
        <Limits flag={flag} instances={instances} nowMs={nowMs} />
      </dd>
      <dt>Rollout</dt>
      <dd>{flag.rollout === 100 ? "everybody" : `${percent(flag.rollout)} of users`}</dd>
      <dt>Rules</dt>
      <dd>
        {flag.rules.length === 0 ? (
          "none"
        ) : (
          <ol>
            {flag.rules.map((rule) => (
              <li>
                {rule.name === undefined ? "" : `${rule.name}: `}
                {rule.then} when{" "}
                {rule.when.map(({ attribute, operator, value }, at) => (
                  <>
                    {at === 0 ? "" : " and "}
                    <code>{attribute}</code> {operatorText(operator)} <code>{formatValue(value)}</code>
                  </>
                ))}
              </li>
            ))}
          </ol>
        )}
      </dd>
      <dt>Tags</dt>
      <dd>
        {flag.tags.length === 0
          ? "none"
          : flag.tags.map((tag) => (
              <>
                <a href={`${base}/tags/${tag}`}>{tag}</a>{" "}
              </>
            ))}
      </dd>
      <dt>Owner</dt>
      <dd>{flag.owner === "" ? "nobody yet" : flag.owner}</dd>
      <dt>Runbook</dt>
      <dd>
        {flag.runbookUrl === null ? (
          "none yet"
        ) : (
          <a href={flag.runbookUrl} rel="noreferrer">
            {flag.runbookUrl}
          </a>
        )}
      </dd>
      <dt>Created</dt>
      <dd>
        <Moment at={flag.createdAt} nowMs={nowMs} />
      </dd>
    </dl>
  );
}

function Limits({ flag, instances, nowMs }: { flag: FlagResource; instances: number; nowMs: number }) {
  const limits = limitWords(flag);
  const words = [...limits, ...capWords(flag)];
  if (words.length === 0) return "none";
  return (
    <>
      <ul>
        {words.map((one) => (
          <li>{one}</li>
        ))}
      </ul>
      {flag.limited === null ? null : (
        <p>
          {count(flag.limited.calls, "call")} refused so far, the last <Moment at={flag.limited.at} nowMs={nowMs} />.
        </p>
      )}
      {limits.length === 0 ? null : <p class="dim">{fleetLimitWords(instances)}</p>}
    </>
  );
}

interface DeleteProps {
  flag: FlagResource;
  path: string;
  budgets: readonly { name: string }[];
}

function Delete({ flag, path, budgets }: DeleteProps) {
  return (
    <details class="card" id="delete">
      <summary class="line-summary">Delete this flag…</summary>
      {killTrip(flag) !== null ? (
        <p>
          A budget keeps it off. Deleting it now would turn the feature on in applications that serve unknown flags:
          restore it first, or take the guard out of the code.
        </p>
      ) : flag.switch.state === "off" ? (
        <p>
          It is off. Deleting it now would turn the feature on in applications that serve unknown flags: restore it
          first, or take the guard out of the code.
        </p>
      ) : (
        <form method="post" action={`${path}/delete`} class="stack">
          <p>
            Applications that still guard with <code>{flag.key}</code> will treat it as unknown: on, unless their guard
            says otherwise. It can then no longer be killed.
          </p>
          {budgets.length === 0 ? null : (
            <p>
              {staying(budgets)} Delete {budgets.length === 1 ? "it" : "them"} too, if nobody needs the figure.
            </p>
          )}
          <div>
            <button class="danger">{`Delete ${flag.key}`}</button>
          </div>
        </form>
      )}
    </details>
  );
}
