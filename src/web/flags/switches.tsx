/**
 * The cord itself: kill, undo, why, downgrade and restore of a flag, and the same for the master switch. Killing takes
 * one click; restoring shows first what it will do.
 */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { MAX_REASON_CHARS } from "../../domain/limits.ts";
import { AppError, invalid } from "../../errors.ts";
import { listAudit } from "../../services/shared/audit.ts";
import { boardMoney } from "../../services/board/money.ts";
import { getFlag } from "../../services/flags/flags.ts";
import { getMaster, killMaster, restoreMaster } from "../../services/flags/master.ts";
import { stepPreview } from "../../services/flags/step-preview.ts";
import { downgradeFlag } from "../../services/flags/downgrade.ts";
import { killFlag, restoreFlag } from "../../services/flags/switches.ts";
import { revert, setReason } from "../../services/flags/undo.ts";
import { act, done } from "../shell/act.tsx";
import { searchOfPage } from "../board/find.tsx";
import { UNDO_MS } from "../../domain/switch.ts";
import { DowngradePage } from "./downgrade.tsx";
import { NO_ERRORS } from "../form/parts.tsx";
import { untilOf } from "../form/how-long.tsx";
import { listFlags } from "../../services/flags/flags.ts";
import { type Form, type PageContext, type PageEnv, readForm, serviceContext } from "../shell/page-context.ts";
import { reasonOf } from "../form/reason-choice.tsx";
import { sendPage } from "../shell/render.tsx";
import { RestoreMasterPage, RestorePage } from "./restore.tsx";
import { submitted } from "../form/submit.ts";

/** What a slow connection may add to the ten seconds. */
const UNDO_GRACE_MS = 3_000;

export function switchPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.post("/e/:environment/flags/:key/kill", async (c) => {
    const { environment, key } = c.req.param();
    return act(c, deps, environment, `#flag-${key}`, async () => {
      const killed = await killFlag(serviceContext(c, deps), environment, key, { reason: null, until: null });
      return killed.auditId === null ? `${killed.value.name} was off already.` : null;
    });
  });

  app.post("/e/:environment/kill", async (c) => {
    const { environment } = c.req.param();
    return act(c, deps, environment, "#master-news", async () => {
      const killed = await killMaster(serviceContext(c, deps), environment, { reason: null, until: null });
      return killed.auditId === null ? "Everything was off already." : null;
    });
  });

  app.post("/e/:environment/undo", async (c) => {
    const { environment } = c.req.param();
    const ctx = serviceContext(c, deps);
    const id = changeOf(await readForm(c));
    return act(c, deps, environment, "", async () => {
      const page = await listAudit(ctx, environment, { cursor: String(id + 1), limit: 1 });
      const entry = page.items[0];
      if (entry?.id !== id) throw new AppError("NOT_FOUND", "There is no such change to undo.");
      if (deps.clock.nowMs() - Date.parse(entry.at) > UNDO_MS + UNDO_GRACE_MS) {
        throw new AppError(
          "CONFLICT",
          "The ten seconds to undo are over. Use Restore… instead: it shows what it will do first.",
        );
      }
      await revert(ctx, environment, id, null);
      return `Undone: ${entry.target.kind === "master" ? "the master switch" : entry.target.key} is as it was before.`;
    });
  });

  app.post("/e/:environment/reason", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    const reason = form.trimmed("reason").slice(0, MAX_REASON_CHARS);
    return act(c, deps, environment, "", async () => {
      if (reason === "") throw invalid("reason", "say why in a few words");
      await setReason(serviceContext(c, deps), environment, changeOf(form), reason);
      return `Noted: ${reason}`;
    });
  });

  app.get("/e/:environment/flags/:key/downgrade", async (c) => downgradePage(c, deps, NO_ERRORS));
  app.post("/e/:environment/flags/:key/downgrade", async (c) => {
    const { environment, key } = c.req.param();
    const form = await readForm(c);
    return submitted(
      async () => {
        const model = form.text("model");
        if (model === "")
          throw new AppError("INVALID", "Choose a model.", { faults: [{ path: "model", message: "choose one" }] });
        const until = untilOf(form, deps.clock.nowMs());
        const reason = reasonOf(form);
        const input = { model, reason: reason === "" ? null : reason, until };
        await downgradeFlag(serviceContext(c, deps), environment, key, input);
        return c.redirect(`/e/${environment}${searchOfPage(c)}#flag-${key}`, 303);
      },
      (errors) => downgradePage(c, deps, errors, form),
    );
  });

  app.get("/e/:environment/flags/:key/restore", async (c) => restorePage(c, deps, NO_ERRORS));
  app.post("/e/:environment/flags/:key/restore", async (c) => {
    const { environment, key } = c.req.param();
    const form = await readForm(c);
    return submitted(
      async () => {
        const reason = requireReason(form);
        const ramp = rampOf(form);
        const restored = await restoreFlag(serviceContext(c, deps), environment, key, { reason, ramp });
        const { effective, name } = restored.value;
        const still =
          effective.reason === "MASTER"
            ? " The master switch is still off, so it stays dark until that is restored."
            : "";
        return done(c, `/e/${environment}${searchOfPage(c)}`, `Restored ${name}.${still}`);
      },
      (errors) => restorePage(c, deps, errors, form),
    );
  });

  app.get("/e/:environment/restore", async (c) => restoreMasterPage(c, deps, NO_ERRORS));
  app.post("/e/:environment/restore", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    return submitted(
      async () => {
        await restoreMaster(serviceContext(c, deps), environment, { reason: requireReason(form) });
        return done(
          c,
          `/e/${environment}${searchOfPage(c)}`,
          "The master switch is on again. Flags that are off by themselves stay off.",
        );
      },
      (errors) => restoreMasterPage(c, deps, errors, form),
    );
  });

  return app;
}

