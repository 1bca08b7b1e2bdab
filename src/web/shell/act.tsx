/**
 * How every button answers: it does its thing, then shows the board again with what happened. Without JavaScript by a
 * redirect, with it by the parts that changed. A refusal is a sentence on the page that was left, never a dead end.
 */
import type { Deps } from "../../deps.ts";
import { AppError, type ErrorCode } from "../../errors.ts";
import { filterOf, searchOf } from "../board/find.tsx";
import { feedOf } from "../board/feed.tsx";
import { FlashMessage } from "./layout.tsx";
import { ownPartsOf } from "../board/own-parts.tsx";
import { boardRoleOf, type Flash, type PageContext, serviceContext, setFlash, wantsParts } from "./page-context.ts";
import { sendHtml, toHtml } from "./render.tsx";

/** What the page shows, in the words of its cursor. */
const AFTER_HEADER = "Board-After";

/** Errors that a person can do something about; all others are a page of their own. */
const SHOWN: ReadonlySet<ErrorCode> = new Set([
  "FORBIDDEN",
  "NOT_FOUND",
  "CONFLICT",
  "PRECONDITION_FAILED",
  "INVALID",
  "DATABASE_AWAY",
  "OVERLOADED",
]);

/** The message of an error that belongs on the page; others are thrown on. */
export function flashOf(error: unknown): Flash {
  if (error instanceof AppError && SHOWN.has(error.code)) return { tone: "problem", text: error.message };
  throw error;
}

/**
 * Runs a button of the board. `work` answers with what to say, or null when the card itself shows it. `anchor` is
 * where the board is opened.
 */
export async function act(
  c: PageContext,
  deps: Deps,
  environmentKey: string,
  anchor: string,
  work: () => Promise<string | null>,
): Promise<Response> {
  let flash: Flash | null;
  try {
    const text = await work();
    flash = text === null ? null : { tone: "done", text };
  } catch (error) {
    flash = flashOf(error);
  }
  if (wantsParts(c)) {
    const actor = c.get("actor");
    const feed = await feedOf(serviceContext(c, deps), environmentKey);
    const { board, html } = await feed.sincePress(boardRoleOf(actor), c.req.header(AFTER_HEADER) ?? "");
    const own = ownPartsOf(board, actor).map((part) => part.html);
    return sendHtml(c, html + own.join("") + toHtml(<FlashMessage flash={flash} />));
  }
  const filter = filterOf((name) => c.req.query(name));
  // What was pressed may be in another state now, and not among what is looked for.
  if (flash === null && filter.state !== "")
    flash = { tone: "done", text: "Done. Only flags in the chosen state are shown." };
  if (flash !== null) setFlash(c, flash);
  // A message is at the top of the page; without one, the card is what there is to see.
  return c.redirect(`/e/${environmentKey}${searchOf(filter)}${flash === null ? anchor : ""}`, 303);
}

/** After a form: the board (or `path`) with a message. */
export function done(c: PageContext, path: string, text: string): Response {
  setFlash(c, { tone: "done", text });
  return c.redirect(path, 303);
}
