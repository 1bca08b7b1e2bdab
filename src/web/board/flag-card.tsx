/**
 * One flag on the board, a row of one height: its light, what it does now and why, what it costs, and the button that
 * comes next. The rest is behind "More"; after a change the same row carries the undo, the proof, and the question why.
 */
import type { Child } from "hono/jsx";
import { RANKS } from "../../domain/attention.ts";
import type { FlagResource } from "../../api/flag.ts";
import type { Board, FlagRow } from "./state.ts";
import { HeldLine } from "./held-line.tsx";
import { More } from "./more.tsx";
import { ProofView } from "../shell/proof-view.tsx";
import { Running } from "../shell/running.tsx";
import { missesReason, UndoPlace, WhyPlace } from "./own-parts.tsx";
import { isAwaited } from "../../domain/fleet.ts";
import { NotWired } from "../flags/not-wired.tsx";
import { Refused } from "../flags/refused.tsx";
import { SentModels } from "../flags/sent-models.tsx";
import { StateLine } from "../text/state-line.tsx";
import { isHeldOff } from "../../domain/effective.ts";
import { killTrip, lightOf } from "../text/text.ts";
import { RefreshLink } from "../shell/without-script.tsx";

/** How long a finished proof stays on the row of a flag that is on. */
const PROOF_SHOWN_MS = 2 * 60_000;

export interface FlagCardProps {
  row: FlagRow;
  board: Board;
  operator: boolean;
  admin: boolean;
  /** What stands in the row and changes by itself, see `board-parts.tsx`. */
  money: Child;
}

export function FlagCard({ row, board, operator, admin, money }: FlagCardProps) {
  const { flag, last, rank, refusals } = row;
  const { key, name, owner, runbookUrl, standing } = flag;
  const base = `/e/${board.environment.key}`;
  const light = lightOf(flag, refusals.length > 0);
  const path = `${base}/flags/${key}`;
  const isFresh = last !== null && board.nowMs - Date.parse(last.at) < PROOF_SHOWN_MS;
  const isAsked = isFresh || (last !== null && isAwaited(last.proof));
  const proof =
    last !== null && (isAsked || isHeldOff(flag)) ? (
      <div class={isAsked ? "fact" : "fact quiet"}>
        <ProofView proof={last.proof} fresh={isFresh} what={name} />
        {isHeldOff(flag) ? <Running flag={flag} /> : null}
        <RefreshLink anchor={`flag-${key}`} />
      </div>
    ) : null;
  const tellsHeld = proof !== null && last !== null && last.proof.held.count > 0;
  // There is room for one line: that another model is sent than the row names, then what has just been done.
  return (
    <article
      class={`card flag ${light}`}
      id={`flag-${key}`}
      tabindex={-1}
      aria-labelledby={`name-${key}`}
      data-flag={key}
      data-state={standing.state}
      data-rank={String(RANKS.indexOf(rank))}
      data-change={last === null ? undefined : String(last.auditId)}
    >
      <div class="row-name">
        <span class={`light ${light}`} aria-hidden="true"></span>
        <h3 id={`name-${key}`}>
          <a href={path}>{name}</a>
        </h3>
        <code class="key">{key}</code>
      </div>
      <div class="acts">
        {last?.isUndoable === true && operator ? <UndoPlace what={key} /> : null}
        {operator ? <Next flag={flag} path={path} /> : null}
      </div>
      <More what={key} name={name} />
      <p class="state">
        <StateLine flag={flag} nowMs={board.nowMs} light={light} />
      </p>
      <Refused refusals={refusals} />
      <SentModels flag={flag} base={base} admin={admin} />
      {isFresh ? null : <NotWired flag={flag} />}
      {isFresh ? proof : null}
      {tellsHeld ? null : <HeldLine fleet={board.fleet} flag={key} />}
      {isFresh ? null : proof}
      {money}
      <p class="whose dim">
        {owner === "" ? "no owner" : <span data-owner>{owner}</span>}
        {runbookUrl === null ? null : (
          <span class="extra">
            {" · "}
            <a href={runbookUrl}>Runbook</a>
          </span>
        )}
      </p>
      {operator ? <Others flag={flag} base={base} /> : null}
      {operator && missesReason(last, flag) ? <WhyPlace what={key} /> : null}
    </article>
  );
}

/** What comes next: Kill, or Restore… of what is off. */
function Next({ flag: { key, name }, flag, path }: { flag: FlagResource; path: string }) {
  if (isHeldOff(flag)) return <Restore what={key} path={path} words="Restore…" main />;
  return (
    <form method="post" action={`${path}/kill`} hx-post={`${path}/kill`}>
      <button class="danger" id={`kill-${key}`} data-kill data-sent="Sent…" aria-label={`Kill ${name}`}>
        Kill
      </button>
    </form>
  );
}

/** The other ways on, behind "More" where there is no room. */
function Others({ flag, base }: { flag: FlagResource; base: string }) {
  const { key, level, standing } = flag;
  const path = `${base}/flags/${key}`;
  const trip = killTrip(flag);
  const raisable = trip?.budget ?? standing.over?.budget ?? null;
  const raise =
    raisable === null || flag.switch.state === "off" ? null : (
      <a
        class="button"
        href={`${base}/budgets/${raisable.id}/raise`}
        id={`raise-${key}`}
        aria-label={`Raise budget ${raisable.name}…`}
      >
        Raise…
      </a>
    );
  if (isHeldOff(flag)) return <div class="acts rest">{raise}</div>;
  return (
    <div class="acts rest">
      {level.level < flag.steps.length - 1 ? (
        <a class="button" href={`${path}/downgrade`} id={`downgrade-${key}`}>
          Downgrade…
        </a>
      ) : null}
      {level.level > 0 || flag.switch.ramp !== null ? (
        <Restore what={key} path={path} words={level.level > 0 ? "Restore quality…" : "End the ramp…"} />
      ) : null}
      {raise}
    </div>
  );
}

function Restore({ what, path, words, main = false }: { what: string; path: string; words: string; main?: boolean }) {
  return (
    <a class={main ? "button main" : "button"} href={`${path}/restore`} id={`restore-${what}`}>
      {words}
    </a>
  );
}
