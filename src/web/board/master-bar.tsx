/** The master switch: always in reach on the board, and news on top of it while it is off. */
import { type BoardMoney, overShared } from "../../services/board/money.ts";
import type { Board } from "./state.ts";
import { burnText, usdRough } from "../text/money.ts";
import { Moment } from "../shell/moment.tsx";
import { Place } from "./parts.ts";
import { ProofView } from "../shell/proof-view.tsx";
import { MASTER, masterMissesReason, UndoPlace, WhyPlace } from "./own-parts.tsx";
import { lightOf } from "../text/text.ts";
import { RefreshLink } from "../shell/without-script.tsx";

const PROOF_SHOWN_MS = 2 * 60_000;

export function MasterNews({ board, operator }: { board: Board; operator: boolean }) {
  const { master, masterLast: last } = board;
  const base = `/e/${board.environment.key}`;
  const age = last === null ? Number.POSITIVE_INFINITY : board.nowMs - Date.parse(last.at);
  const young = age < PROOF_SHOWN_MS;
  // What was lost holds everything off at worst: the line above names it, and flags that burn need the room.
  const lagging = last !== null && last.proof.behind.count > 0;
  if (master.state === "on" && !young && !lagging) return null;
  const off = master.state === "off";
  return (
    <section
      class={`card ${off ? "off" : "on"}`}
      id="master-news"
      aria-labelledby="master-title"
      data-change={last === null ? undefined : String(last.auditId)}
    >
      <div class="card-head">
        <span class={`light ${off ? "off" : "on"}`} aria-hidden="true"></span>
        <h2 id="master-title">{off ? "Everything is off" : "The master switch is on again"}</h2>
      </div>
      <p class="state">
        {off ? <b class="word off">Off</b> : <b class="word on">On</b>} since{" "}
        <Moment at={master.since} nowMs={board.nowMs} exact />
        {master.by === null ? "" : ` by ${master.by}`}
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
          {last?.isUndoable === true ? <UndoPlace what={MASTER} /> : null}
          {off ? (
            <a class="button main" href={`${base}/restore`}>
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
          <RefreshLink anchor="master-news" />
        </div>
      )}
      {operator && masterMissesReason(board) ? <WhyPlace what={MASTER} /> : null}
    </section>
  );
}

export function MasterBar({ board, operator }: { board: Board; operator: boolean }) {
  const flags = board.rows.map(({ flag }) => flag);
  const lights = board.rows.map(({ flag, rank }) => (rank === "refused" ? rank : lightOf(flag)));
  const off = board.master.state === "off";
  const sum = (light: string) => lights.filter((one) => one === light).length;
  const path = `/e/${board.environment.key}/kill`;
  const isAmber = lights.includes("over") || lights.includes("refused") || overShared(board.money, flags).length > 0;
  const light = off ? "off" : isAmber ? "over" : "on";
  return (
    <section class="master" id="master" aria-label="Master switch">
      <div>
        <h2>
          <span class={`light ${light}`} aria-hidden="true"></span> All AI features
        </h2>
        <p class="dim">
          <Place id="master-money" />
          {off
            ? "Off by the master switch"
            : [
                ...(sum("over") > 0 ? [`${sum("over")} over the limit`] : []),
                ...(sum("off") > 0 ? [`${sum("off")} off`] : []),
                ...(sum("refused") > 0 ? [`${sum("refused")} refused by Claude`] : []),
                ...(sum("downgraded") > 0 ? [`${sum("downgraded")} downgraded`] : []),
                `${sum("on")} on`,
              ].join(" · ")}
        </p>
      </div>
      {!operator ? null : off ? (
        <a class="button main" href={`/e/${board.environment.key}/restore`} id="restore-all">
          Restore…
        </a>
      ) : (
        <form method="post" action={path} hx-post={path}>
          <button class="danger" id="kill-all" data-sent="Sent…">
            Turn everything off
          </button>
        </form>
      )}
    </section>
  );
}

/** What all flags cost: on a phone there is room for no more. */
export function MasterMoney({ money }: { money: BoardMoney }) {
  return (
    <span id="master-money">
      {money.flags.size === 0 ? null : (
        <>
          <span class="wide-only">{`${usdRough(money.todayNanoUsd)} today · `}</span>
          {`${burnText(money.burnNanoUsdPerHour)} · `}
        </>
      )}
    </span>
  );
}
