/** Incidents: what happened by itself, step by step, who has seen it, and whether its alerts arrived. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import type { IncidentResource } from "../../api/incident.ts";
import { type Lapsed, lapsedTrips } from "../../services/trips/of-incident.ts";
import { acknowledgeIncident, resolveIncident } from "../../services/incidents/incidents.ts";
import { listIncidents } from "../../services/incidents/view.ts";
import { batchesByFlag, type MessageBatch } from "../../services/batches/view.ts";
import { BatchesLine } from "../batches/line.tsx";
import { act, done } from "../shell/act.tsx";
import { type BudgetGlance, boardMoney } from "../../services/board/money.ts";
import { Asked } from "./asked.tsx";
import { SpentNow, titleNow } from "./spent-now.tsx";
import { IncidentTabs } from "./tabs.tsx";
import { LapsedLine } from "./lapsed-line.tsx";
import { Moment } from "../shell/moment.tsx";
import { watchPathOf } from "./watch-now.tsx";
import { pricePathOf } from "../prices/price-path.ts";
import { mayOperate, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { selfUpdating } from "../shell/self-updating.ts";
import { pressed } from "../form/submit.ts";

const PAGE_SIZE = 30;
const MAX_CURSOR_CHARS = 32;
/** Says that the button of this page was pressed, not the board's. */
const FROM_LIST = "incidents";

export function incidentPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/incidents", async (c) => {
    const { environment } = c.req.param();
    const actor = c.get("actor");
    const cursor = c.req.query("cursor")?.slice(0, MAX_CURSOR_CHARS);
    const ctx = serviceContext(c, deps);
    const [page, lapsed, money, batches] = await Promise.all([
      listIncidents(ctx, environment, { limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) }),
      lapsedTrips(ctx, environment),
      boardMoney(ctx, environment),
      batchesByFlag(ctx, environment),
    ]);
    const base = `/e/${environment}`;
    const path = `${base}/incidents${cursor === undefined ? "" : `?cursor=${encodeURIComponent(cursor)}`}`;
    return sendPage(
      c,
      deps,
      { title: "Incidents", section: "incidents", actor, environment },
      <>
        <h1>Incidents</h1>
        <IncidentTabs base={base} tab="incidents" />
        {page.items.length === 0 ? (
          <section class="card">
            <p>
              <b>No incident {cursor === undefined ? "yet" : "before that"}.</b> One opens when a budget reaches a step
              of its ladder, a breaker takes a model out, a model without a price is called, Claude refuses an account
              or bills something else than was counted, or a <a href={`${base}/watches`}>watch</a> finds something
              unusual, grows with each further step, and closes when its cause ends.
            </p>
            <p>
              <a href={`${base}/budgets`}>Budgets</a> · <a href={`${base}/channels`}>where its alerts go</a>
            </p>
          </section>
        ) : (
          <ul class="list" {...selfUpdating("incidents", path)}>
            {page.items.map((incident) => (
              <Incident
                incident={incident}
                lapsed={lapsed.get(incident.id)}
                spent={money.budgets.find(({ id }) => id === incident.budget?.id)}
                batches={batches}
                base={base}
                nowMs={deps.clock.nowMs()}
                operator={mayOperate(actor)}
              />
            ))}
          </ul>
        )}
        {page.nextCursor === null ? null : (
          <p>
            <a class="button" href={`${base}/incidents?cursor=${page.nextCursor}`}>
              Older
            </a>
          </p>
        )}
      </>,
    );
  });

  app.post("/e/:environment/incidents/:id/acknowledge", async (c) => {
    const { environment, id } = c.req.param();
    const ctx = serviceContext(c, deps);
    const form = await readForm(c);
    const work = async () => {
      const { value } = await acknowledgeIncident(ctx, environment, id);
      const mine = value.acknowledgedBy === ctx.actor.name;
      return mine ? "Acknowledged: the others see that you are on it." : `${value.acknowledgedBy} had acknowledged it.`;
    };
    if (form.text("back") !== FROM_LIST) return act(c, deps, environment, `#incident-${id}`, work);
    const path = `/e/${environment}/incidents`;
    return pressed(c, path, async () => {
      return done(c, path, await work());
    });
  });

  app.post("/e/:environment/incidents/:id/resolve", async (c) => {
    const { environment, id } = c.req.param();
    const path = `/e/${environment}/incidents`;
    return pressed(c, path, async () => {
      await resolveIncident(serviceContext(c, deps), environment, id);
      return done(c, path, "Resolved: its cause has ended.");
    });
  });

  return app;
}

