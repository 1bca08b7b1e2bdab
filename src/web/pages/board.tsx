/** The board's page and its live part. */
import { Hono } from "hono";
import { raw } from "hono/html";
import type { Deps } from "../../deps.ts";
import { livePart, nextLivePart } from "../board-live.tsx";
import { momentText } from "../moment.tsx";
import { type PageEnv, rememberEnvironment, serviceContext } from "../page-context.ts";
import { sendHtml, sendPage } from "../render.tsx";

const MAX_HASH_CHARS = 64;

export function boardPages(deps: Deps): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/e/:environment", async (c) => {
    const key = c.req.param("environment");
    const part = await livePart(serviceContext(c, deps), key);
    rememberEnvironment(c, key);
    const at = momentText(new Date(part.board.nowMs).toISOString(), part.board.nowMs, true);
    return sendPage(
      c,
      deps,
      { title: `Board of ${key}`, section: "board", actor: c.get("actor"), environment: key },
      <>
        <noscript>
          <p class="banner">
            Without JavaScript this page does not update itself: it shows {at}. <a href={`/e/${key}`}>Refresh</a>
          </p>
        </noscript>
        {raw(part.html)}
      </>,
    );
  });

  app.get("/e/:environment/live", async (c) => {
    const after = (c.req.query("after") ?? "").slice(0, MAX_HASH_CHARS);
    const ctx = serviceContext(c, deps);
    const part = await nextLivePart(ctx, c.req.param("environment"), after, c.req.raw.signal);
    if (part === null) return c.body(null, 204, { "Cache-Control": "no-store" });
    return sendHtml(c, part.html);
  });

  return app;
}
