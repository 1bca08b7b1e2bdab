/** One budget in the list: how it stands, what it did and may still do, and what was added to it. */
import { unknownWords, usd } from "../../domain/alert-text.ts";
import { UNBOUNDED_WORDS } from "../../domain/bound.ts";
import { NANO_PER_USD } from "../../domain/budget.ts";
import type { BudgetResource } from "../../api/budget.ts";
import type { FlagResource } from "../../api/flag.ts";
import { standingWords } from "../../domain/standing-words.ts";
import { Words } from "../text/words.tsx";
import { usdParts } from "../../domain/usd-parts.ts";
import { aPeriod } from "../../domain/window.ts";
import { HeldLine, IndeterminateLine } from "./leases.tsx";
import { nameOf, subjectWords, Subjects } from "./subjects.tsx";
import { LimitLine } from "../board/flag-money.tsx";
import { Moment } from "../shell/moment.tsx";
import { periodNow, usdLimit, burnText, zoneName } from "../text/money.ts";
import { SpendBar } from "../chart/spend-bar.tsx";
import type { Light } from "../text/text.ts";

export interface BudgetEntryProps {
  budget: BudgetResource;
  base: string;
  nowMs: number;
  operator: boolean;
  admin: boolean;
  /** `production`, as in "all flags of production". */
  environment: string;
  /** The flags that spend from it while they are on. */
  spenders: readonly FlagResource[];
}

export function BudgetEntry({ budget, base, nowMs, operator, admin, environment, spenders }: BudgetEntryProps) {
  const { now } = budget;
  const spentNanoUsd = Number(now.spentNanoUsd);
  const isSpent = now.subjects === null && spentNanoUsd >= now.limitNanoUsd;
  const allOff = spenders.length > 0 && spenders.every(({ standing }) => standing.state === "off");
  const path = `${base}/budgets/${budget.id}`;
  const light = isSpent && allOff ? "off" : lightOfBudget(budget);
  return (
    <li class="card" id={`budget-${budget.id}`}>
      <div class="title">
        <div class="names">
          <h2>{budget.name}</h2>
          {budget.paused ? <span class="dim">paused: it counts and does nothing</span> : null}
          <span class="dim">{scopeText(budget, environment)}</span>
          {budget.scope.tag !== undefined && spenders.length === 0 ? (
            <span class="dim">no flag has this tag now: nothing counts</span>
          ) : null}
        </div>
        <div class="acts">
          {operator ? (
            <a class="button" href={`${path}/raise`} aria-label={`Raise ${budget.name}…`}>
              Raise…
            </a>
          ) : null}
          {admin ? (
            <>
              <a class="button" href={path} aria-label={`Edit ${budget.name}…`}>
                Edit…
              </a>
              <a class="button" href={`${path}/delete`} aria-label={`Delete ${budget.name}…`}>
                Delete…
              </a>
            </>
          ) : null}
        </div>
      </div>
      {now.subjects === null ? (
        <Spent budget={budget} spentNanoUsd={spentNanoUsd} light={light} nowMs={nowMs} />
      ) : (
        <Subjects budget={budget} subjects={now.subjects} lift={operator ? `${path}/lift` : null} />
      )}
      {isSpent && allOff ? <OverAndOff spenders={spenders} nowMs={nowMs} /> : null}
      <Trips budget={budget} />
      <dl class="facts">
        <dt>Ladder</dt>
        <dd>{ladderText(budget)}</dd>
        {now.leases === null ? null : (
          <>
            <HeldLine leases={now.leases} />
            <IndeterminateLine leases={now.leases} href={operator ? `${path}/return` : null} />
          </>
        )}
        <dt>Can be overspent by</dt>
        <dd>
          {now.subjects === null ? (
            <BoundText budget={budget} />
          ) : (
            "what calls of a user or session cost that run until the verdict arrives, within a second"
          )}
        </dd>
        <dt>Counted</dt>
        <dd>{countedWords(budget)}</dd>
        {budget.raises.length === 0 ? null : (
          <>
            <dt>Raised</dt>
            <dd>
              {budget.raises.map((raise) => (
                <p>
                  +{usdLimit(raise.addUsd * NANO_PER_USD)} until <Moment at={raise.until} nowMs={nowMs} /> by {raise.by}
                  : {raise.reason}
                </p>
              ))}
            </dd>
          </>
        )}
      </dl>
    </li>
  );
}

/** "$1.20 exact, $0.30 estimated"; where each is counted alone, of whom that is said. */
function countedWords({ now, period }: BudgetResource): string {
  const spent = BigInt(now.spentNanoUsd);
  if (spent === 0n) return `nothing yet ${periodNow(period)}`;
  const [exact = "", estimated = ""] = usdParts([BigInt(now.exactNanoUsd), spent - BigInt(now.exactNanoUsd)]);
  const [most] = now.subjects?.top ?? [];
  return `${exact} exact, ${estimated} estimated${most === undefined ? "" : `, of ${nameOf(most)}, who spent most`}`;
}

