/** The running clients: which decide by the newest revision, which are silent and for how long, which have stopped. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { getReceipts, type InstanceResource, listInstances } from "../../services/instances.ts";
import { Moment } from "../moment.tsx";
import { selfUpdating } from "../self-updating.ts";
import { type PageEnv, serviceContext } from "../page-context.ts";
import { sendPage } from "../render.tsx";
import { age, count, took } from "../text.ts";

export function instancePages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/instances", async (c) => {
    const { environment } = c.req.param();
    const ctx = serviceContext(c, deps);
    const [list, receipts] = await Promise.all([listInstances(ctx, environment), getReceipts(ctx, environment)]);
    const nowMs = deps.clock.nowMs();
    const byName = list.items.toSorted((a, b) => a.instance.localeCompare(b.instance, "en", { numeric: true }));
    const of = (state: InstanceResource["state"]) => byName.filter((one) => one.state === state);
    return sendPage(
      c,
      deps,
      { title: "Instances", section: "instances", actor: c.get("actor"), environment },
      <section class="card" {...selfUpdating("instances", `/e/${environment}/instances`)}>
        <h1>Instances</h1>
        {list.items.length === 0 ? (
          <p>
            No instance has connected to {environment} yet. Create an sdk token on the Tokens page and start an
            application with it; the <a href={`/e/${environment}`}>board</a> shows the lines of code.
          </p>
        ) : (
          <>
            <p>
              <b>
                {receipts.applied} of {receipts.live}
              </b>{" "}
              live {receipts.live === 1 ? "instance decides" : "instances decide"} by the newest revision{" "}
              <code>{receipts.revision}</code>
              {receipts.p50Ms === null || receipts.p99Ms === null
                ? "."
                : `: half within ${took(receipts.p50Ms)}, 99 % within ${took(receipts.p99Ms)} of the change.`}
            </p>
            <p class="dim">
              {count(list.live, "live instance")}, {list.silent} silent (not heard of for 90 s), {list.stopped} stopped.
            </p>
            <Group title="Live" items={of("live")} nowMs={nowMs} />
            <Group title="Silent" items={of("silent")} nowMs={nowMs} />
            <Group title="Stopped" items={of("stopped")} nowMs={nowMs} />
          </>
        )}
      </section>,
    );
  });
  return app;
}

function Group({ title, items, nowMs }: { title: string; items: readonly InstanceResource[]; nowMs: number }) {
  if (items.length === 0) return null;
  return (
    <section>
      <h2>{title}</h2>
      <ul class="list">
        {items.map((one) => (
          <li class="entry">
            <p>
              <code>{one.instance}</code> {one.app === null ? "" : `· ${one.app}`}{" "}
              <span class="dim">{one.sdk === null ? "" : `· ${one.sdk}`}</span>
            </p>
            <p class="dim">
              {one.revision === null ? (
                "has applied nothing yet"
              ) : (
                <>
                  {one.current ? "up to date" : "behind"}, at <code>{one.revision}</code>
                </>
              )}
              {one.state === "live" ? null : (
                <>
                  {" "}
                  · last heard of <Moment at={one.lastSeen} nowMs={nowMs} exact />, {age(one.silentSeconds)} ago
                </>
              )}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
