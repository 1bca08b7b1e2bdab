/** What is not as it should be now, in a sentence each, or that all is on; and who is connected. */
import { usd } from "../domain/alert-text.ts";
import type { FlagResource } from "../domain/resources.ts";
import { overWords, standingWords } from "../domain/standing-words.ts";
import { type BudgetGlance, overShared } from "../services/board-money.ts";
import type { Board } from "./board-state.ts";
import { fleetWords, notCountedWords } from "./fleet-text.ts";
import { concerns } from "./incident-news.tsx";
import { Moment } from "./moment.tsx";
import { periodNow, usdLimit } from "./money-text.ts";
import { Place } from "./parts.ts";
import { Words } from "./standing-words.tsx";
import { UnpricedLine } from "./unpriced-line.tsx";
import { killTrip, type Light, percent } from "./text.ts";

/** One sentence for each thing that is not as it should be; else that all is on. */
export function Now({ board }: { board: Board }) {
  const wrong = board.rows.filter(({ flag }) => ownState(flag) !== "on");
  const over = overShared(
    board.money,
    board.rows.map(({ flag }) => flag),
  );
  // What an open incident tells above is not told twice.
  const untold = wrong.filter(({ flag }) => !board.incidents.some((incident) => concerns(incident, flag)));
  const masterOff = board.master.state === "off";
  return (
    <section class="now" id="now" aria-labelledby="now-title">
      {wrong.length === 0 && over.length === 0 && !masterOff ? (
        <h2 id="now-title" class="calm">
          <span class="light on" aria-hidden="true"></span> All on
        </h2>
      ) : (
        <h2 id="now-title">
          {masterOff
            ? wrong.length === 0
              ? "No flag is off by itself"
              : `By themselves: ${tally(wrong)}`
            : [...over.map(({ name }) => `${name} over its limit`), ...(wrong.length === 0 ? [] : [tally(wrong)])].join(
                ", ",
              )}
        </h2>
      )}
      {untold.length === 0 && over.length === 0 ? null : (
        <ul class="wrong">
          {over.map((budget) => (
            <SharedOver budget={budget} nowMs={board.nowMs} />
          ))}
          {untold.map(({ flag }) => (
            <li>
              <span class={`light ${lightOfState(ownState(flag))}`} aria-hidden="true"></span>
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

/** "1 off, 1 over its limit, 2 downgraded". */
function tally(rows: readonly { flag: FlagResource }[]): string {
  const sum = (state: OwnState) => rows.filter(({ flag }) => ownState(flag) === state).length;
  return (["off", "over", "downgraded", "ramping"] as const)
    .flatMap((state) => (sum(state) === 0 ? [] : [`${sum(state)} ${state === "over" ? "over its limit" : state}`]))
    .join(", ");
}

type OwnState = FlagResource["standing"]["state"];

/** What the flag does by itself, whatever the master switch says. */
function ownState(flag: FlagResource): OwnState {
  if (flag.standing.cause.kind !== "MASTER") return flag.standing.state;
  if (flag.switch.state === "off" || killTrip(flag) !== null) return "off";
  if (flag.level.level > 0) return "downgraded";
  return flag.switch.ramp === null ? "on" : "ramping";
}

function lightOfState(state: OwnState): Light {
  return state === "ramping" ? "downgraded" : state;
}

/** "is off since 02:41 by maria — cost." */
function Sentence({ flag, nowMs }: { flag: FlagResource; nowMs: number }) {
  const { standing, effective, switch: own } = flag;
  const words = <Words words={standingWords(standing)} nowMs={nowMs} />;
  if (standing.cause.kind === "MASTER") {
    const trip = killTrip(flag);
    const state = ownState(flag);
    if (own.state === "off") return <>is off by hand as well{own.by === null ? "" : `, by ${own.by}`}.</>;
    if (trip !== null) return <>is off by budget {trip.budget.name} as well.</>;
    return <>will be {state === "ramping" ? "ramping" : "downgraded"} when the master switch is restored.</>;
  }
  const model = effective.model === null ? null : <code>{effective.model}</code>;
  switch (standing.state) {
    case "off":
      return <>is off{words}.</>;
    case "over":
      return <>is on over its limit{words}.</>;
    case "ramping":
      return (
        <>
          is coming back: on for {percent(own.ramp ?? 100)} of users{words}.
        </>
      );
    case "downgraded":
      return (
        <>
          is downgraded to {model}
          {words}.
        </>
      );
    case "on":
      return <>is on{words}.</>;
  }
}

/** A budget of many flags is told once, and not on the row of each. */
function SharedOver({ budget, nowMs }: { budget: BudgetGlance; nowMs: number }) {
  if (budget.over === null) return null;
  return (
    <li>
      <span class="light over" aria-hidden="true"></span>
      <span>
        Budget <a href="#shared-budgets">{budget.name}</a> is over its limit since{" "}
        <Moment at={budget.over.since} nowMs={nowMs} />: {usd(budget.spentNanoUsd)} of {usdLimit(budget.limitNanoUsd)}{" "}
        {periodNow(budget.period)}
        <Words words={overWords(budget.over.cause)} nowMs={nowMs} />.
      </span>
    </li>
  );
}
