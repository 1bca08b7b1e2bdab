/** Alerts: every message that was to be sent, to whom, and what became of it. Nothing is lost without being seen here. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { ALERT_STATES, alertIdSchema, type AlertResource } from "../../api/alert.ts";
import { AppError } from "../../errors.ts";
import { listAlerts, retryAlert } from "../../services/alerts/alerts.ts";
import { done } from "../shell/act.tsx";
import { IncidentTabs } from "./tabs.tsx";
import { Moment } from "../shell/moment.tsx";
import { mayOperate, type PageEnv, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { selfUpdating } from "../shell/self-updating.ts";
import { count } from "../text/text.ts";
import { pressed } from "../form/submit.ts";

const PAGE_SIZE = 50;
const MAX_CURSOR_CHARS = 32;

export function alertPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/alerts", async (c) => {
    const { environment } = c.req.param();
    const actor = c.get("actor");
    const state = ALERT_STATES.find((one) => one === c.req.query("state"));
    const cursor = c.req.query("cursor")?.slice(0, MAX_CURSOR_CHARS);
    // What waits is shown in the order in which it is tried: the one that holds up the others comes first.
    const oldestFirst = state === "waiting";
    const page = await listAlerts(serviceContext(c, deps), environment, {
      limit: PAGE_SIZE,
      oldestFirst,
      ...(state !== undefined && { state }),
      ...(cursor !== undefined && { cursor }),
    });
    const base = `/e/${environment}`;
    const query = (fields: Record<string, string>) => {
      const text = new URLSearchParams(fields).toString();
      return `${base}/alerts${text === "" ? "" : `?${text}`}`;
    };
    const filter: Record<string, string> = state === undefined ? {} : { state };
    return sendPage(
      c,
      deps,
      { title: "Alerts", section: "incidents", actor, environment },
      <>
        <h1>Alerts</h1>
        <IncidentTabs base={base} tab="alerts" />
        <nav class="chips" aria-label="Which alerts">
          <a class="chip-button" href={query({})} aria-current={state === undefined ? "true" : undefined}>
            All
          </a>
          {ALERT_STATES.map((one) => (
            <a class="chip-button" href={query({ state: one })} aria-current={one === state ? "true" : undefined}>
              {one}
            </a>
          ))}
        </nav>
        {page.items.length === 0 ? (
          <section class="card">
            <p>
              {state === undefined ? (
                <>
                  <b>No alert yet.</b> One is written for each channel when an incident grows, and sent until it has
                  arrived. <a href={`${base}/channels`}>Channels</a> say where to.
                </>
              ) : (
                `No alert is ${state}.`
              )}
            </p>
          </section>
        ) : (
          <ul class="list card" {...selfUpdating("alerts", query({ ...filter, ...(cursor && { cursor }) }))}>
            {page.items.map((alert) => (
              <Alert alert={alert} base={base} nowMs={deps.clock.nowMs()} operator={mayOperate(actor)} />
            ))}
          </ul>
        )}
        {page.nextCursor === null ? null : (
          <p>
            <a class="button" href={query({ ...filter, cursor: page.nextCursor })}>
              {oldestFirst ? "Newer" : "Older"}
            </a>
          </p>
        )}
      </>,
    );
  });

  app.post("/e/:environment/alerts/:id/retry", async (c) => {
    const { environment, id } = c.req.param();
    const path = `/e/${environment}/alerts`;
    return pressed(c, path, async () => {
      if (!alertIdSchema.safeParse(id).success) throw new AppError("NOT_FOUND", "There is no such alert.");
      const alert = await retryAlert(serviceContext(c, deps), environment, Number(id));
      return done(c, path, `Trying to reach ${alert.channel.name} again: see below what comes of it.`);
    });
  });

  return app;
}

interface AlertProps {
  alert: AlertResource;
  base: string;
  nowMs: number;
  operator: boolean;
}

function Alert({ alert, base, nowMs, operator }: AlertProps) {
  return (
    <li class="entry">
      <div>
        <p>
          <span class="dim">
            <Moment at={alert.createdAt} nowMs={nowMs} exact />
          </span>{" "}
          <b>{alert.title}</b> → {alert.channel.name}
        </p>
        <p class={alert.state === "sent" ? "dim" : "lag"}>
          <Fate alert={alert} nowMs={nowMs} />
        </p>
      </div>
      {operator && alert.state === "failed" ? (
        <form method="post" action={`${base}/alerts/${alert.id}/retry`}>
          <button aria-label={`Send ${alert.title} to ${alert.channel.name} again`}>Send again</button>
        </form>
      ) : null}
    </li>
  );
}

function Fate({ alert, nowMs }: { alert: AlertResource; nowMs: number }) {
  switch (alert.state) {
    case "sent":
      return (
        <>
          Sent
          {alert.deliveredAt === null ? (
            ""
          ) : (
            <>
              {" "}
              <Moment at={alert.deliveredAt} nowMs={nowMs} exact />
            </>
          )}
          {alert.attempts > 1 ? ` at attempt ${alert.attempts}` : ""}
        </>
      );
    case "failed":
      return <>{`Failed after ${count(alert.attempts, "attempt")}: ${alert.lastError ?? "no answer is known"}`}</>;
    case "waiting":
      if (alert.heldUntil !== null && Date.parse(alert.heldUntil) > nowMs) {
        return (
          <>
            Held until <Moment at={alert.heldUntil} nowMs={nowMs} />: quiet hours
          </>
        );
      }
      return (
        <>
          {alert.lastError === null
            ? alert.attempts === 0
              ? "Waiting to be sent"
              : "Being sent"
            : `Not delivered yet: ${alert.lastError}`}
          {alert.nextAttemptAt === null || alert.lastError === null ? null : (
            <>
              {" "}
              Next attempt <Moment at={alert.nextAttemptAt} nowMs={nowMs} exact />
            </>
          )}
        </>
      );
  }
}
