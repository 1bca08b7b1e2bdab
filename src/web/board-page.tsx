/**
 * The board: what is wrong now, the flags, and the master switch in reach. `BoardLive` is the part that htmx replaces;
 * it is the same with and without JavaScript.
 */
import type { Child } from "hono/jsx";
import type { Actor } from "../domain/actor.ts";
import type { FlagResource } from "../domain/resources.ts";
import type { Board, LastKnownBoard } from "./board-state.ts";
import { FirstSteps } from "./first-steps.tsx";
import { FlagCard } from "./flag-card.tsx";
import { concerns, IncidentNews } from "./incident-news.tsx";
import { LastKnown } from "./last-known.tsx";
import { MasterBar, MasterNews } from "./master-bar.tsx";
import { Moment } from "./moment.tsx";
import { mayAdminister, mayOperate } from "./page-context.ts";
import { SharedBudgets } from "./shared-budgets.tsx";
import { TripWords } from "./state-line.tsx";
import { UnpricedLine } from "./unpriced-line.tsx";
import {
  age,
  blockedFirstSteps,
  count,
  downgradeTrip,
  killTrip,
  type Light,
  lightOf,
  listed,
  percent,
} from "./text.ts";

export interface BoardProps {
  board: Board | LastKnownBoard;
  actor: Actor;
  publicUrl: string;
}

/** Where htmx asks for the next state. `after` is the hash of what is shown. */
export function LiveRegion({ path, after, children }: { path: string; after: string; children?: Child }) {
  return (
    <div
      id="live"
      data-live
      hx-get={`${path}?after=${after}`}
      hx-trigger="every 500ms"
      hx-sync="this:drop"
      hx-target="#live"
      hx-swap="outerHTML"
      hx-disinherit="*"
    >
      {children}
    </div>
  );
}

export function BoardLive({ board, actor, publicUrl }: BoardProps) {
  if (board.kind === "last known") return <LastKnown board={board} actor={actor} />;
  const operator = mayOperate(actor);
  const base = `/e/${board.environment.key}`;
  return (
    <>
      <h1 class="unseen">{`Board of ${board.environment.name}`}</h1>
      <MasterNews board={board} operator={operator} />
      <IncidentNews board={board} operator={operator} />
      <Now board={board} />
      {board.rows.length === 0 ? null : (
        <section aria-label="Flags" class="flags">
          {board.rows.map((row) => (
            <FlagCard row={row} board={board} operator={operator} />
          ))}
        </section>
      )}
      {board.rows.length === 0 ? null : <SharedBudgets board={board} />}
      <FirstSteps board={board} admin={mayAdminister(actor)} publicUrl={publicUrl} />
      {board.rows.length > 0 && mayAdminister(actor) ? (
        <p class="after">
          <a class="button" href={`${base}/flags/new`}>
            New flag…
          </a>
        </p>
      ) : null}
      {board.rows.length === 0 ? null : <MasterBar board={board} operator={operator} />}
    </>
  );
}

