/**
 * Signing in by token or by one-time link, and out. Opening a link presses nothing: only the button on its page uses it
 * up, so that previews of chat programs cannot.
 */
import { Hono } from "hono";
import type { Deps } from "../../deps.ts";
import { AppError } from "../../errors.ts";
import { remoteAddressOf } from "../../http/middleware/auth.ts";
import { failedAttemptsOf } from "../../http/middleware/failed-attempts.ts";
import { createSession, readSession, signInWithToken, signOut } from "../../http/middleware/session.ts";
import { peekSignInLink, redeemSignInLink } from "../../services/access/sign-in.ts";
import { flashOf } from "../shell/act.tsx";
import { Field, type FieldErrors, NO_ERRORS } from "../form/parts.tsx";
import { type PageContext, type PageEnv, readForm, setFlash } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";

const MAX_LINK_CHARS = 200;
const MAX_NEXT_CHARS = 1_000;

export function signInPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/sign-in", async (c) => {
    const link = c.req.query("link");
    if (link !== undefined) return linkPage(c, deps, link);
    if ((await readSession(c, deps)) !== null) return c.redirect(safeNext(c.req.query("next")), 303);
    return tokenPage(c, deps, { next: safeNext(c.req.query("next")), errors: NO_ERRORS });
  });

  app.post("/sign-in", async (c) => {
    const form = await readForm(c);
    const next = safeNext(form.text("next"));
    try {
      const actor = signInWithToken(deps, form.text("token"), remoteAddressOf(c));
      if (actor === null) {
        const message = "This token is not known here, has expired or was revoked.";
        return tokenPage(c, deps, { next, errors: new Map([["token", message]]) }, 401);
      }
      await createSession(c, deps, actor.id);
      return c.redirect(next, 303);
    } catch (error) {
      if (!(error instanceof AppError) || (error.code !== "FORBIDDEN" && error.code !== "RATE_LIMITED")) throw error;
      const status = error.code === "FORBIDDEN" ? 403 : 429;
      if (error.retryAfterSeconds !== undefined) c.header("Retry-After", String(error.retryAfterSeconds));
      return tokenPage(c, deps, { next, errors: new Map([["token", error.message]]) }, status);
    }
  });

  app.post("/sign-in/link", async (c) => {
    const link = (await readForm(c)).text("link");
    const redeemed = link.length > MAX_LINK_CHARS ? null : await redeemSignInLink(deps, link);
    if (redeemed === null) return linkPage(c, deps, link);
    await createSession(c, deps, redeemed.tokenId);
    return c.redirect("/", 303);
  });

  app.post("/sign-out", async (c) => {
    try {
      await signOut(c, deps);
      setFlash(c, { tone: "done", text: "You are signed out." });
    } catch (error) {
      const why = flashOf(error).text;
      setFlash(c, { tone: "problem", text: `You are signed out here. A copy of this session may go on: ${why}` });
    }
    return c.redirect("/sign-in", 303);
  });

  return app;
}

function tokenPage(
  c: PageContext,
  deps: Deps,
  { next, errors }: { next: string; errors: FieldErrors },
  status: 200 | 401 | 403 | 429 = 200,
) {
  return sendPage(
    c,
    deps,
    { title: "Sign in", actor: null, status },
    <section class="card sign-in">
      <h1>Sign in</h1>
      <form method="post" action="/sign-in" class="stack">
        <input type="hidden" name="next" value={next} />
        <Field
          name="token"
          label="Token"
          type="password"
          value=""
          errors={errors}
          autocomplete="current-password"
          required
          autofocus
          mono
          hint={
            <>
              An op token, <code>andon_op_…</code>. Admins create them on the Tokens page.
            </>
          }
        />
        <button class="main">Sign in</button>
      </form>
      <p class="dim">
        No token yet? Whoever runs this server makes a one-time link with <code>andon sign-in-link</code>.
      </p>
    </section>,
  );
}

async function linkPage(c: PageContext, deps: Deps, link: string) {
  const worth = link.length > MAX_LINK_CHARS ? "unknown" : await peekSignInLink(deps, link);
  // Who guesses links is slowed down with who guesses tokens. One that is used or has expired was no guess.
  if (worth === "unknown") failedAttemptsOf(deps).count(remoteAddressOf(c));
  if (worth === "valid") {
    return sendPage(
      c,
      deps,
      { title: "Sign in", actor: null },
      <section class="card sign-in">
        <h1>Sign in to Andon</h1>
        <p>This link signs in one person, once.</p>
        <form method="post" action="/sign-in/link">
          <input type="hidden" name="link" value={link} />
          <button class="main">Sign in</button>
        </form>
      </section>,
    );
  }
  const why = {
    used: "This link was used already.",
    expired: "This link has expired.",
    unknown: "This link is not known here.",
  };
  return sendPage(
    c,
    deps,
    { title: "Link not valid", actor: null, status: 410 },
    <section class="card sign-in">
      <h1>{why[worth]}</h1>
      <p>
        A link works once, for a day. Make a new one on the server with <code>andon sign-in-link</code> (or, on the
        embedded database, restart the server: it prints one), or sign in with an op token.
      </p>
      <p>
        <a class="button main" href="/sign-in">
          Sign in with a token
        </a>
      </p>
    </section>,
  );
}

/** A path of this server, with what was looked for there. */
const SAFE_NEXT = /^\/(?![/\\])[\w./~-]*(\?[\w.~%&=+!*'(),:;@/?$-]*)?$/;

/** Only a path of this server may follow a sign-in. */
function safeNext(next: string | undefined): string {
  return next !== undefined && next.length <= MAX_NEXT_CHARS && SAFE_NEXT.test(next) ? next : "/";
}
