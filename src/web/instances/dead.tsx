/** Saying that a process is dead: what that does and does not do, before it is done. */
import { Hono } from "hono";
import { requireScope } from "../../authorize.ts";
import type { Deps } from "../../deps.ts";
import { MAX_REASON_CHARS } from "../../domain/limits.ts";
import { invalid } from "../../errors.ts";
import { declareAllDead, declareDead, findInstance, listLost } from "../../services/instances/declare-dead.ts";
import { Field, NO_ERRORS } from "../form/parts.tsx";
import { done } from "../shell/act.tsx";
import { type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { lostWords } from "../text/fleet.ts";
import { age } from "../../domain/age.ts";
import { count } from "../text/text.ts";
import { pressed } from "../form/submit.ts";

export function deadPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/instances/dead", async (c) => {
    const { environment } = c.req.param();
    const actor = c.get("actor");
    requireScope(actor, "operator");
    const { some, at } = await listLost(serviceContext(c, deps), environment);
    const title = some.count === 0 ? "No connection is lost" : `Declare ${count(some.count, "instance")} dead`;
    const page = { title, section: "instances" as const, actor, environment };
    const back = `/e/${environment}/instances`;
    const what = some.count === 0 ? "All of them have come back, or have stopped." : `Now: ${lostWords(some)}.`;
    const lostBefore = some.count === 0 ? null : at;
    return sendPage(c, deps, page, <Confirm {...{ title, what, back, lostBefore }} path={`${back}/dead`} />);
  });

  app.post("/e/:environment/instances/dead", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    const back = `/e/${environment}/instances`;
    const lostBefore = new Date(form.text("lostBefore"));
    return pressed(c, back, async () => {
      if (Number.isNaN(lostBefore.getTime())) throw invalid("lostBefore", "open the page again: it does not say which");
      const reason = reasonIn(form.trimmed("reason"));
      const { declared } = await declareAllDead(serviceContext(c, deps), environment, { lostBefore, reason });
      return done(
        c,
        back,
        declared === 0
          ? "None of them is lost any more."
          : `${count(declared, "instance")} declared dead: no longer counted, unless heard of again.`,
      );
    });
  });

  app.get("/e/:environment/instances/:id/dead", async (c) => {
    const { environment, id } = c.req.param();
    const actor = c.get("actor");
    requireScope(actor, "operator");
    const one = await findInstance(serviceContext(c, deps), environment, id);
    const isLive = one.state === "live";
    const title = isLive ? `${one.instance} is connected` : `Declare ${one.instance} dead`;
    const heard = `last heard of ${age(one.silentSeconds)} ago`;
    const what = isLive
      ? `It was ${heard}: there is nothing to declare. When its process ends, its connection shows as lost within seconds.`
      : one.disconnectedSeconds === null
        ? `Now: silent, ${heard}.`
        : `Now: connection lost ${age(one.disconnectedSeconds)} ago, may still be serving.`;
    const back = `/e/${environment}/instances`;
    const path = isLive ? null : `${back}/${id}/dead`;
    return sendPage(
      c,
      deps,
      { title, section: "instances", actor, environment },
      <Confirm {...{ title, what, back, path }} />,
    );
  });

  app.post("/e/:environment/instances/:id/dead", async (c) => {
    const { environment, id } = c.req.param();
    const form = await readForm(c);
    const back = `/e/${environment}/instances`;
    return pressed(c, back, async () => {
      const reason = reasonIn(form.trimmed("reason"));
      const { instances } = await declareDead(serviceContext(c, deps), environment, { id, reason });
      return done(c, back, `${instances.join(", ")} declared dead: no longer counted, unless it is heard of again.`);
    });
  });

  return app;
}

function reasonIn(text: string): string | null {
  return text === "" ? null : text.slice(0, MAX_REASON_CHARS);
}

interface ConfirmProps {
  title: string;
  /** What is known of it now. */
  what: string;
  back: string;
  /** Where the form goes to; null when there is nothing to declare. */
  path: string | null;
  /** Those that are lost later are not meant. */
  lostBefore?: string | null;
}

function Confirm({ title, what, back, path, lostBefore = null }: ConfirmProps) {
  return (
    <form class="card stack" method="post" action={path ?? back}>
      <h1>{title}</h1>
      <p>{what}</p>
      {path === null ? null : (
        <>
          <p>
            A lost connection is no death: say this only when you know that the process has ended. It stops nothing. The
            process leaves every count, and if it is heard of again, it counts again at once and the page says so.
          </p>
          {lostBefore === null ? null : <input type="hidden" name="lostBefore" value={lostBefore} />}
          <Field
            name="reason"
            label="How do you know? (optional)"
            value=""
            errors={NO_ERRORS}
            maxlength={MAX_REASON_CHARS}
          />
        </>
      )}
      <div class="acts">
        {path === null ? null : <button class="main">Declare dead</button>}
        <a class="button" href={back}>
          {path === null ? "Back" : "Cancel"}
        </a>
      </div>
    </form>
  );
}
