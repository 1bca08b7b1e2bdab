/** The budgets that several flags spend from, on the board: their bars, and what they have done to flags. */
import { usd } from "../../domain/alert-text.ts";
import { type BudgetGlance, overShared } from "../../services/board/money.ts";
import type { Board } from "./state.ts";
import { byShare, LimitLine, Still } from "./flag-money.tsx";
import { periodNow, usdLimit, burnText } from "../text/money.ts";
import { SpendBar } from "../chart/spend-bar.tsx";
import { count, type Light } from "../text/text.ts";

/** More than these are found on the page of budgets. */
const SHOWN = 4;

export function SharedBudgets({ board }: { board: Board }) {
  const shared = board.money.budgets.filter(({ scope }) => scope.flag === undefined).toSorted(byShare);
  if (shared.length === 0) return null;
  const path = `/e/${board.environment.key}/budgets`;
  const more = shared.length - SHOWN;
  return (
    <section class="card" id="shared-budgets" aria-labelledby="shared-budgets-title">
      <h2 id="shared-budgets-title">Budgets of all flags together</h2>
      {shared.slice(0, SHOWN).map((budget) => (
        <Entry budget={budget} board={board} path={path} />
      ))}
      {more > 0 ? (
        <p class="dim">
          <a href={path}>{count(more, "more budget")}</a>
        </p>
      ) : null}
    </section>
  );
}

function Entry({ budget, board, path }: { budget: BudgetGlance; board: Board; path: string }) {
  const { model, tag } = budget.scope;
  return (
    <div>
      <p>
        <a href={`${path}#budget-${budget.id}`}>{budget.name}</a>
        {tag === undefined ? null : <span class="dim"> of flags tagged {tag}</span>}
        {model === undefined ? null : (
          <span class="dim">
            {" "}
            for <code>{model}</code>
          </span>
        )}
      </p>
      <SpendBar {...budget} light={lightOf(budget, board)} />
      <p>
        <b>{usd(budget.spentNanoUsd)}</b> of {usdLimit(budget.limitNanoUsd)} {periodNow(budget.period)}{" "}
        <span class="dim">
          {burnText(budget.burnNanoUsdPerHour)} · <LimitLine budget={budget} nowMs={board.nowMs} />
          <Still budget={budget} />
        </span>
      </p>
    </div>
  );
}

/** Over the limit while something is on; else the hardest thing that the budget does to any flag now. */
function lightOf(budget: BudgetGlance, board: Board): Light {
  const flags = board.rows.map(({ flag }) => flag);
  if (overShared(board.money, flags).includes(budget)) return "over";
  const standing = flags.flatMap(({ trips }) => trips).filter((trip) => trip.budget.id === budget.id);
  if (standing.some(({ action }) => action === "kill")) return "off";
  return standing.length > 0 ? "downgraded" : "on";
}