function BoundText({ budget: { now, onUnavailable } }: { budget: BudgetResource }) {
  const { bound, overshootBoundNanoUsd } = now;
  if (bound.nanoUsd === null || overshootBoundNanoUsd === null) {
    return <>any amount: {bound.because === null ? "nothing stops it" : UNBOUNDED_WORDS[bound.because]}</>;
  }
  if (now.leases !== null) {
    return (
      <>
        {bound.notReporting > 0 ? `${unknownWords(bound.notReporting)}; the others: ` : ""}
        {overshootBoundNanoUsd === 0
          ? "nothing: no call is sent without money set aside"
          : `at most ${usd(overshootBoundNanoUsd)}: so much above the limit is spent or held`}
        {onUnavailable === "allow" ? (
          <span class="dim"> · but for calls that begin while Andon cannot be reached: they are sent</span>
        ) : null}
      </>
    );
  }
  const { notReporting } = bound;
  const how =
    bound.kind === "atTrip"
      ? "bound at the trip: the calls that ran then, by the most that each can cost"
      : `forecast at the load of now: calls that run can cost ${usd(bound.runningNanoUsd)}, those that may begin unseen ${usd(bound.startCreditsNanoUsd)}`;
  return (
    <>
      {notReporting > 0 ? `${unknownWords(notReporting)}; the others ` : ""}at most {usd(overshootBoundNanoUsd)}{" "}
      <span class="dim">{how}</span>
    </>
  );
}

function Spent({ budget, spentNanoUsd, light, nowMs }: SpentProps) {
  const { now } = budget;
  return (
    <>
      <SpendBar spentNanoUsd={spentNanoUsd} limitNanoUsd={now.limitNanoUsd} ladder={budget.ladder} light={light} />
      <p>
        <b>{usd(spentNanoUsd)}</b> of {usdLimit(now.limitNanoUsd)} {periodNow(budget.period)}{" "}
        <span class="dim">
          {burnText(now.burnNanoUsdPerHour)} ·{" "}
          <LimitLine
            budget={{ ...now, spentNanoUsd, period: budget.period, timezone: budget.timezone, paused: budget.paused }}
            nowMs={nowMs}
          />
        </span>
      </p>
    </>
  );
}

interface SpentProps {
  budget: BudgetResource;
  spentNanoUsd: number;
  light: Light;
  nowMs: number;
}

/** What is off spends no more, whoever turned it off: "Over its limit; the flag is off since 02:41 by maria — leak". */
function OverAndOff({ spenders, nowMs }: { spenders: readonly FlagResource[]; nowMs: number }) {
  const [flag, ...others] = spenders;
  if (flag === undefined) return null;
  return (
    <p>
      Over its limit;{" "}
      {others.length > 0 ? (
        "every flag that spends from it is off"
      ) : (
        <>
          the flag is <b class="word off">off</b>
          <Words words={standingWords(flag.standing)} nowMs={nowMs} />
        </>
      )}
      .
    </p>
  );
}

function Trips({ budget }: { budget: BudgetResource }) {
  const { trips } = budget.now;
  if (trips.length === 0) return null;
  return (
    <ul class="wrong">
      {trips.map(({ flag, action, atPercent, overriddenBy }) => {
        const light = overriddenBy !== null ? null : action === "kill" ? "off" : "downgraded";
        return (
          <li>
            {light === null ? null : <span class={`light ${light}`} aria-hidden="true"></span>}
            <span>
              <code>{flag}</code> {action === "kill" ? "turned off" : "downgraded"} at {atPercent} %
              {overriddenBy === null ? "" : `, overridden by ${overriddenBy}`}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function lightOfBudget({ now }: BudgetResource): Light {
  const inForce = now.trips.filter((trip) => trip.overriddenBy === null);
  if (inForce.some((trip) => trip.action === "kill")) return "off";
  if (Number(now.spentNanoUsd) >= now.limitNanoUsd) return "over";
  return inForce.length > 0 ? "downgraded" : "on";
}

function scopeText({ scope, period, timezone }: BudgetResource, environment: string): string {
  const tagged = scope.tag === undefined ? `all flags of ${environment}` : `flags tagged ${scope.tag}`;
  const what = scope.flag ?? tagged;
  const model = scope.model === undefined ? "" : ` on ${scope.model}`;
  const subjects = subjectWords(scope);
  return `${subjects === null ? "" : `${subjects}: `}${what}${model}, ${aPeriod(period)} in ${zoneName(timezone)}`;
}

/** "50 % alert · 80 % downgrade · 100 % kill". */
export function ladderText({ ladder, enforcement }: Pick<BudgetResource, "ladder" | "enforcement">): string {
  if (ladder.length === 0) return "no step: nothing happens at its limit";
  return ladder
    .toSorted((a, b) => a.atPercent - b.atPercent)
    .map(({ atPercent, action, level }) => {
      const does = enforcement === "track" ? "alert" : action;
      return `${atPercent} % ${does}${does === "downgrade" && level !== undefined ? ` to level ${level}` : ""}`;
    })
    .join(" · ");
}
