/** The board's page. What changes on it while it is open: `live-route.ts`. */
import { Hono } from "hono";
import { raw } from "hono/html";
import type { Deps } from "../../deps.ts";
import { feedOf } from "./feed.tsx";
import { filterOf, found, isFiltering, searchOf } from "./find.tsx";
import { momentText } from "../shell/moment.tsx";
import { ownPartsOf, withOwnParts } from "./own-parts.tsx";
import { boardRoleOf, type PageEnv, rememberEnvironment, serviceContext } from "../shell/page-context.ts";
import { sendPage } from "../shell/render.tsx";
import { AskAgain, withFreshLinks } from "../shell/without-script.tsx";

export function boardPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment", async (c) => {
    const key = c.req.param("environment");
    const actor = c.get("actor");
    const feed = await feedOf(serviceContext(c, deps), key);
    const { board, html } = await feed.page(boardRoleOf(actor));
    rememberEnvironment(c, key);
    const filter = filterOf((name) => c.req.query(name));
    const own = ownPartsOf(board, actor);
    const whole = withOwnParts(html, own);
    const shown = isFiltering(filter) && board.kind === "fresh" ? found(whole, board, filter) : whole;
    const at = momentText(new Date(board.nowMs).toISOString(), board.nowMs, true);
    return sendPage(
      c,
      deps,
      {
        title: `Board of ${key}`,
        section: "board",
        actor,
        environment: key,
        head: <AskAgain board={board} actor={actor} />,
      },
      <>
        <noscript>
          <p class="banner">
            As of {at}, no JavaScript. <a href={`/e/${key}${searchOf(filter)}`}>Refresh</a>
          </p>
        </noscript>
        {raw(withFreshLinks(shown, c.get("requestId")))}
      </>,
    );
  });

  return app;
}
