/** The master switch: always in reach on the board, and news on top of it while it is off. */
import type { Board } from "./board-state.ts";
import { usdPerHour, usdRough } from "./money-text.ts";
import { Moment } from "./moment.tsx";
import { ProofView } from "./proof-view.tsx";
import { ReasonAfter, UndoButton } from "./quick-forms.tsx";
import { isComplete } from "./proof.ts";
import { lightOf } from "./text.ts";

const PROOF_SHOWN_MS = 2 * 60_000;

export function MasterNews({ board, operator }: { board: Board; operator: boolean }) {
  const { master, masterLast: last } = board;
  const base = `/e/${board.environment.key}`;
  const age = last === null ? Number.POSITIVE_INFINITY : board.nowMs - Date.parse(last.at);
  const young = age < PROOF_SHOWN_MS;
  const lagging = last?.proof !== null && last !== null && last.proof.live > 0 && !isComplete(last.proof);
  if (master.state === "on" && !young && !lagging) return null;
  const off = master.state === "off";
  return (
    <section class={`card ${off ? "off" : "on"}`} id="master-news" aria-labelledby="master-title">
      <div class="card-head">
        <span class={`light ${off ? "off" : "on"}`} aria-hidden="true"></span>
        <h2 id="master-title">{off ? "Everything is off" : "The master switch is on again"}</h2>
      </div>
      <p class="state">
        {off ? <b class="word off">Off</b> : <b class="word on">On</b>} since{" "}
        <Moment at={master.since} nowMs={board.nowMs} exact />
        {off && last?.byMe === true ? " by you" : master.by === null ? "" : ` by ${master.by}`}
        {master.reason === null ? "" : ` — ${master.reason}`}
        {master.until === null ? null : (
          <>
            {" "}
            · until <Moment at={master.until} nowMs={board.nowMs} />
          </>
        )}
      </p>
      {operator ? (
        <div class="acts">
          {last !== null && last.undoLeftMs > 0 ? (
            <UndoButton base={base} last={last} what="the master switch" id="undo-master" />
          ) : null}
          {off ? (
            <a class={last !== null && last.undoLeftMs > 0 ? "button" : "button main"} href={`${base}/restore`}>
              Restore…
            </a>
          ) : null}
        </div>
      ) : null}
      {last === null ? null : (
        <div class="proof-box">
          <ProofView proof={last.proof} fresh={young} what="Master switch" />
          {off ? (
            <p class="dim">
              An instance that applied it starts no new call. Running calls are aborted where the flag says so; others
              may finish.
            </p>
          ) : null}
        </div>
      )}
      {operator && off && last?.byMe === true && master.reason === null ? (
        <ReasonAfter base={base} last={last} id="master" />
      ) : null}
    </section>
  );
}

export function MasterBar({ board, operator }: { board: Board; operator: boolean }) {
  const lights = board.rows.map(({ flag }) => lightOf(flag));
  const off = board.master.state === "off";
  const sum = (light: string) => lights.filter((one) => one === light).length;
  const path = `/e/${board.environment.key}/kill`;
  const light = off ? "off" : "on";
  return (
    <section class="master" aria-label="Master switch">
      <div>
        <h2>
          <span class={`light ${light}`} aria-hidden="true"></span> All AI features
        </h2>
        <p class="dim">
          {off
            ? "Off by the master switch"
            : [
                `${sum("on")} on`,
                ...(sum("downgraded") > 0 ? [`${sum("downgraded")} downgraded`] : []),
                ...(sum("off") > 0 ? [`${sum("off")} off`] : []),
              ].join(" · ")}
          {board.money.flags.size === 0
            ? ""
            : ` · ${usdRough(board.money.todayNanoUsd)} today · ${usdPerHour(board.money.burnNanoUsdPerHour)} now`}
        </p>
      </div>
      {!operator ? null : off ? (
        <a class="button main" href={`/e/${board.environment.key}/restore`} id="restore-all">
          Restore…
        </a>
      ) : (
        <form method="post" action={path} hx-post={path} hx-target="#live" hx-swap="outerHTML">
          <button class="danger" id="kill-all">
            Turn everything off
          </button>
        </form>
      )}
    </section>
  );
}
