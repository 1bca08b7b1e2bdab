/** What is not as it should be now, in a sentence each, or that all is on; and who is connected. */
import { usd } from "../../domain/alert-text.ts";
import type { FlagResource } from "../../api/flag.ts";
import { stateByItself } from "../../domain/effective.ts";
import { overWords } from "../../domain/standing-words.ts";
import { type BudgetGlance, overShared } from "../../services/board/money.ts";
import { someIn } from "../../domain/fleet.ts";
import type { Board } from "./state.ts";
import { FoldedLine } from "./folded-line.tsx";
import { fleetWords, notCountedWords } from "../text/fleet.ts";
import { SHOWN_INCIDENTS } from "../incidents/news.tsx";
import { Moment } from "../shell/moment.tsx";
import { periodNow, usdLimit } from "../text/money.ts";
import { Words } from "../text/words.tsx";
import { HeldSubjectsLine } from "./held-subjects-line.tsx";
import { UnpricedLine } from "./unpriced-line.tsx";
import { count } from "../text/text.ts";

/** How many are not as they should be, or that all is on, in a bar that stays in sight; the rows say each in a sentence. */
export function Now({ board }: { board: Board }) {
  const wrong = board.rows.filter(({ flag }) => ownState(flag) !== "on");
  const refused = board.rows.filter(({ refusals }) => refusals.length > 0).length;
  const over = overShared(
    board.money,
    board.rows.map(({ flag }) => flag),
  );
  const said = [
    ...over.map(({ name }) => `${name} over its limit`),
    ...tally(wrong),
    ...(refused > 0 ? [`${refused} refused by Claude`] : []),
  ];
  const masterOff = board.master.state === "off";
  // A row says how many there are; on a phone this line is for those that are missing.
  const allWell = someIn(board.fleet, "lost").count + someIn(board.fleet, "silent").count === 0;
  const more = board.incidents.length - SHOWN_INCIDENTS;
  return (
    <section class="now" id="now" aria-labelledby="now-title">
      <div class="status">
        <h2 id="now-title">
          {said.length > 0 ? (
            `${masterOff ? "By themselves: " : ""}${said.join(", ")}`
          ) : masterOff ? (
            "No flag is off by itself"
          ) : (
            <>
              <span class="light on" aria-hidden="true"></span> All on
            </>
          )}
        </h2>
        <a class="button main" id="fresh" href={`/e/${board.environment.key}`} hidden>
          What is new
        </a>
      </div>
      <p class={allWell && more <= 0 ? "dim fleet calm-fleet" : "dim fleet"}>
        {more > 0 ? (
          <>
            <a href={`/e/${board.environment.key}/incidents`}>{count(more, "more open incident")}</a>
            {" · "}
          </>
        ) : null}
        {fleetWords(board.fleet)}.
      </p>
      {over.map((budget) => (
        <SharedOver budget={budget} nowMs={board.nowMs} />
      ))}
      {notCountedWords(board.fleet.notCounted).map((words) => (
        <p class="lag">{words}</p>
      ))}
    </section>
  );
}

/** Of the calls that these lines name there are more every second. */
export function Unpriced({ board }: { board: Board }) {
  return (
    <div id="unpriced">
      <UnpricedLine unpriced={board.money.unpriced} base={`/e/${board.environment.key}`} />
      <FoldedLine folded={board.money.undefinedNames.folded} />
      <HeldSubjectsLine held={board.money.heldSubjects} base={`/e/${board.environment.key}`} />
    </div>
  );
}

/** "1 over its limit", "1 off", "2 downgraded". */
function tally(rows: readonly { flag: FlagResource }[]): string[] {
  const sum = (state: OwnState) => rows.filter(({ flag }) => ownState(flag) === state).length;
  return (["over", "off", "downgraded", "ramping"] as const).flatMap((state) =>
    sum(state) === 0 ? [] : [`${sum(state)} ${state === "over" ? "over its limit" : state}`],
  );
}

type OwnState = FlagResource["standing"]["state"];

/** What the flag does by itself, whatever the master switch says. */
function ownState(flag: FlagResource): OwnState {
  if (flag.standing.cause.kind !== "MASTER") return flag.standing.state;
  return stateByItself(flag);
}

/** A budget of many flags is told once, and not on the row of each. */
function SharedOver({ budget, nowMs }: { budget: BudgetGlance; nowMs: number }) {
  if (budget.over === null) return null;
  return (
    <p class="card over shared-over">
      <span class="light over" aria-hidden="true"></span>
      <span>
        Budget <a href="#shared-budgets">{budget.name}</a> is over its limit since{" "}
        <Moment at={budget.over.since} nowMs={nowMs} />: {usd(budget.spentNanoUsd)} of {usdLimit(budget.limitNanoUsd)}{" "}
        {periodNow(budget.period)}
        <Words words={overWords(budget.over.cause)} nowMs={nowMs} />.
      </span>
    </p>
  );
}
