/** What a `reserve` budget holds for calls, and the form that returns what silent clients held. */
import { usd } from "../../domain/alert-text.ts";
import type { BudgetNow, BudgetResource } from "../../api/budget.ts";
import type { LeaseResource } from "../../api/lease.ts";
import { FormActs, type FieldErrors, FormErrors, ReasonField } from "../form/parts.tsx";
import { Moment } from "../shell/moment.tsx";
import type { Form } from "../shell/page-context.ts";

type Leases = NonNullable<BudgetNow["leases"]>;

/** "2.10 USD by 3 clients · 4 calls wait for it; set aside, not spent: …". */
export function HeldLine({ leases }: { leases: Leases }) {
  const { heldNanoUsd, holders, waiting, grantedNanoUsd } = leases;
  return (
    <>
      <dt>Held for calls</dt>
      <dd>
        {heldNanoUsd === 0 ? "nothing" : `${usd(heldNanoUsd)} by ${holders === 1 ? "1 client" : `${holders} clients`}`}
        {waiting === 0 ? "" : ` · ${waiting === 1 ? "1 call waits" : `${waiting} calls wait`} for it`}{" "}
        {grantedNanoUsd === 0 ? null : <span class="dim">{grantedWords(leases)}</span>}
      </dd>
    </>
  );
}

/** What clients were given, and what became of it. */
function grantedWords({ heldNanoUsd, grantedNanoUsd, settledNanoUsd }: Leases): string {
  const settled = settledNanoUsd === grantedNanoUsd ? "all of it" : `${usd(settledNanoUsd)} of it`;
  return `${heldNanoUsd === 0 ? "" : "set aside, not spent; "}${usd(grantedNanoUsd)} granted to calls, ${settled} settled`;
}

/** Nothing to see when no client went silent. */
export function IndeterminateLine({ leases, href }: { leases: Leases; href: string | null }) {
  if (leases.indeterminateNanoUsd === 0) return null;
  return (
    <>
      <dt>Indeterminate</dt>
      <dd>
        {usd(leases.indeterminateNanoUsd)}{" "}
        <span class="dim">held by clients that went silent: it counts against the limit until they report</span>{" "}
        {href === null ? null : (
          <a class="button" href={href}>
            Return…
          </a>
        )}
      </dd>
    </>
  );
}

export interface ReturnProps {
  budget: BudgetResource;
  leases: readonly LeaseResource[];
  environment: string;
  nowMs: number;
  errors: FieldErrors;
  form: Form | undefined;
}

export function ReturnPage({ budget, leases, environment, nowMs, errors, form }: ReturnProps) {
  const base = `/e/${environment}/budgets`;
  const silent = leases.filter(({ state }) => state === "indeterminate");
  return (
    <form class="card stack" method="post" action={`${base}/${budget.id}/return`}>
      <h1>{`Return money to ${budget.name}`}</h1>
      <FormErrors errors={errors} fields={["reason"]} />
      <p>
        <b>{usd(budget.now.leases?.indeterminateNanoUsd ?? 0)}</b> was held by clients that went silent. Nobody knows
        what their last calls spent of it.
      </p>
      <ul>
        {silent.map(({ instance, heldNanoUsd, renewedAt }) => (
          <li>
            <code>{instance}</code> held {usd(heldNanoUsd)}, last heard of <Moment at={renewedAt} nowMs={nowMs} />
          </li>
        ))}
      </ul>
      <div>
        <h2>What this will do</h2>
        <ul>
          <li>
            Calls can use the money again, at once. If those calls were billed, the budget is overspent by that much.
          </li>
          <li>A report that still comes counts what it says.</li>
        </ul>
      </div>
      <ReasonField
        value={form?.text("reason") ?? ""}
        errors={errors}
        hint="For example: the provider's console shows no call of these clients"
      />
      <FormActs does="Return" cancel={base} />
    </form>
  );
}
