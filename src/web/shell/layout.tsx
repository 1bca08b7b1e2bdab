/**
 * The frame of every page: head, environment switcher, navigation, message, footer. Nothing inline and nothing from
 * another host, so that the content security policy can forbid both.
 */
import type { Child } from "hono/jsx";
import type { Actor } from "../../domain/actor.ts";
import { mayAdminister } from "./page-context.ts";
import type { Flash } from "./page-context.ts";
import { assetPath } from "./static-files.ts";

export type Section =
  | "board"
  | "budgets"
  | "usage"
  | "incidents"
  | "chains"
  | "models"
  | "instances"
  | "audit"
  | "tokens";

export interface Frame {
  title: string;
  section: Section | null;
  /** Null on pages before sign-in. */
  actor: Actor | null;
  environment: string | null;
  /** Keys of the environments the visitor may see. */
  environments: readonly string[];
  flash: Flash | null;
  head: Child;
}

export function Page({ frame, children }: { frame: Frame; children?: Child }) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
        <meta name="color-scheme" content="dark light" />
        <title>{`${frame.title} · Andon`}</title>
        <link rel="icon" type="image/svg+xml" href={assetPath("favicon.svg")} />
        <link rel="stylesheet" href={assetPath("board.css")} />
        <script src={assetPath("board.js")} defer></script>
        {frame.head}
      </head>
      <body>
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <Header frame={frame} />
        <main id="main" tabindex={-1}>
          <FlashMessage flash={frame.flash} />
          {children}
        </main>
        <footer class="foot">
          <p data-zone>Times are in UTC.</p>
          <p class="keys" hidden data-keys>
            Keyboard: <kbd>j</kbd> <kbd>k</kbd> move between flags, <kbd>Shift</kbd>+<kbd>K</kbd> kills the one in
            focus.
          </p>
        </footer>
        <div id="announce" class="unseen" aria-live="polite"></div>
      </body>
    </html>
  );
}

/** The place where an action says what happened. */
export function FlashMessage({ flash }: { flash: Flash | null }) {
  return (
    <div id="flash" role="status">
      {flash === null ? null : <p class={`flash ${flash.tone}`}>{flash.text}</p>}
    </div>
  );
}

function Header({ frame }: { frame: Frame }) {
  const { actor, environment } = frame;
  return (
    <header class="top">
      <a class="brand" href="/">
        <svg viewBox="0 0 8 22" width="8" height="22" aria-hidden="true">
          <rect class="lamp-off" width="8" height="8" rx="3" />
          <rect class="lamp-downgraded" y="7" width="8" height="8" />
          <rect class="lamp-on" y="14" width="8" height="8" rx="3" />
        </svg>
        andon
      </a>
      {environment === null ? null : <Switcher frame={frame} environment={environment} />}
      {actor === null || environment === null ? null : (
        <>
          <nav class="wide" aria-label="Pages">
            <NavLinks frame={frame} environment={environment} />
          </nav>
          <details class="menu narrow">
            <summary aria-label="Menu">
              <span aria-hidden="true">☰</span>
            </summary>
            <nav class="sheet" aria-label="Pages">
              <NavLinks frame={frame} environment={environment} />
              <Who actor={actor} />
            </nav>
          </details>
        </>
      )}
      {actor === null ? null : (
        <div class="wide">
          <Who actor={actor} />
        </div>
      )}
    </header>
  );
}

function Switcher({ frame, environment }: { frame: Frame; environment: string }) {
  return (
    <details class="menu">
      <summary aria-label={`Environment: ${environment}. Change it`}>
        {environment} <span aria-hidden="true">▾</span>
      </summary>
      <nav class="sheet" aria-label="Environments">
        {frame.environments.map((key) => (
          <a href={`/e/${key}`} aria-current={key === environment ? "true" : undefined}>
            {key}
          </a>
        ))}
        {frame.actor !== null && mayAdminister(frame.actor) && frame.actor.environmentIds === null ? (
          <a href="/environments/new">New environment…</a>
        ) : null}
      </nav>
    </details>
  );
}

function NavLinks({ frame, environment }: { frame: Frame; environment: string }) {
  const base = `/e/${environment}`;
  const links: [Section, string, string][] = [
    ["board", base, "Board"],
    ["budgets", `${base}/budgets`, "Budgets"],
    ["usage", `${base}/usage`, "Usage"],
    ["incidents", `${base}/incidents`, "Incidents"],
    ["chains", `${base}/chains`, "Chains"],
    ["models", `${base}/models`, "Models"],
    ["instances", `${base}/instances`, "Instances"],
    ["audit", `${base}/audit`, "Audit"],
  ];
  if (frame.actor !== null && mayAdminister(frame.actor)) links.push(["tokens", `${base}/tokens`, "Tokens"]);
  return (
    <>
      {links.map(([section, href, label]) => (
        <a href={href} aria-current={section === frame.section ? "page" : undefined}>
          {label}
        </a>
      ))}
    </>
  );
}

function Who({ actor }: { actor: Actor }) {
  return (
    <form method="post" action="/sign-out" class="who">
      <span title={`Role: ${actor.role ?? "none"}`}>{actor.name}</span>
      <button class="quiet">Sign out</button>
    </form>
  );
}
