/** What a flag costs now, on its card: the bar of its budget, the pace, and how its calls fare. No figure is made up. */
import { usd } from "../../domain/alert-text.ts";
import { type AttentionFacts, FAR_ABOVE_USUAL, timesUsual } from "../../domain/attention.ts";
import type { FlagResource } from "../../api/flag.ts";
import { type BoardMoney, type BudgetGlance, type FlagMoney, spendersOf } from "../../services/board/money.ts";
import { aPeriod } from "../../domain/window.ts";
import { stillWords } from "../budgets/still.ts";
import { Moment } from "../shell/moment.tsx";
import { burnText, periodNow, resetText, sharePercent, usdLimit, usdPerHour } from "../text/money.ts";
import { type Part, Place } from "./parts.ts";
import { toHtml } from "../shell/render.tsx";
import { Sparkline } from "../chart/sparkline.tsx";
import { SpendBar } from "../chart/spend-bar.tsx";
import { count, type Light, listed, percent, took } from "../text/text.ts";

export interface FlagMoneyProps {
  flag: FlagResource;
  attention: AttentionFacts;
  /** Connected ones of the environment: each of them may serve the flag. */
  instances: number;
  light: Light;
  money: BoardMoney;
  base: string;
  nowMs: number;
}

/** The budget that its card shows: of those of the flag alone, one that acts, and the nearest to its limit. */
export function ownBudget(budgets: readonly BudgetGlance[], key: string): BudgetGlance | null {
  const own = budgets.filter(({ scope }) => scope.flag === key);
  return own.toSorted((a, b) => acts(b) - acts(a) || byShare(a, b))[0] ?? null;
}

/** For sorting: the nearest to its limit first. */
export function byShare(a: BudgetGlance, b: BudgetGlance): number {
  return share(b) - share(a);
}

function share(budget: BudgetGlance): number {
  return budget.spentNanoUsd / Math.max(1, budget.limitNanoUsd);
}

function acts(budget: BudgetGlance): number {
  if (budget.paused || budget.enforcement === "track") return 0;
  return Number(budget.enforcement === "reserve" || budget.ladder.length > 0);
}

const spendId = (key: string): string => `spend-${key}`;
const chartId = (key: string): string => `chart-${key}`;
const callsId = (key: string): string => `calls-${key}`;

/** Where the figures of a flag stand in its card. */
export function FlagMoneyView({ flag, money }: Pick<FlagMoneyProps, "flag" | "money">) {
  return (
    <>
      <Place id={spendId(flag.key)} />
      {money.flags.has(flag.key) ? (
        <>
          <Place id={chartId(flag.key)} />
          <Place id={callsId(flag.key)} />
        </>
      ) : null}
    </>
  );
}

/** These figures: each changes by itself, so that a second's calls are a few words on the wire. */
export function flagMoneyParts(props: FlagMoneyProps): Part[] {
  const { key } = props.flag;
  const usage = props.money.flags.get(key);
  const spend: Part = { id: spendId(key), html: toHtml(<Spend {...props} />), children: [], pace: "figures" };
  if (usage === undefined) return [spend];
  return [
    spend,
    {
      id: chartId(key),
      html: toHtml(<Sparkline id={chartId(key)} minutesNanoUsd={usage.minutesNanoUsd} light={props.light} />),
      children: [],
      pace: "chart",
    },
    {
      id: callsId(key),
      html: toHtml(<Calls id={callsId(key)} usage={usage} instances={props.instances} />),
      children: [],
      pace: "figures",
    },
  ];
}

function Spend({ flag, attention, light, money, base, nowMs }: FlagMoneyProps) {
  const budget = ownBudget(money.budgets, flag.key);
  const isOutdated = isFromBefore(money, flag);
  const usage = money.flags.get(flag.key);
  const others = money.budgets.filter(({ scope }) => scope.flag === flag.key).length - 1;
  return (
    <div class="spend" id={spendId(flag.key)}>
      {budget === null ? (
        <WithoutBudget
          usage={usage}
          attention={attention}
          isShared={money.budgets.some(({ scope }) => scope.flag === undefined)}
          ofSubjects={money.subjectScopes.some((scope) => spendersOf(scope, [flag], money).length > 0)}
          isOutdated={isOutdated}
        />
      ) : (
        <WithBudget
          budget={budget}
          attention={attention}
          usage={usage}
          light={light}
          isOutdated={isOutdated}
          nowMs={nowMs}
          base={base}
        />
      )}
      {others > 0 ? (
        <p class="dim extra">
          <a href={`${base}/budgets`}>{count(others, "more budget")}</a>
        </p>
      ) : null}
    </div>
  );
}

interface WithoutBudgetProps {
  usage: FlagMoney | undefined;
  attention: AttentionFacts;
  /** It may still be held by a budget of all flags, which the board shows by itself. */
  isShared: boolean;
  /** Budgets of single users or sessions count its calls: those are stopped while the flag is on. */
  ofSubjects: boolean;
  isOutdated: boolean;
}

/** Read before the flag was last turned off or on: its burn then is not its burn now. */
function isFromBefore(money: BoardMoney, { key, standing }: FlagResource): boolean {
  if (standing.revision === null || standing.revision <= money.revision) return false;
  return (standing.state === "off") !== ((money.flags.get(key)?.off ?? null) !== null);
}

function WithoutBudget({ usage, attention, isShared, ofSubjects, isOutdated }: WithoutBudgetProps) {
  const missing = isShared ? "no budget of its own" : "no budget";
  const none = ofSubjects ? `${missing} but for single users or sessions` : missing;
  if (usage === undefined) return <p class="dim">no calls yet · {none}</p>;
  return (
    <>
      <p class="figures">
        <b>{usd(usage.todayNanoUsd)}</b> today{" "}
        {isOutdated ? null : (
          <>
            <Times attention={attention} />
            <BurnNow usage={usage} />
          </>
        )}
      </p>
      <p class="dim limit">{none}</p>
    </>
  );
}