/** One sentence for each thing that is not as it should be; else that all is on. */
function Now({ board }: { board: Board }) {
  if (board.rows.length === 0) return null;
  const wrong = board.rows.filter(({ flag }) => ownLight(flag) !== "on");
  // What an open incident tells above is not told twice.
  const untold = wrong.filter(({ flag }) => !board.incidents.some((incident) => concerns(incident, flag)));
  const silent = board.instances.filter((one) => one.state === "silent");
  const live = board.instances.filter((one) => one.state === "live");
  const cutOff = live.filter((one) => one.disconnectedSeconds !== null);
  const masterOff = board.master.state === "off";
  return (
    <section class="now" aria-labelledby="now-title">
      {wrong.length === 0 && !masterOff ? (
        <h2 id="now-title" class="calm">
          <span class="light on" aria-hidden="true"></span> All on
        </h2>
      ) : (
        <h2 id="now-title">
          {masterOff
            ? wrong.length === 0
              ? "No flag is off by itself"
              : `By themselves: ${tally(wrong)}`
            : tally(wrong)}
        </h2>
      )}
      {untold.length === 0 ? null : (
        <ul class="wrong">
          {untold.map(({ flag }) => (
            <li>
              <span class={`light ${ownLight(flag)}`} aria-hidden="true"></span>
              <span>
                <a href={`#flag-${flag.key}`}>{flag.name}</a> <Sentence flag={flag} nowMs={board.nowMs} />
              </span>
            </li>
          ))}
        </ul>
      )}
      <p class="dim">
        {live.length === cutOff.length
          ? "No instance is connected"
          : `${count(live.length - cutOff.length, "instance")} connected`}
        {cutOff.length === 0
          ? ""
          : `; ${cutOff.length} cut off, probably gone: ${listed(cutOff.map((one) => one.instance))}`}
        {silent.length === 0
          ? "."
          : `; ${silent.length} silent: ${listed(silent.map((one) => `${one.instance} for ${age(one.silentSeconds)}`))}.`}
      </p>
      <UnpricedLine unpriced={board.money.unpriced} />
    </section>
  );
}

/** "1 off, 2 downgraded". */
function tally(rows: readonly { flag: FlagResource }[]): string {
  const off = rows.filter(({ flag }) => ownLight(flag) === "off").length;
  const ramping = rows.filter(({ flag }) => flag.effective.state === "ramping").length;
  const downgraded = rows.length - off - ramping;
  return [
    ...(off > 0 ? [`${off} off`] : []),
    ...(downgraded > 0 ? [`${downgraded} downgraded`] : []),
    ...(ramping > 0 ? [`${ramping} ramping`] : []),
  ].join(", ");
}

/** The light of the flag itself, whatever the master switch says. */
function ownLight(flag: FlagResource): Light {
  if (flag.effective.reason !== "MASTER") return lightOf(flag);
  if (flag.switch.state === "off" || killTrip(flag) !== null) return "off";
  return flag.level.level > 0 || flag.switch.ramp !== null ? "downgraded" : "on";
}

/** "is off since 02:41 by maria: cost". */
function Sentence({ flag, nowMs }: { flag: FlagResource; nowMs: number }) {
  const { effective, level } = flag;
  const from = flag.switch;
  if (effective.reason === "NO_MODEL") return <>is off: every model of its chain is blocked.</>;
  if (from.state === "off") {
    return (
      <>
        is off since <Moment at={from.since} nowMs={nowMs} />
        {from.by === null ? "" : ` by ${from.by}`}
        {from.reason === null ? "" : `: ${from.reason}`}.
      </>
    );
  }
  const off = killTrip(flag);
  if (off !== null) {
    return (
      <>
        is off <TripWords trip={off} nowMs={nowMs} />.
      </>
    );
  }
  const trip = downgradeTrip(flag);
  if (level.level === 0 && from.ramp !== null) return <>is coming back: on for {percent(from.ramp)} of users.</>;
  const blocked = effective.state === "off" ? [] : blockedFirstSteps(flag);
  return (
    <>
      is downgraded to <code>{effective.model ?? flag.steps[level.level]?.model ?? ""}</code>
      {trip === null ? null : (
        <>
          {" "}
          <TripWords trip={trip} nowMs={nowMs} />
        </>
      )}
      {trip !== null || level.manual === null || level.level === 0 ? null : (
        <>
          {" "}
          since <Moment at={level.manual.since} nowMs={nowMs} /> by {level.manual.by}
          {level.manual.reason === null ? "" : `: ${level.manual.reason}`}
        </>
      )}
      {blocked.length === 0 ? null : (
        <>
          {" "}
          because <code>{listed(blocked)}</code> {blocked.length === 1 ? "is" : "are"} blocked
        </>
      )}
      .
    </>
  );
}
