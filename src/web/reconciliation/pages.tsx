/** Claude's bill beside what Andon counted: over time, what differs in words, and each day by model. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import type { ReconciliationAnswer } from "../../api/reconciliation.ts";
import { usd } from "../../domain/alert-text.ts";
import { getReconciliation } from "../../services/reconciliation/view.ts";
import { TimeChart } from "../chart/time-chart.tsx";
import { Moment } from "../shell/moment.tsx";
import { type PageContext, type PageEnv, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { usdLimit } from "../text/money.ts";
import { count } from "../text/text.ts";
import { UsageTabs } from "../usage/tabs.tsx";
import { ComparedTable } from "./table.tsx";

const DAY_MS = 86_400_000;
const SPANS = [7, 14, 31] as const;

export function reconciliationPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/reconciliation", async (c) => page(c, deps));
  return app;
}

async function page(c: PageContext, deps: Deps) {
  const { environment = "" } = c.req.param();
  const days = SPANS.find((span) => String(span) === c.req.query("days")) ?? 14;
  const found = await getReconciliation(serviceContext(c, deps), environment, { days });
  const base = `/e/${environment}`;
  const isCompared = found.configured && found.days.length > 0;
  return sendPage(
    c,
    deps,
    { title: "Claude's bill", section: "usage", actor: c.get("actor"), environment },
    <>
      <h1>Claude's bill</h1>
      <UsageTabs base={base} tab="reconciliation" />
      {isCompared ? (
        <nav class="tabs" aria-label="How many days">
          {SPANS.map((span) => (
            <a href={`${base}/reconciliation?days=${span}`} aria-current={span === days ? "page" : undefined}>
              {`${span} days`}
            </a>
          ))}
        </nav>
      ) : null}
      {found.configured ? <PollLine poll={found.poll} nowMs={deps.clock.nowMs()} /> : <NotSetUp />}
      {found.configured && !isCompared ? <NotCompared scope={found.scope} environment={environment} /> : null}
      {isCompared ? (
        <Compared
          found={found}
          days={days}
          path={`${base}/reconciliation`}
          allModels={c.req.query("models") === "all"}
        />
      ) : null}
    </>,
  );
}

function NotSetUp() {
  return (
    <section class="card stack">
      <p>
        <b>Nothing is compared yet.</b> With an admin key Andon reads what Claude bills the organisation, once an hour,
        and holds it against what it counted, by day and model. A difference over a threshold is an incident.
      </p>
      <p>
        Make an admin key in the Claude Console under Settings, Admin keys (it begins with <code>sk-ant-admin</code>),
        start every server with it as <code>ANDON_ANTHROPIC_ADMIN_KEY</code>, and say with{" "}
        <code>ANDON_ANTHROPIC_WORKSPACES</code> which workspaces each environment calls with, when others use the
        organisation too.
      </p>
    </section>
  );
}

const NOT_COMPARED: Readonly<Record<ReconciliationAnswer["scope"], (environment: string) => string>> = {
  organisation: () => "There is no whole day yet.",
  workspaces: () => "There is no whole day yet.",
  unmapped: (environment) =>
    `This environment is not compared: ANDON_ANTHROPIC_WORKSPACES names the workspaces of others. Add ${environment}=… with its own.`,
  hidden: () =>
    "The bill is that of the whole organisation and is compared with all environments together, which you do not see. ANDON_ANTHROPIC_WORKSPACES gives each environment a comparison of its own.",
};

function NotCompared({ scope, environment }: { scope: ReconciliationAnswer["scope"]; environment: string }) {
  return (
    <section class="card">
      <p>{NOT_COMPARED[scope](environment)}</p>
    </section>
  );
}

function PollLine({ poll, nowMs }: { poll: ReconciliationAnswer["poll"]; nowMs: number }) {
  if (poll === null) return <p class="dim">Claude has not been asked yet. The first answer comes within a minute.</p>;
  const { readAt, error, errorAt, nextAt } = poll;
  return (
    <>
      {error === null ? null : (
        <p class="lag">
          {error} {errorAt === null ? null : <Moment at={errorAt} nowMs={nowMs} />}
        </p>
      )}
      <p class="dim">
        {readAt === null ? "Never read yet" : "Read "}
        {readAt === null ? null : <Moment at={readAt} nowMs={nowMs} />}
        {"; asked again "}
        <Moment at={nextAt} nowMs={nowMs} />. Days are UTC's.
      </p>
    </>
  );
}

interface ComparedProps {
  found: ReconciliationAnswer;
  days: number;
  path: string;
  allModels: boolean;
}

function Compared({ found, days: wanted, path, allModels }: ComparedProps) {
  const { days, percent, minUsd, scope, workspaces, unmappedNanoUsd } = found;
  const compared = days.filter(({ state }) => state === "compared");
  const over = days.flatMap(({ lines }) => lines.flatMap(({ text }) => (text === null ? [] : [text])));
  const sum = (of: (day: ReconciliationAnswer["days"][number]) => number | string) =>
    compared.reduce((total, day) => total + Number(of(day)), 0);
  const billed = sum(({ providerNanoUsd }) => providerNanoUsd);
  const counted = sum(({ ledgerNanoUsd }) => ledgerNanoUsd);
  const estimated = sum(({ estimatedNanoUsd }) => estimatedNanoUsd);
  const [newest] = days;
  const endMs = newest === undefined ? 0 : Date.parse(newest.day) + DAY_MS;
  const title = `Bill and ledger, last ${count(wanted, "day")}`;
  return (
    <>
      <section class="card stack" aria-labelledby="differs-title">
        <h2 id="differs-title">
          {compared.length === 0
            ? "No day can be compared yet"
            : over.length === 0
              ? `Bill and ledger agree on ${compared.length === 1 ? "the day" : `all ${compared.length} days`} compared`
              : `${count(over.length, "difference")} over the threshold`}
        </h2>
        {over.length === 0 ? null : (
          <ul class="list" aria-label="Differences">
            {over.map((text) => (
              <li class="entry">{text}</li>
            ))}
          </ul>
        )}
        <p>
          Claude billed <b>{usd(billed)}</b>, Andon counted <b>{usd(counted)}</b>
          {estimated === 0 ? ", all of it exact" : `, of it ${usd(estimated)} estimated`}.
        </p>
        <p class="dim">
          {`A difference counts above ${percent} % and $${minUsd} of a model and day. `}
          {scope === "organisation"
            ? "This is the whole organisation beside all environments: what others use shows as calls that Andon did not see."
            : `This is ${workspaces.join(", ")} of the organisation.`}
          {unmappedNanoUsd === null
            ? ""
            : ` Elsewhere in the organisation ${usd(Number(unmappedNanoUsd))} were used: calls that Andon did not see.`}
        </p>
      </section>
      <section class="card" aria-labelledby="bill-title">
        <h2 id="bill-title">{title}</h2>
        <TimeChart
          id="bill"
          title={title}
          description={`Claude billed ${usd(billed)} and Andon counted ${usd(counted)} on the days compared; the figures are in the table below.`}
          startMs={endMs - wanted * DAY_MS}
          endMs={endMs}
          period={wanted === 7 ? "week" : "month"}
          timezone="UTC"
          bars={days.map(({ day, providerNanoUsd, ledgerNanoUsd }) => {
            const [bill, own] = [Math.max(0, Number(providerNanoUsd)), Number(ledgerNanoUsd)];
            const fromMs = Date.parse(day);
            return { fromMs, toMs: fromMs + DAY_MS, value: Math.max(bill, own), part: Math.min(bill, own) };
          })}
          valueText={usdLimit}
        />
        <p class="dim">
          USD a day. The lower part of each bar is in both; what stands above it is in one of them alone.
        </p>
        <ComparedTable days={days} allModels={allModels} />
        <p>
          <a href={`${path}?days=${wanted}${allModels ? "" : "&models=all"}`}>
            {allModels ? "Only the models of days that differ" : "All models of each day"}
          </a>
        </p>
      </section>
    </>
  );
}
