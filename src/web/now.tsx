/** What is not as it should be now, in a sentence each, or that all is on; and who is connected. */
import type { FlagResource } from "../domain/resources.ts";
import type { Board } from "./board-state.ts";
import { fleetWords, notCountedWords } from "./fleet-text.ts";
import { concerns } from "./incident-news.tsx";
import { Moment } from "./moment.tsx";
import { Place } from "./parts.ts";
import { TripWords } from "./state-line.tsx";
import { UnpricedLine } from "./unpriced-line.tsx";
import { blockedFirstSteps, downgradeTrip, killTrip, type Light, lightOf, listed, percent } from "./text.ts";

/** One sentence for each thing that is not as it should be; else that all is on. */
export function Now({ board }: { board: Board }) {
  const wrong = board.rows.filter(({ flag }) => ownLight(flag) !== "on");
  // What an open incident tells above is not told twice.
  const untold = wrong.filter(({ flag }) => !board.incidents.some((incident) => concerns(incident, flag)));
  const masterOff = board.master.state === "off";
  return (
    <section class="now" id="now" aria-labelledby="now-title">
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
      <p class="dim">{fleetWords(board.fleet)}.</p>
      {notCountedWords(board.fleet.notCounted).map((words) => (
        <p class="lag">{words}</p>
      ))}
      <Place id="unpriced" />
    </section>
  );
}

/** Of the calls that it names there are more every second. */
export function Unpriced({ board }: { board: Board }) {
  return (
    <div id="unpriced">
      <UnpricedLine unpriced={board.money.unpriced} />
    </div>
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
