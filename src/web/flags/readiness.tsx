/** A flag's readiness: what is proven and what is missing before it is needed; drills begin here. */
import { Hono } from "hono";
import type { DrillResource } from "../../api/drill.ts";
import type { Readiness } from "../../api/readiness.ts";
import type { Deps } from "../../deps.ts";
import { DEFAULT_DRILL_SECONDS } from "../../domain/drill.ts";
import { ago, type ReadinessState } from "../../domain/readiness.ts";
import { listDrills, startDrill } from "../../services/drills/drills.ts";
import { flagReadiness } from "../../services/drills/readiness.ts";
import { getFlag } from "../../services/flags/flags.ts";
import { pressed } from "../form/submit.ts";
import { done } from "../shell/act.tsx";
import { Moment } from "../shell/moment.tsx";
import { mayOperate, type PageEnv, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { selfUpdating } from "../shell/self-updating.ts";
import { listed, took } from "../text/text.ts";

export function readinessPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/flags/:key/readiness", async (c) => {
    const { environment, key } = c.req.param();
    const ctx = serviceContext(c, deps);
    const actor = c.get("actor");
    const [flag, readiness, drills] = await Promise.all([
      getFlag(ctx, environment, key),
      flagReadiness(ctx, environment, key),
      listDrills(ctx, environment, key),
    ]);
    const path = `/e/${environment}/flags/${key}`;
    const nowMs = deps.clock.nowMs();
    return sendPage(
      c,
      deps,
      { title: `Readiness of ${flag.name}`, section: "board", actor, environment },
      <>
        <p>
          <a href={path}>{flag.name}</a> / Readiness
        </p>
        <section class="card" {...selfUpdating("drills", `${path}/readiness`)}>
          <h1>Drills</h1>
          <p>
            {readiness.provenAt === null
              ? "Its kill switch was never proven."
              : `Last proven ${ago(nowMs - Date.parse(readiness.provenAt))}.`}
          </p>
          {mayOperate(actor) ? (
            <form method="post" action={`${path}/drill`} class="stack">
              <p>
                A drill turns <b>{flag.name}</b> off for everybody, for at most {DEFAULT_DRILL_SECONDS} s; it comes back
                as soon as every instance has answered{flag.abortInFlight ? ". Running calls are aborted" : ""}.
              </p>
              <div>
                <button class="danger">Drill now</button>
              </div>
            </form>
          ) : null}
          <Drills drills={drills} nowMs={nowMs} />
        </section>
        <section class="card">
          <h2>Readiness</h2>
          <p>
            {readiness.ok} of {readiness.of} are so.
          </p>
          <Lines readiness={readiness} />
        </section>
      </>,
    );
  });
  app.post("/e/:environment/flags/:key/drill", async (c) => {
    const { environment, key } = c.req.param();
    const path = `/e/${environment}/flags/${key}/readiness`;
    return pressed(c, path, async () => {
      await startDrill(serviceContext(c, deps), environment, key, {});
      return done(c, path, "The drill runs: it is off, and comes back by itself.");
    });
  });
  return app;
}

const WORDS: Readonly<Record<ReadinessState, string>> = { ok: "Yes", missing: "No", unknown: "Not known" };

function Lines({ readiness }: { readiness: Readiness }) {
  return (
    <dl class="facts">
      {readiness.lines.map(({ title, state, says, todo }) => (
        <>
          <dt>{title}</dt>
          <dd>
            <b>{WORDS[state]}.</b> {says}
            {todo === null ? "" : ` ${todo}`}
          </dd>
        </>
      ))}
    </dl>
  );
}

function Drills({ drills, nowMs }: { drills: readonly DrillResource[]; nowMs: number }) {
  if (drills.length === 0) return <p class="dim">No drill was run yet.</p>;
  return (
    <ul class="list">
      {drills.map((drill) => (
        <li>
          <p>
            <Moment at={drill.startedAt} nowMs={nowMs} /> <b>{drill.state}</b>
            {drillWords(drill)}
          </p>
        </li>
      ))}
    </ul>
  );
}

function drillWords({ applied, live, lastMs, missing, note, by }: DrillResource): string {
  const counted = applied === null || live === null ? "" : `: ${String(applied)} of ${String(live)} applied`;
  const within = lastMs === null || applied === 0 ? "" : `, the last within ${took(lastMs)}`;
  const late = missing.length === 0 ? "" : ` Not heard: ${listed(missing, missing.length)}.`;
  return `${counted}${within}. By ${by}.${late}${note === null ? "" : ` ${note}`}`;
}

/** The one quiet line on the flag's page. */
export function ReadinessLine({ readiness, path, nowMs }: { readiness: Readiness; path: string; nowMs: number }) {
  const { provenAt, ok, of } = readiness;
  return (
    <p class="dim">
      {provenAt === null ? "Kill switch never proven" : `Kill switch last proven ${ago(nowMs - Date.parse(provenAt))}`}{" "}
      · <a href={`${path}/readiness`}>{`ready in ${String(ok)} of ${String(of)}`}</a>
    </p>
  );
}
