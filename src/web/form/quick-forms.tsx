/** The forms that follow a change on its own card: undo, and why. Plain forms; the script only saves the page load. */
import { MAX_REASON_CHARS } from "../../domain/limits.ts";
import type { LastChange } from "../board/state.ts";
import { REASONS } from "../../domain/reasons.ts";

const SECOND_MS = 1_000;

interface UndoProps {
  base: string;
  last: LastChange;
  leftMs: number;
  /** For ids: the flag's key, or `MASTER`. */
  what: string;
  name: string;
}

export function UndoButton({ base, last, leftMs, what, name }: UndoProps) {
  const path = `${base}/undo`;
  return (
    <form method="post" action={path} hx-post={path}>
      <input type="hidden" name="change" value={String(last.auditId)} />
      <button class="main" id={`undo-${what}`} data-undo>
        Undo<span class="unseen"> the change of {name}</span>
        {" · "}
        <span data-countdown={String(leftMs)}>{Math.ceil(leftMs / SECOND_MS)} s</span>
      </button>
    </form>
  );
}

/** Presets and own words are two forms: Enter in the text field must not press the first preset. */
export function ReasonAfter({ base, last, what }: { base: string; last: LastChange; what: string }) {
  const path = `${base}/reason`;
  const form = { method: "post" as const, action: path, "hx-post": path };
  const change = <input type="hidden" name="change" value={String(last.auditId)} />;
  return (
    <div class="reason" role="group" aria-label="Why?">
      <p>
        Done by you. Why? <span class="dim">(one tap, helps whoever comes next)</span>
      </p>
      <div class="chips">
        <form class="flat" {...form}>
          {change}
          {REASONS.map((reason) => (
            <button class="chip-button" name="reason" value={reason} id={`reason-${what}-${reason.replace(" ", "-")}`}>
              {reason}
            </button>
          ))}
        </form>
        <details id={`other-${what}`}>
          <summary class="chip-button">Other…</summary>
          <form class="other" {...form}>
            {change}
            <label for={`words-${what}`}>In your own words</label>
            <input id={`words-${what}`} name="reason" required maxlength={MAX_REASON_CHARS} autocomplete="off" />
            <button class="main" id={`say-${what}`}>
              Save
            </button>
          </form>
        </details>
      </div>
    </div>
  );
}
