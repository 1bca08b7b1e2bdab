/** The page of a tag: which flags carry it, the cord for all of them, and then its proof and its undo. */
import { Hono } from "hono";
import { requireEnvironmentId } from "../../authorize.ts";
import type { Deps } from "../../deps.ts";
import type { FlagResource } from "../../api/flag.ts";
import { isHeldOff } from "../../domain/effective.ts";
import { timedProof, type TimedProof } from "../../domain/fleet.ts";
import { MAX_REASON_CHARS } from "../../domain/limits.ts";
import { RESTORE_REASONS } from "../../domain/reasons.ts";
import { AppError } from "../../errors.ts";
import { flagsOfTag, killTag, restoreTag, type TagSwitched } from "../../services/flags/tags.ts";
import { revertAll } from "../../services/flags/undo.ts";
import { fleetOf } from "../../services/instances/fleet.ts";
import { lastReceiptsMs, restoredBy } from "../../services/instances/receipts.ts";
import { FormActs, type FieldErrors, FormErrors, NO_ERRORS } from "../form/parts.tsx";
import { ReasonChoice, reasonOf } from "../form/reason-choice.tsx";
import { pressed, submitted } from "../form/submit.ts";
import {
  type Form,
  mayOperate,
  type PageContext,
  type PageEnv,
  readForm,
  serviceContext,
  setFlash,
} from "../shell/page-context.ts";
import { ProofView } from "../shell/proof-view.tsx";
import { sendPage } from "../shell/render.tsx";
import { selfUpdating } from "../shell/self-updating.ts";
import { StateLine } from "../text/state-line.tsx";
import { count, lightOf } from "../text/text.ts";

export function tagPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/e/:environment/tags/:tag", async (c) => tagPage(c, deps, NO_ERRORS));

  app.post("/e/:environment/tags/:tag/kill", async (c) => {
    const { environment, tag } = c.req.param();
    const why = (await readForm(c)).trimmed("why").slice(0, MAX_REASON_CHARS);
    return pressed(c, pathOf(c), async () => {
      const input = { reason: why === "" ? null : why, until: null };
      const { value, revision } = await killTag(serviceContext(c, deps), environment, tag, input);
      return switched(c, value, revision, "turned off");
    });
  });

  app.post("/e/:environment/tags/:tag/restore", async (c) => {
    const { environment, tag } = c.req.param();
    const form = await readForm(c);
    return submitted(
      async () => {
        const reason = reasonOf(form);
        if (reason === "") {
          throw new AppError("INVALID", "Say why.", {
            faults: [{ path: "reason", message: "choose one above or write a few words" }],
          });
        }
        const { value, revision } = await restoreTag(serviceContext(c, deps), environment, tag, { reason });
        return switched(c, value, revision, "restored");
      },
      (errors) => tagPage(c, deps, errors, form),
    );
  });

  app.post("/e/:environment/tags/:tag/undo", async (c) => {
    const { environment } = c.req.param();
    const form = await readForm(c);
    return pressed(c, pathOf(c), async () => {
      const { value } = await revertAll(serviceContext(c, deps), environment, idsOf(form.text("changes")), null);
      setFlash(c, { tone: "done", text: `Undone: ${count(value.targets.length, "flag")} as before.` });
      return c.redirect(pathOf(c), 303);
    });
  });
  return app;
}

function pathOf(c: PageContext): string {
  const { environment = "", tag = "" } = c.req.param();
  return `/e/${environment}/tags/${encodeURIComponent(tag)}`;
}

/** To the page of the tag, which shows the proof of this change and offers to take it back. */
function switched(c: PageContext, { items, refused }: TagSwitched, revision: string, what: string): Response {
  const ids = items.flatMap(({ auditId }) => (auditId === null ? [] : [auditId]));
  const stays = refused.map(({ key, message }) => ` ${key} stays as it is: ${message}`).join("");
  setFlash(c, {
    tone: refused.length > 0 ? "problem" : "done",
    text: `${ids.length} of ${count(items.length + refused.length, "flag")} ${what}.${stays}`,
  });
  const made = new URLSearchParams({ n: revision.slice(revision.lastIndexOf(".") + 1), changes: ids.join(",") });
  return c.redirect(ids.length === 0 ? pathOf(c) : `${pathOf(c)}?${String(made)}`, 303);
}

