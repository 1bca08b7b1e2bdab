/** The forms that follow a change on its own card: undo, and why. Plain buttons; htmx only saves the page load. */
import { MAX_REASON_CHARS } from "../domain/limits.ts";
import type { LastChange } from "./board-state.ts";
import { REASONS } from "./reason-choice.tsx";

const SECOND_MS = 1_000;

export function UndoButton({ base, last, what, id }: { base: string; last: LastChange; what: string; id: string }) {
  const path = `${base}/undo`;
  return (
    <form method="post" action={path} hx-post={path} hx-target="#live" hx-swap="outerHTML">
      <input type="hidden" name="change" value={String(last.auditId)} />
      <button class="main" id={id} data-undo>
        Undo<span class="unseen"> the change of {what}</span>
        {" · "}
        <span data-countdown={String(last.undoLeftMs)}>{Math.ceil(last.undoLeftMs / SECOND_MS)} s</span>
      </button>
    </form>
  );
}

/** Presets and own words are two forms: Enter in the text field must not press the first preset. */
export function ReasonAfter({ base, last, id }: { base: string; last: LastChange; id: string }) {
  const path = `${base}/reason`;
  const form = { method: "post" as const, action: path, "hx-post": path, "hx-target": "#live", "hx-swap": "outerHTML" };
  const change = <input type="hidden" name="change" value={String(last.auditId)} />;
  return (
    <div class="reason" role="group" aria-label="Why?">
      <p>
        Why? <span class="dim">(one tap, helps whoever comes next)</span>
      </p>
      <div class="chips">
        <form class="flat" {...form}>
          {change}
          {REASONS.map((reason) => (
            <button class="chip-button" name="reason" value={reason} id={`reason-${id}-${reason.replace(" ", "-")}`}>
              {reason}
            </button>
          ))}
        </form>
        <details id={`other-${id}`}>
          <summary class="chip-button">Other…</summary>
          <form class="other" {...form}>
            {change}
            <label for={`words-${id}`}>In your own words</label>
            <input id={`words-${id}`} name="reason" required maxlength={MAX_REASON_CHARS} autocomplete="off" />
            <button class="main" id={`say-${id}`}>
              Save
            </button>
          </form>
        </details>
      </div>
    </div>
  );
}
