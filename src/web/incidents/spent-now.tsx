/**
 * What an incident's budget has spent now, and the mark it was last told of as what it is: a moment that has passed. A mark
 * stands still while the spending goes on.
 */
import { usd } from "../../domain/alert-text.ts";
import type { IncidentResource } from "../../api/incident.ts";
import type { BudgetGlance } from "../../services/board/money.ts";
import { boundWords } from "../budgets/still.ts";
import { Moment } from "../shell/moment.tsx";
import { WatchNow } from "./watch-now.tsx";
import { periodNow, usdLimit } from "../text/money.ts";

type Spent = Pick<BudgetGlance, "spentNanoUsd" | "limitNanoUsd" | "period" | "bound">;

export const spentNowId = (incidentId: string): string => `spent-now-${incidentId}`;

/** "$5.20 of $2 today · alerted at 150 %, 02:41". Without a budget, or one that is gone, only the mark. */
export function SpentNow({
  incident,
  spent,
  nowMs,
}: {
  incident: IncidentResource;
  spent: Spent | undefined;
  nowMs: number;
}) {
  return (
    <span id={spentNowId(incident.id)}>
      {spent === undefined ? null : (
        <>
          <b>{usd(spent.spentNanoUsd)}</b> of {usdLimit(spent.limitNanoUsd)} {periodNow(spent.period)}
          {spent.bound.kind === "atTrip" ? <span class="wide-only">, {boundWords(spent.bound)}</span> : null} ·{" "}
        </>
      )}
      {incident.watch === null ? null : <WatchNow watch={incident.watch} nowMs={nowMs} />}
      <LastMark incident={incident} />
      <Moment at={incident.steps.at(-1)?.at ?? incident.openedAt} nowMs={nowMs} />
    </span>
  );
}

/** What the share of a step is of, where it is not the limit of a budget. */
const OF_WHAT: ReadonlyMap<string, string> = new Map([
  ["breaker", " of its calls failed"],
  ["account", " of instances"],
]);

/** Steps that are no share of anything. */
const NO_SHARE: ReadonlySet<string> = new Set(["unpriced", "drift", "watch"]);

/** "alerted at 150 %, " of what only tells; "reached 100 %, " of a step, or when no channel was there to be told. */
function LastMark({ incident: { steps, alerts, trigger } }: { incident: IncidentResource }) {
  const last = steps.at(-1);
  if (last === undefined) return null;
  if (trigger !== null) return <>{last.action === "cleared" ? "alert cleared " : "fired "}</>;
  const isTold = alerts.sent + alerts.waiting + alerts.failed > 0;
  const isOfBudget = !OF_WHAT.has(last.action);
  const tells = last.action === "alert" || last.action === "over";
  if (NO_SHARE.has(last.action)) return <>last told </>;
  // On a phone there is room for "150 %, 02:41", and the sentence is behind "More".
  return (
    <>
      <span class="wide-only">{isOfBudget ? (isTold && tells ? "alerted at " : "reached ") : ""}</span>
      {`${last.atPercent} %${OF_WHAT.get(last.action) ?? ""}, `}
    </>
  );
}

/** What it is about. Of a budget that went on over its limit without the mark, which would be read as what is spent now. */
export function titleNow(incident: IncidentResource, spent: Spent | undefined): string {
  const { budget, steps, title, resolvedAt } = incident;
  if (budget === null || steps.at(-1)?.action !== "over") return title;
  const isOver = resolvedAt === null && spent !== undefined && spent.spentNanoUsd >= spent.limitNanoUsd;
  return `${budget.name} ${isOver ? "is" : "was"} over its limit`;
}