/** What it burns; of one that is off, what of that did not stop, and what it was. */
export function BurnNow({ usage: { burnNanoUsdPerHour: burn, off } }: { usage: FlagMoney }) {
  if (off === null) return <span class="dim">{burnText(burn)}</span>;
  const { wasNanoUsdPerHour: was, still, ended, ending } = off;
  return (
    <>
      {burn > 0 ? (
        <b class="word off">
          still {burnText(burn)}: {listed(still)}
        </b>
      ) : (
        <span class="dim">{usdPerHour(0)}</span>
      )}
      <span class="dim">
        {was > 0 ? `, was ${usdPerHour(was)}` : ""}
        {ending.calls > 0 ? ` · up to ${count(ending.calls, "call")} ending, at most ${usd(ending.nanoUsd)}` : ""}
        {ended.calls > 0 ? ` · ${count(ended.calls, "call")} ended since, ${usd(ended.nanoUsd)}` : ""}
      </span>
    </>
  );
}

/** "12 times its usual for Saturday 03:00 UTC": only when that is far. */
function Times({ attention }: { attention: AttentionFacts }) {
  const times = timesUsual(attention);
  if (times === null || times < FAR_ABOVE_USUAL) return null;
  if (!Number.isFinite(times)) return <b>its usual {attention.usualWords} is nothing</b>;
  return (
    <b>
      {Math.floor(times)} times its usual {attention.usualWords}
    </b>
  );
}

interface WithBudgetProps {
  budget: BudgetGlance;
  attention: AttentionFacts;
  usage: FlagMoney | undefined;
  light: Light;
  isOutdated: boolean;
  nowMs: number;
  base: string;
}

function WithBudget({ budget, attention, usage, light, isOutdated, nowMs, base }: WithBudgetProps) {
  if (usage === undefined && budget.spentNanoUsd === 0) {
    return (
      <p class="dim">
        no calls yet ·{" "}
        <a href={`${base}/budgets`}>
          budget {usdLimit(budget.limitNanoUsd)} {aPeriod(budget.period)}
        </a>
        <Still budget={budget} />
      </p>
    );
  }
  return (
    <>
      <SpendBar {...budget} light={light} />
      <p class="figures">
        <b>{usd(budget.spentNanoUsd)}</b> of {usdLimit(budget.limitNanoUsd)}{" "}
        {budget.period === "day" ? "" : `${periodNow(budget.period)} `}
        {isOutdated ||
        budget.paused ||
        budget.limitReachedAt === null ||
        budget.spentNanoUsd >= budget.limitNanoUsd ? null : (
          <b class="soon">
            limit at <Moment at={budget.limitReachedAt} nowMs={nowMs} />
          </b>
        )}
        {isOutdated ? null : <Times attention={attention} />}
        {usage === undefined || isOutdated ? null : <BurnNow usage={usage} />}
      </p>
      {isOutdated ? null : (
        <p class="dim limit">
          <LimitLine budget={budget} nowMs={nowMs} />
          <Still budget={budget} />
        </p>
      )}
    </>
  );
}

/** " · $2.10 held for calls · 4 calls wait". */
export function Still({ budget }: { budget: BudgetGlance }) {
  return <>{stillWords(budget).map((words) => ` · ${words}`)}</>;
}

type LimitLineBudget = Pick<
  BudgetGlance,
  "spentNanoUsd" | "limitNanoUsd" | "limitReachedAt" | "windowEndsAt" | "timezone" | "period" | "paused"
>;

/** "paused: nothing stops it", "limit at 03:41", "limit not reached today", "limit reached · resets 00:00 Berlin". */
export function LimitLine({ budget, nowMs }: { budget: LimitLineBudget; nowMs: number }) {
  const resets = resetText(budget.windowEndsAt, budget.timezone, budget.period);
  const reached = sharePercent(budget.spentNanoUsd, budget.limitNanoUsd);
  if (budget.paused) {
    return (
      <>
        <b>paused: nothing stops it</b>
        {reached >= 100 ? ` · ${timesText(reached)}` : ""} · {resets}
      </>
    );
  }
  if (reached >= 100) {
    return (
      <>
        <b>{timesText(reached)}</b> · {resets}
      </>
    );
  }
  if (budget.limitReachedAt === null) {
    return (
      <>
        limit not reached {periodNow(budget.period)} · {resets}
      </>
    );
  }
  return (
    <>
      <b>
        limit at <Moment at={budget.limitReachedAt} nowMs={nowMs} />
      </b>{" "}
      at this rate · {resets}
    </>
  );
}

/** "limit reached", "163 % of its limit", "29 times its limit". */
function timesText(reached: number): string {
  if (reached < 150) return "limit reached";
  return reached < 200 ? `${reached} % of its limit` : `${Math.floor(reached / 100)} times its limit`;
}

function Calls({ id, usage, instances }: { id: string; usage: FlagMoney; instances: number }) {
  return (
    <p class="calls dim" id={id}>
      <span>{count(instances, "instance")}</span>
      {usage.attempts === 0 ? (
        <span>no calls for 15 min</span>
      ) : (
        <>
          <span>errors {percent(Math.round((usage.errors / usage.attempts) * 1_000) / 10)}</span>
          {usage.p95Ms === null ? null : <span>p95 {took(usage.p95Ms)}</span>}
        </>
      )}
    </p>
  );
}
