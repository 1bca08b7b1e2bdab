/**
 * One flag on the board: its light, what it does now and why, and the buttons. After a change the same card carries the
 * undo, the question why, and the proof, so that nobody has to look elsewhere.
 */
import type { Child } from "hono/jsx";
import type { FlagResource } from "../domain/resources.ts";
import type { Board, FlagRow, LastChange } from "./board-state.ts";
import { HeldLine } from "./held-line.tsx";
import { concerns } from "./incident-news.tsx";
import { ProofView } from "./proof-view.tsx";
import { Running } from "./running.tsx";
import { missesReason, UndoPlace, WhyPlace } from "./own-parts.tsx";
import { isAwaited } from "./proof.ts";
import { SentModels } from "./sent-models.tsx";
import { StateLine } from "./state-line.tsx";
import { killTrip, lightOf } from "./text.ts";
import { RefreshLink } from "./without-script.tsx";

/** How long a finished proof stays on the card. */
const PROOF_SHOWN_MS = 2 * 60_000;

export interface FlagCardProps {
  row: FlagRow;
  board: Board;
  operator: boolean;
  admin: boolean;
  /** What stands in the card and changes by itself, see `board-parts.tsx`. */
  money: Child;
}

export function FlagCard({ row, board, operator, admin, money }: FlagCardProps) {
  const { flag, last } = row;
  const light = lightOf(flag);
  const base = `/e/${board.environment.key}`;
  return (
    <article
      class={`card ${light}`}
      id={`flag-${flag.key}`}
      tabindex={-1}
      aria-labelledby={`name-${flag.key}`}
      data-flag={flag.key}
      data-change={last === null ? undefined : String(last.auditId)}
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
        <StateLine flag={flag} nowMs={board.nowMs} />
      </p>
      <SentModels flag={flag} base={base} admin={admin} />
      <HeldLine fleet={board.fleet} flag={flag.key} />
      {money}
      <div class="acts">
        {last?.isUndoable === true && operator ? <UndoPlace what={flag.key} /> : null}
        {operator ? <Buttons flag={flag} base={base} /> : null}
      </div>
      {last !== null && !provenAbove(last, flag, board) && showsProof(last, board.nowMs, flag) ? (
        <div class="proof-box">
          <ProofView proof={last.proof} fresh={board.nowMs - Date.parse(last.at) < PROOF_SHOWN_MS} what={flag.name} />
          {isOff(flag) ? <Running flag={flag} /> : null}
          <RefreshLink anchor={`flag-${flag.key}`} />
        </div>
      ) : null}
      {operator && missesReason(last, flag) ? <WhyPlace what={flag.key} /> : null}
    </article>
  );
}

function showsProof(last: LastChange, nowMs: number, flag: FlagResource): boolean {
  if (nowMs - Date.parse(last.at) < PROOF_SHOWN_MS) return true;
  if (isOff(flag)) return true;
  return isAwaited(last.proof);
}

/** An open incident carries the proof of its trip already. */
function provenAbove(last: LastChange, flag: FlagResource, { incidents }: Board): boolean {
  return last.action === "flag.tripped" && incidents.some((incident) => concerns(incident, flag));
}

/** Off by itself, whatever the master switch says. */
function isOff(flag: FlagResource): boolean {
  return flag.switch.state === "off" || killTrip(flag) !== null;
}

function Buttons({ flag, base }: { flag: FlagResource; base: string }) {
  const path = `${base}/flags/${flag.key}`;
  const trip = killTrip(flag);
  if (isOff(flag)) {
    return (
      <>
        <a class="button main" href={`${path}/restore`} id={`restore-${flag.key}`}>
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
      <form method="post" action={`${path}/kill`} hx-post={`${path}/kill`}>
        <button class="danger" id={`kill-${flag.key}`} data-kill data-sent="Sent…" aria-label={`Kill ${flag.name}`}>
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
