/** Who did what, newest first, and the way back from it. */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { AppError } from "../../errors.ts";
import { listAudit } from "../../services/shared/audit.ts";
import { revert } from "../../services/flags/undo.ts";
import { done } from "../shell/act.tsx";
import { AuditList } from "./list.tsx";
import { mayAdminister, mayOperate, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { pressed } from "../form/submit.ts";

const PAGE_SIZE = 50;

export function auditPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment/audit", async (c) => {
    const { environment } = c.req.param();
    const { kind, key, cursor } = c.req.query();
    const actor = c.get("actor");
    const page = await listAudit(serviceContext(c, deps), environment, {
      limit: PAGE_SIZE,
      ...(cursor === undefined ? {} : { cursor }),
      ...(kind === undefined || key === undefined ? {} : { target: { kind, key } }),
    });
    const path = `/e/${environment}/audit`;
    const target =
      kind === undefined || key === undefined ? "" : `&kind=${encodeURIComponent(kind)}&key=${encodeURIComponent(key)}`;
    return sendPage(
      c,
      deps,
      { title: "Audit", section: "audit", actor, environment },
      <section class="card">
        <h1>{key === undefined ? "Audit" : `Audit of ${key}`}</h1>
        <AuditList
          entries={page.items}
          environment={environment}
          nowMs={deps.clock.nowMs()}
          mayRevert={mayOperate(actor)}
          mayEdit={mayAdminister(actor)}
          back={path}
        />
        <p class="acts">
          {cursor === undefined ? null : (
            <a class="button" href={`${path}?${target.slice(1)}`}>
              Newest
            </a>
          )}
          {page.nextCursor === null ? null : (
            <a class="button" href={`${path}?cursor=${page.nextCursor}${target}`}>
              Older
            </a>
          )}
        </p>
      </section>,
    );
  });

  app.post("/e/:environment/audit/:id/revert", async (c) => {
    const { environment, id } = c.req.param();
    const form = await readForm(c);
    const back = form.text("back").startsWith(`/e/${environment}/`) ? form.text("back") : `/e/${environment}/audit`;
    return pressed(c, back, async () => {
      if (!/^\d{1,15}$/.test(id)) throw new AppError("NOT_FOUND", "There is no such entry.");
      const { value } = await revert(serviceContext(c, deps), environment, Number(id), null);
      return done(c, back, `Reverted: ${value.target.key} is as it was before.`);
    });
  });

  return app;
}
