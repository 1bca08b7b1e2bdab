/**
 * What the board does where there is no script: while something is being proven, or may still be undone, it asks for
 * itself again; and beside each proof there is a link that does.
 */
import type { Child } from "hono/jsx";
import type { Actor } from "../../domain/actor.ts";
import { type Board, type LastChange, type LastKnownBoard } from "../board/state.ts";
import { UNDO_MS } from "../../domain/switch.ts";
import { isAwaited } from "../../domain/fleet.ts";

const SECOND_MS = 1_000;
const ASK_EVERY_SECONDS = 3;
/** After that only the link does: a page that goes on would take away what is being typed. */
const ASK_FOR_MS = 60_000;
/** In what is rendered for all; each page puts something of its own there, as a link to the same address reloads nothing. */
const MARK = "andon-request";

/** Opens the same board again, at this proof. */
export function RefreshLink({ anchor }: { anchor: string }) {
  return (
    <noscript>
      <a class="button" href={`?at=${MARK}#${anchor}`}>
        Refresh
      </a>
    </noscript>
  );
}

/** The page of one request, with links that lead to another one. */
export function withFreshLinks(html: string, requestId: string): string {
  return html.replaceAll(MARK, encodeURIComponent(requestId));
}

/** For the page's head. */
export function AskAgain({ board, actor }: { board: Board | LastKnownBoard; actor: Actor }): Child {
  const seconds = secondsToAsk(board, actor);
  if (seconds === null) return null;
  return (
    <noscript>
      <meta http-equiv="refresh" content={String(seconds)} />
    </noscript>
  );
}

function secondsToAsk(board: Board | LastKnownBoard, actor: Actor): number | null {
  if (board.kind === "last known") return null;
  const changes = [board.masterLast, ...board.rows.map(({ last }) => last)].filter((last) => last !== null);
  const age = ({ at }: LastChange) => board.nowMs - Date.parse(at);
  const young = changes.filter((last) => age(last) < ASK_FOR_MS);
  if (young.some(({ proof }) => isAwaited(proof))) return ASK_EVERY_SECONDS;
  const undoLeftMs = young
    .filter(({ isUndoable, actorId }) => isUndoable && actorId === actor.id)
    .map((last) => UNDO_MS - age(last));
  return undoLeftMs.length === 0 ? null : Math.max(1, Math.ceil(Math.min(...undoLeftMs) / SECOND_MS));
}