interface IncidentProps {
  incident: IncidentResource;
  lapsed: Lapsed | undefined;
  spent: BudgetGlance | undefined;
  batches: ReadonlyMap<string, readonly MessageBatch[]>;
  base: string;
  nowMs: number;
  operator: boolean;
}

function Incident({ incident, lapsed, spent, batches, base, nowMs, operator }: IncidentProps) {
  const open = incident.resolvedAt === null;
  const inForce = open && lapsed?.all !== true;
  const strongest = incident.steps.some((step) => step.action === "kill" || step.action === "account")
    ? "off"
    : incident.steps.some((step) => step.action === "downgrade" || step.action === "breaker")
      ? "downgraded"
      : "";
  return (
    <li class={`card ${inForce ? strongest : ""}`} id={`incident-${incident.id}`}>
      <div class="title">
        <h2>{titleNow(incident, spent)}</h2>
        <b>{open ? "Open" : "Resolved"}</b>
      </div>
      {open ? (
        <p>
          <SpentNow incident={incident} spent={spent} nowMs={nowMs} />
        </p>
      ) : null}
      {open && incident.acknowledgedAt === null ? (
        <p>
          <Asked incident={incident} nowMs={nowMs} />
        </p>
      ) : null}
      <ol class="timeline">
        {incident.steps.map((step) => (
          <li>
            <Moment at={step.at} nowMs={nowMs} exact />
            <span>{step.text}</span>
          </li>
        ))}
        {incident.acknowledgedAt === null ? null : (
          <li>
            <Moment at={incident.acknowledgedAt} nowMs={nowMs} exact />
            <span>Acknowledged{incident.acknowledgedBy === null ? "" : ` by ${incident.acknowledgedBy}`}.</span>
          </li>
        )}
        {incident.resolvedAt === null ? null : (
          <li>
            <Moment at={incident.resolvedAt} nowMs={nowMs} exact />
            <span>Resolved: its cause has ended.</span>
          </li>
        )}
      </ol>
      {lapsed === undefined ? null : <LapsedLine lapsed={lapsed} nowMs={nowMs} />}
      {incident.flag === null || !open ? null : (
        <BatchesLine
          of={{ key: incident.flag, name: incident.flag }}
          batches={batches.get(incident.flag)}
          nowMs={nowMs}
          base={base}
          operator={operator}
        />
      )}
      <p class="dim">
        <a href={`${base}/alerts`}>{alertsText(incident)}</a>
      </p>
      {!operator || !open ? null : (
        <div class="acts">
          {incident.acknowledgedAt === null ? (
            <form method="post" action={`${base}/incidents/${incident.id}/acknowledge`}>
              <input type="hidden" name="back" value={FROM_LIST} />
              <button class="main" aria-label={`Acknowledge: ${incident.title}`}>
                Acknowledge
              </button>
            </form>
          ) : null}
          {incident.model === null ? null : (
            <a class="button" href={`${base}/models`} aria-label={`Model ${incident.model}…`}>
              Model…
            </a>
          )}
          {incident.drift === null ? null : (
            <a class="button" href={`${base}/reconciliation`}>
              Compare…
            </a>
          )}
          {incident.watch === null ? null : (
            <a class="button" href={watchPathOf(base, incident.watch)}>
              Watch…
            </a>
          )}
          {incident.unpriced === null ? null : (
            <a class="button" href={pricePathOf(base, incident.unpriced)}>
              Add a price…
            </a>
          )}
          {incident.budget === null ? null : (
            <a
              class="button"
              href={`${base}/budgets/${incident.budget.id}/raise`}
              aria-label={`Raise budget ${incident.budget.name}…`}
            >
              Raise…
            </a>
          )}
          <form method="post" action={`${base}/incidents/${incident.id}/resolve`}>
            <button aria-label={`Resolve: ${incident.title}`}>Resolve</button>
          </form>
        </div>
      )}
    </li>
  );
}

/** "Alerts: 2 sent, 1 waiting". */
function alertsText({ alerts }: IncidentResource): string {
  const parts = [
    ...(alerts.sent > 0 ? [`${alerts.sent} sent`] : []),
    ...(alerts.waiting > 0 ? [`${alerts.waiting} waiting`] : []),
    ...(alerts.failed > 0 ? [`${alerts.failed} failed`] : []),
  ];
  return parts.length === 0 ? "Alerts: none, there was no channel" : `Alerts: ${parts.join(", ")}`;
}
