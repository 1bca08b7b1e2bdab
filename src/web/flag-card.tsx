/**
 * One flag on the board: its light, what it does now and why, and the buttons. After a change the same card carries the
 * undo, the question why, and the proof, so that nobody has to look elsewhere.
 */
import type { FlagResource } from "../domain/resources.ts";
import type { Board, FlagRow, LastChange } from "./board-state.ts";
import { FlagMoneyView } from "./flag-money.tsx";
import { concerns } from "./incident-news.tsx";
import { ProofView } from "./proof-view.tsx";
import { Running } from "./running.tsx";
import { ReasonAfter, UndoButton } from "./quick-forms.tsx";
import { isComplete } from "./proof.ts";
import { StateLine } from "./state-line.tsx";
import { killTrip, lightOf } from "./text.ts";

/** How long a finished proof stays on the card. */
const PROOF_SHOWN_MS = 2 * 60_000;

export function FlagCard({ row, board, operator }: { row: FlagRow; board: Board; operator: boolean }) {
  const { flag, last } = row;
  const light = lightOf(flag);
  const base = `/e/${board.environment.key}`;
  const needsReason = last !== null && operator && last.byMe && missingReason(flag, last);
  return (
    <article
      class={`card ${light}`}
      id={`flag-${flag.key}`}
      tabindex={-1}
      aria-labelledby={`name-${flag.key}`}
      data-flag={flag.key}
    >
      <div class="card-head">
        <span class={`light ${light}`} aria-hidden="true"></span>
        <div class="names">
          <h3 id={`name-${flag.key}`}>
            <a href={`${base}/flags/${flag.key}`}>{flag.name}</a>
          </h3>
          <code class="key">{flag.key}</code>
        </div>
      </div>
      <p class="state">
        <StateLine flag={flag} nowMs={board.nowMs} mine={last?.byMe === true && last.action === "flag.killed"} />
      </p>
      <FlagMoneyView flag={flag} light={light} money={board.money} base={base} nowMs={board.nowMs} />
      <div class="acts">
        {last !== null && last.undoLeftMs > 0 && operator ? (
          <UndoButton base={base} last={last} what={flag.name} id={`undo-${flag.key}`} />
        ) : null}
        {operator ? <Buttons flag={flag} base={base} undoing={(last?.undoLeftMs ?? 0) > 0} /> : null}
      </div>
      {last !== null && !provenAbove(last, flag, board) && showsProof(last, board.nowMs, flag) ? (
        <div class="proof-box">
          <ProofView proof={last.proof} fresh={board.nowMs - Date.parse(last.at) < PROOF_SHOWN_MS} what={flag.name} />
          {isOff(flag) ? <Running flag={flag} /> : null}
        </div>
      ) : null}
      {needsReason ? <ReasonAfter base={base} last={last} id={flag.key} /> : null}
    </article>
  );
}

function missingReason(flag: FlagResource, last: LastChange): boolean {
  if (last.action === "flag.killed") return flag.switch.state === "off" && flag.switch.reason === null;
  if (last.action === "flag.downgraded") return flag.level.manual !== null && flag.level.manual.reason === null;
  return false;
}

function showsProof(last: LastChange, nowMs: number, flag: FlagResource): boolean {
  if (nowMs - Date.parse(last.at) < PROOF_SHOWN_MS) return true;
  if (isOff(flag)) return true;
  return last.proof !== null && last.proof.live > 0 && !isComplete(last.proof);
}

/** An open incident carries the proof of its trip already. */
function provenAbove(last: LastChange, flag: FlagResource, { incidents }: Board): boolean {
  return last.action === "flag.tripped" && incidents.some((incident) => concerns(incident, flag));
}

/** Off by itself, whatever the master switch says. */
function isOff(flag: FlagResource): boolean {
  return flag.switch.state === "off" || killTrip(flag) !== null;
}

function Buttons({ flag, base, undoing }: { flag: FlagResource; base: string; undoing: boolean }) {
  const path = `${base}/flags/${flag.key}`;
  const trip = killTrip(flag);
  if (isOff(flag)) {
    return (
      <>
        <a class={undoing ? "button" : "button main"} href={`${path}/restore`} id={`restore-${flag.key}`}>
          Restore…
        </a>
        {trip === null || flag.switch.state === "off" ? null : (
          <a
            class="button"
            href={`${base}/budgets/${trip.budget.id}/raise`}
            id={`raise-${flag.key}`}
            aria-label={`Raise budget ${trip.budget.name}…`}
          >
            Raise…
          </a>
        )}
      </>
    );
  }
  const further = flag.level.level < flag.steps.length - 1;
  return (
    <>
      <form method="post" action={`${path}/kill`} hx-post={`${path}/kill`} hx-target="#live" hx-swap="outerHTML">
        <button class="danger" id={`kill-${flag.key}`} data-kill aria-label={`Kill ${flag.name}`}>
          Kill
        </button>
      </form>
      {further ? (
        <a class="button" href={`${path}/downgrade`} id={`downgrade-${flag.key}`}>
          Downgrade…
        </a>
      ) : null}
      {flag.level.level > 0 || flag.switch.ramp !== null ? (
        <a class="button" href={`${path}/restore`} id={`restore-${flag.key}`}>
          {flag.level.level > 0 ? "Restore quality…" : "End the ramp…"}
        </a>
      ) : null}
    </>
  );
}