async function downgradePage(c: PageContext, deps: Deps, errors: ReadonlyMap<string, string>, form?: Form) {
  const { environment = "", key = "" } = c.req.param();
  const ctx = serviceContext(c, deps);
  const [flag, preview] = await Promise.all([getFlag(ctx, environment, key), stepPreview(ctx, environment, key)]);
  return sendPage(
    c,
    deps,
    { ...pageOf(c, `Downgrade ${flag.name}`, environment), errors },
    <DowngradePage
      flag={flag}
      preview={preview}
      environment={environment}
      search={searchOfPage(c)}
      errors={errors}
      form={form}
    />,
  );
}

async function restorePage(c: PageContext, deps: Deps, errors: ReadonlyMap<string, string>, form?: Form) {
  const { environment = "", key = "" } = c.req.param();
  const ctx = serviceContext(c, deps);
  const [flag, master, money] = await Promise.all([
    getFlag(ctx, environment, key),
    getMaster(ctx, environment),
    boardMoney(ctx, environment),
  ]);
  return sendPage(
    c,
    deps,
    { ...pageOf(c, `Restore ${flag.name}`, environment), errors },
    <RestorePage
      flag={flag}
      environment={environment}
      search={searchOfPage(c)}
      budgets={money.budgets}
      master={master}
      errors={errors}
      form={form}
      nowMs={deps.clock.nowMs()}
    />,
  );
}

async function restoreMasterPage(c: PageContext, deps: Deps, errors: ReadonlyMap<string, string>, form?: Form) {
  const { environment = "" } = c.req.param();
  const ctx = serviceContext(c, deps);
  const [flags, master] = await Promise.all([listFlags(ctx, environment), getMaster(ctx, environment)]);
  return sendPage(
    c,
    deps,
    { ...pageOf(c, "Restore the master switch", environment), errors },
    <RestoreMasterPage
      flags={flags.items}
      master={master}
      environment={environment}
      search={searchOfPage(c)}
      errors={errors}
      form={form}
      nowMs={deps.clock.nowMs()}
    />,
  );
}

function pageOf(c: PageContext, title: string, environment: string) {
  return { title, section: "board", actor: c.get("actor"), environment } as const;
}

function changeOf(form: Form): number {
  const text = form.text("change");
  if (!/^\d{1,15}$/.test(text)) throw new AppError("INVALID", "This form does not say which change it is about.");
  return Number(text);
}

function requireReason(form: Form): string {
  const reason = reasonOf(form);
  if (reason === "") {
    throw new AppError("INVALID", "Say why.", {
      faults: [{ path: "reason", message: "choose one above or write a few words" }],
    });
  }
  return reason;
}

function rampOf(form: Form): number | null {
  switch (form.text("ramp")) {
    case "10":
      return 10;
    case "50":
      return 50;
    default:
      return null;
  }
}
