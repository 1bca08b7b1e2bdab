/**
 * What only the one who made a change sees beside it: undo for ten seconds, and the question why. Everybody else's board
 * has an empty place there, so that all get the same bytes; these come with the visitor's own page and answers.
 */
import { raw } from "hono/html";
import type { Actor } from "../../domain/actor.ts";
import type { FlagResource } from "../../api/flag.ts";
import { type Board, type LastChange, type LastKnownBoard } from "./state.ts";
import { UNDO_MS } from "../../domain/switch.ts";
import { mayOperate } from "../shell/page-context.ts";
import { ReasonAfter, UndoButton } from "../form/quick-forms.tsx";
import { toHtml } from "../shell/render.tsx";

export interface OwnPart {
  id: string;
  html: string;
}

const undoId = (what: string): string => `undo-of-${what}`;
const whyId = (what: string): string => `why-of-${what}`;

/** For ids, in the place of a flag's key: no flag has it. */
export const MASTER = "_master";

/** Where the undo of a change of `what` (a flag's key, or `MASTER`) goes. */
export function UndoPlace({ what }: { what: string }) {
  return raw(empty(undoId(what)));
}

/** Where it is asked why: only while no reason is known, so that the question goes when one is. */
export function WhyPlace({ what }: { what: string }) {
  return raw(empty(whyId(what)));
}

/** The same for a flag and the master switch: whether the last change still waits for its reason. */
export function missesReason(last: LastChange | null, flag: FlagResource): boolean {
  if (last?.action === "flag.killed") return flag.switch.state === "off" && flag.switch.reason === null;
  if (last?.action === "flag.downgraded") return flag.level.manual !== null && flag.level.manual.reason === null;
  return false;
}

export function masterMissesReason({ master, masterLast }: Board): boolean {
  return masterLast?.action === "master.killed" && master.state === "off" && master.reason === null;
}

/** What this visitor alone is shown; almost always nothing. */
export function ownPartsOf(board: Board | LastKnownBoard, actor: Actor): OwnPart[] {
  if (board.kind === "last known" || !mayOperate(actor)) return [];
  const base = `/e/${board.environment.key}`;
  const parts: OwnPart[] = [];
  const add = (last: LastChange | null, what: string, name: string, asksWhy: boolean) => {
    if (last?.actorId !== actor.id) return;
    const leftMs = last.isUndoable ? UNDO_MS - (board.nowMs - Date.parse(last.at)) : 0;
    if (leftMs > 0) {
      parts.push(
        filled(undoId(what), last, <UndoButton base={base} last={last} leftMs={leftMs} what={what} name={name} />),
      );
    }
    if (asksWhy) parts.push(filled(whyId(what), last, <ReasonAfter base={base} last={last} what={what} />));
  };
  add(board.masterLast, MASTER, "the master switch", masterMissesReason(board));
  for (const { flag, last } of board.rows) add(last, flag.key, flag.name, missesReason(last, flag));
  return parts;
}

/** The page of a visitor: what all get, with their own parts in place. */
export function withOwnParts(html: string, parts: readonly OwnPart[]): string {
  return parts.reduce((page, part) => page.replace(empty(part.id), () => part.html), html);
}

function empty(id: string): string {
  return toHtml(<div class="own" id={id} data-own></div>);
}

/** `data-own` names the change it belongs to: with another one on its card it is over. */
function filled(id: string, last: LastChange, inner: unknown): OwnPart {
  return {
    id,
    html: toHtml(
      <div class="own" id={id} data-own={String(last.auditId)}>
        {raw(toHtml(inner))}
      </div>,
    ),
  };
}
