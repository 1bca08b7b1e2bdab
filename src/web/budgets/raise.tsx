/** More money for a while: how it stands, how much, until when, and why. */
import { usd } from "../../domain/alert-text.ts";
import type { BudgetResource } from "../../api/budget.ts";
import { FormActs, Choices, Field, type FieldErrors, FormErrors, ReasonField } from "../form/parts.tsx";
import { clockIn, dateIn, periodNow, usdLimit, burnText, zoneName } from "../text/money.ts";
import type { Form } from "../shell/page-context.ts";

const HOUR_MS = 3_600_000;
const HOURS = [1, 4, 24] as const;

export interface RaiseProps {
  budget: BudgetResource;
  environment: string;
  /** What is looked for on the board that led here: "" or "?q=…". */
  search: string;
  errors: FieldErrors;
  form: Form | undefined;
}

export function RaisePage({ budget, environment, search, errors, form }: RaiseProps) {
  const board = `/e/${environment}`;
  const { now, timezone } = budget;
  const spentNanoUsd = Number(now.spentNanoUsd);
  const over = spentNanoUsd - now.limitNanoUsd;
  const tripped = now.trips.filter((trip) => trip.overriddenBy === null);
  return (
    <form class="card stack" method="post" action={`${board}/budgets/${budget.id}/raise${search}`}>
      <h1>{`Raise budget ${budget.name}`}</h1>
      <FormErrors errors={errors} fields={["addUsd", "until", "reason"]} />
      <p>
        <b>{usd(spentNanoUsd)}</b> of {usdLimit(now.limitNanoUsd)} {periodNow(budget.period)}, at{" "}
        {burnText(now.burnNanoUsdPerHour)}.
        {over > 0 ? ` It is overspent by ${usd(over)}: add more than that, or it stays reached.` : ""}
      </p>
      <div>
        <h2>What this will do</h2>
        <ul>
          <li>Adds to the limit at once, and ends by itself. Then the old limit holds again.</li>
          {tripped.length === 0 ? null : (
            <li>
              A step that the new limit no longer reaches ends its trip:{" "}
              {tripped.map(({ flag, atPercent }) => `${flag} at ${atPercent} %`).join(", ")}.
            </li>
          )}
        </ul>
      </div>
      <Field
        name="addUsd"
        label="Add, in USD"
        value={form?.text("addUsd") ?? ""}
        errors={errors}
        inputmode="decimal"
        autofocus
        placeholder="50"
      />
      <Choices
        name="until"
        legend="Until"
        value={form?.text("until") ?? "window"}
        errors={errors}
        options={[
          {
            value: "window",
            label: "the budget resets",
            note: `${dateIn(now.windowEndsAt, timezone)} ${clockIn(now.windowEndsAt, timezone)} ${zoneName(timezone)}`,
          },
          ...HOURS.map((hours) => ({ value: String(hours), label: hours === 1 ? "in 1 hour" : `in ${hours} hours` })),
        ]}
      />
      <ReasonField value={form?.text("reason") ?? ""} errors={errors} hint="Whoever looks at the bill will read it" />
      <FormActs does="Raise" cancel={`${board}${search}`} />
    </form>
  );
}

/** The end that the form asks for, ISO 8601; null for a choice that is none. */
export function raiseUntil(form: Form, budget: BudgetResource, nowMs: number): string | null {
  const choice = form.text("until");
  if (choice === "window") return budget.now.windowEndsAt;
  const hours = HOURS.find((one) => String(one) === choice);
  return hours === undefined ? null : new Date(nowMs + hours * HOUR_MS).toISOString();
}