function idsOf(text: string): number[] {
  if (!/^\d{1,15}(?:,\d{1,15}){0,999}$/.test(text))
    throw new AppError("INVALID", "This form does not say which changes it is about.");
  return text.split(",").map(Number);
}

async function tagPage(c: PageContext, deps: Deps, errors: FieldErrors, form?: Form) {
  const { environment = "", tag = "" } = c.req.param();
  const ctx = serviceContext(c, deps);
  const actor = c.get("actor");
  const { items } = await flagsOfTag(ctx, environment, tag);
  const n = Number(c.req.query("n") ?? "");
  const changes = c.req.query("changes") ?? "";
  let proof: TimedProof | null = null;
  if (Number.isSafeInteger(n) && n > 0 && n <= MAX_REVISION) {
    const environmentId = await requireEnvironmentId(ctx, environment, "viewer");
    const [fleet, timed, restored] = await Promise.all([
      fleetOf(ctx, environment),
      lastReceiptsMs(ctx, environment, [n]),
      restoredBy(ctx, environmentId, n),
    ]);
    proof = timedProof(fleet, { n, restored }, timed);
  }
  return sendPage(
    c,
    deps,
    { title: `Tag ${tag}`, section: "board", actor, environment, errors },
    <Tag
      {...{ tag, items, proof, changes, errors, form }}
      path={pathOf(c)}
      board={`/e/${environment}`}
      operator={mayOperate(actor)}
      nowMs={deps.clock.nowMs()}
    />,
  );
}

/** Of a revision, as the database has it. */
const MAX_REVISION = 2 ** 31 - 1;

interface Props {
  tag: string;
  items: readonly FlagResource[];
  /** Of the change that led here; null without one. */
  proof: TimedProof | null;
  /** Its audit ids; "" without one. */
  changes: string;
  path: string;
  board: string;
  operator: boolean;
  errors: FieldErrors;
  form: Form | undefined;
  nowMs: number;
}

function Tag({ tag, items, proof, changes, path, board, operator, errors, form, nowMs }: Props) {
  const off = items.filter(isHeldOff);
  const on = items.length - off.length;
  const live = proof === null ? path : `${path}?${String(new URLSearchParams({ n: String(proof.n), changes }))}`;
  return (
    <>
      <p>
        <a href={board}>Board</a> / {tag}
      </p>
      <section class="card" {...selfUpdating("tag-flags", live)}>
        <h1>
          {count(items.length, "flag")} with the tag <code>{tag}</code>
        </h1>
        <ul>
          {items.map((flag) => (
            <li>
              <span class={`light ${lightOf(flag)}`} aria-hidden="true"></span>{" "}
              <a href={`${board}/flags/${flag.key}`}>{flag.name}</a>: <StateLine flag={flag} nowMs={nowMs} />
            </li>
          ))}
        </ul>
        {proof === null ? null : <ProofView proof={proof} fresh what={`Tag ${tag}`} />}
        <noscript>
          <a href={live}>Refresh</a>
        </noscript>
      </section>
      {operator ? (
        <div class="acts">
          <form class="stack" method="post" action={`${path}/kill`}>
            <label for="kill-why">Why (optional)</label>
            <input id="kill-why" name="why" maxlength={MAX_REASON_CHARS} />
            <button class="danger">{on === 0 ? "Kill all again" : `Kill all ${count(items.length, "flag")}`}</button>
          </form>
          {changes === "" ? null : (
            <form method="post" action={`${path}/undo`}>
              <input type="hidden" name="changes" value={changes} />
              <button>Undo for all</button>
            </form>
          )}
        </div>
      ) : null}
      {operator && off.length > 0 ? (
        <form class="card stack" method="post" action={`${path}/restore`}>
          <h2>Restore</h2>
          <FormErrors errors={errors} fields={["reason"]} />
          <p>
            Turns on {off.map(({ name }) => name).join(", ")}, for everybody at once.
            {off.some(({ trips }) => trips.length > 0) ? " Budgets that turned them off are overridden." : ""} The
            others are not touched. For a part of the users first, restore each by itself.
          </p>
          <ReasonChoice
            presets={RESTORE_REASONS}
            legend="Why now?"
            value={form === undefined ? "" : reasonOf(form)}
            errors={errors}
          />
          <FormActs does="Restore" cancel={board} />
        </form>
      ) : null}
    </>
  );
}
