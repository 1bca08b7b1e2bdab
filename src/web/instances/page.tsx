/** The running clients: which decide by the newest revision, which were lost, are silent or hold flags off, which have stopped. */
import type { InstanceResource } from "../../api/instance.ts";
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import type { PropsWithChildren } from "hono/jsx";
import { type DeclaredDead, EVERY_FLAG, REMEMBERED_MAX } from "../../domain/fleet.ts";
import { listFlags } from "../../services/flags/flags.ts";
import { listInstances } from "../../services/instances/instances.ts";
import { getReceipts } from "../../services/instances/receipts.ts";
import { notCountedWords } from "../text/fleet.ts";
import { Moment } from "../shell/moment.tsx";
import { selfUpdating } from "../shell/self-updating.ts";
import { mayOperate, type PageEnv, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { age } from "../../domain/age.ts";
import { count, listed, took } from "../text/text.ts";

/** Instances of one state on the page; the rest is counted. */
const SHOWN_MAX = 200;

export function instancePages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/instances", async (c) => {
    const { environment } = c.req.param();
    const ctx = serviceContext(c, deps);
    const [list, receipts, flags] = await Promise.all([
      listInstances(ctx, environment),
      getReceipts(ctx, environment),
      listFlags(ctx, environment),
    ]);
    const keys = new Set([EVERY_FLAG, ...flags.items.map((flag) => flag.key)]);
    const nowMs = deps.clock.nowMs();
    const operator = mayOperate(c.get("actor"));
    const base = `/e/${environment}/instances`;
    const each = { nowMs, keys, base: operator ? base : null };
    const of = (state: InstanceResource["state"]) => list.items.filter((one) => one.state === state);
    return sendPage(
      c,
      deps,
      { title: "Instances", section: "instances", actor: c.get("actor"), environment },
      <section class="card" {...selfUpdating("instances", `/e/${environment}/instances`)}>
        <h1>Instances</h1>
        {list.items.length === 0 && list.notCounted.length === 0 ? (
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
              {receipts.live === 1 ? "instance decides" : "instances decide"} by the newest revision{" "}
              <code>{receipts.revision}</code>
              {receipts.p50Ms === null || receipts.p99Ms === null
                ? "."
                : `: half within ${took(receipts.p50Ms)}, 99 % within ${took(receipts.p99Ms)} of the change.`}
            </p>
            <p class="dim">
              {count(list.live, "live instance")}, {list.lost} lost (connection gone without a goodbye within the hour,
              may still be serving), {list.silent} silent (not heard of for longer), {list.stopped}
              {list.stopped < REMEMBERED_MAX ? "" : " or more"} stopped within the day.
            </p>
            {notCountedWords(list.notCounted).map((words) => (
              <p class="lag">{words}</p>
            ))}
            <Group title="Live" items={of("live")} total={list.live} {...each} />
            <Group title="Connection lost, may still be serving" items={of("lost")} total={list.lost} {...each}>
              {operator && list.lost > 1 ? (
                <a class="button" href={`${base}/dead`}>
                  All {list.lost} are dead…
                </a>
              ) : null}
            </Group>
            <Group title="Silent" items={of("silent")} total={list.silent} {...each} />
            <Group title="Stopped" items={of("stopped")} total={list.stopped} {...each} />
          </>
        )}
      </section>,
    );
  });
  return app;
}

interface GroupOf {
  title: string;
  items: readonly InstanceResource[];
  /** How many there are; the page lists the first. */
  total: number;
  nowMs: number;
  /** What `ANDON_KILL` can name. */
  keys: ReadonlySet<string>;
  /** Where a process can be declared dead; null for whoever may not. */
  base: string | null;
}

function Group({ title, items, total, nowMs, keys, base, children }: PropsWithChildren<GroupOf>) {
  if (total === 0) return null;
  const shown = items.slice(0, SHOWN_MAX);
  return (
    <section>
      <h2>{title}</h2>
      {children}
      <ul class="list">
        {shown.map((one) => (
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
              <LifeSign one={one} nowMs={nowMs} />
            </p>
            {one.local === null ? null : <Held local={one.local} keys={keys} />}
            {one.declaredDead === null ? null : <Declared one={one} dead={one.declaredDead} nowMs={nowMs} />}
            {base !== null && (one.state === "lost" || one.state === "silent") ? (
              <a class="button" href={`${base}/${one.id}/dead`} aria-label={`${one.instance} is dead…`}>
                This one is dead…
              </a>
            ) : null}
          </li>
        ))}
      </ul>
      {total > shown.length ? <p class="dim">and {total - shown.length} more</p> : null}
    </section>
  );
}

function LifeSign({ one, nowMs }: { one: InstanceResource; nowMs: number }) {
  if (one.state === "live") return null;
  if (one.state === "lost" && one.disconnectedSeconds !== null) {
    return <> · connection lost {age(one.disconnectedSeconds)} ago</>;
  }
  return (
    <>
      {" "}
      · last heard of <Moment at={one.lastSeen} nowMs={nowMs} exact />, {age(one.silentSeconds)} ago
      {one.stoppedBy === "successor" ? ": its connection was lost, and a new process took its name" : ""}
    </>
  );
}

/** Somebody said that it is dead: on a process that has not stopped, that was wrong. */
function Declared({ one, dead, nowMs }: { one: InstanceResource; dead: DeclaredDead; nowMs: number }) {
  const [was, now] =
    one.state === "stopped"
      ? ["Declared dead", ""]
      : one.state === "live"
        ? ["Was declared dead", ", and is polling"]
        : ["Was declared dead", ", and was heard of since"];
  return (
    <p class={one.state === "stopped" ? "dim" : "lag"}>
      {was} by {dead.by}, <Moment at={dead.at} nowMs={nowMs} exact />
      {now}
    </p>
  );
}

/** What the process refuses by itself; a name that no flag has holds off nothing, and looks as if it did. */
function Held({ local, keys }: { local: readonly string[]; keys: ReadonlySet<string> }) {
  const unknown = local.filter((name) => !keys.has(name));
  return (
    <p class="lag">
      {local.includes(EVERY_FLAG) ? "Holds everything off" : `Holds ${listed(local, local.length)} off`} by ANDON_KILL
      {unknown.length === 0 ? "" : `. No flag has the name ${listed(unknown, unknown.length)}`}
    </p>
  );
}
