/**
 * The page behind a link of an alert: it says what the link does and asks. Opening it presses nothing, so that previews of
 * chat and mail programs cannot; only its button acts, once. Needs no sign-in: the link is the permission.
 */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { type Link, peekLink, pressLink } from "../../services/alerts/press-link.ts";
import { ACTION_LINK_HOURS } from "../../services/alerts/action-links.ts";
import { type PageContext, type PageEnv, readForm } from "../shell/page-context.ts";
import { Moment } from "../shell/moment.tsx";
import { sendPage } from "../shell/render.tsx";

type Valid = Extract<Link, { state: "valid" }>;
type Spent = Exclude<Link, { state: "valid" }>;

export function linkPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/act", async (c) => {
    const token = c.req.query("link") ?? "";
    const link = await peekLink(deps, token);
    return link.state === "valid" ? askPage(c, deps, link, token) : spentPage(c, deps, link);
  });

  app.post("/act", async (c) => {
    const link = await pressLink(deps, c.get("requestId"), (await readForm(c)).text("link"));
    return link.state === "valid" ? donePage(c, deps, link) : spentPage(c, deps, link);
  });

  return app;
}

const VERBS = { kill: "Kill", downgrade: "Downgrade", raise: "Raise" } as const;
const DONE = { kill: "Killed", downgrade: "Downgraded", raise: "Raised" } as const;

function askPage(c: PageContext, deps: Deps, { claims, environment, channel, does }: Valid, token: string) {
  const { action, incident } = claims;
  const what = action.kind === "raise" ? "the budget" : action.flag;
  return sendPage(
    c,
    deps,
    { title: `${VERBS[action.kind]} ${what}?`, actor: null },
    <section class="card stack">
      <h1>{`${VERBS[action.kind]} ${what}?`}</h1>
      <p>{does}</p>
      <p class="dim">{`In ${environment}, because of: ${incident}. It is noted as done by a link from ${channel}.`}</p>
      <form method="post" action="/act">
        <input type="hidden" name="link" value={token} />
        <div class="acts">
          <button class={action.kind === "kill" ? "danger" : "main"}>{`${VERBS[action.kind]} ${what}`}</button>
          <a class="button" href={`/e/${environment}`}>
            Open the board
          </a>
        </div>
      </form>
    </section>,
  );
}

function donePage(c: PageContext, deps: Deps, { claims: { action }, environment }: Valid) {
  const title = `${DONE[action.kind]}${action.kind === "raise" ? "" : ` ${action.flag}`}`;
  return sendPage(
    c,
    deps,
    { title, actor: null },
    <section class="card stack">
      <h1>{`${title}.`}</h1>
      <p>The board shows whether it has arrived everywhere.</p>
      <div class="acts">
        <a
          class="button main"
          href={`/e/${environment}${action.kind === "raise" ? "/budgets" : `#flag-${action.flag}`}`}
        >
          Open the board
        </a>
      </div>
    </section>,
  );
}

function spentPage(c: PageContext, deps: Deps, link: Spent) {
  const why = {
    used: "This link was used already",
    expired: "This link has expired",
    unknown: "This link is not valid",
  };
  return sendPage(
    c,
    deps,
    { title: why[link.state], actor: null, status: 410 },
    <section class="card stack">
      <h1>{`${why[link.state]}.`}</h1>
      <p>
        {link.state === "used" ? (
          <>
            It was used <Moment at={link.usedAt} nowMs={deps.clock.nowMs()} exact />.{" "}
          </>
        ) : null}
        {`Nothing was done now. A link works once, for ${ACTION_LINK_HOURS} hours; the board always works.`}
      </p>
      <div class="acts">
        <a class="button main" href="/">
          Open the board
        </a>
      </div>
    </section>,
  );
}
