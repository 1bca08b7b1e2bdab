/** A budget about users or sessions: who spent most of it, whom it holds, and the page that lets one of them go on. */
import { usd } from "../../domain/alert-text.ts";
import type { BudgetResource, SubjectsNow } from "../../api/budget.ts";
import { FormActs, type FieldErrors, FormErrors, ReasonField } from "../form/parts.tsx";
import { periodNow, usdLimit } from "../text/money.ts";
import { count } from "../text/text.ts";

type Subject = SubjectsNow["top"][number];

/** `each` of a scope, and who is meant, in words: "each user", "user ann", "each session of each user". */
export function subjectWords({ user, session }: BudgetResource["scope"]): string | null {
  const words = [...wordsOf("session", session), ...wordsOf("user", user)];
  return words.length === 0 ? null : words.join(" of ");
}

function wordsOf(kind: "user" | "session", scope: string | undefined): string[] {
  if (scope === undefined) return [];
  return [scope === "each" ? `each ${kind}` : `${kind} ${scope}`];
}

/** In place of the sum: each has the limit alone. `lift` is where a person lets one go on; null for who may not. */
export function Subjects({
  budget,
  subjects,
  lift,
}: {
  budget: BudgetResource;
  subjects: SubjectsNow;
  lift: string | null;
}) {
  const { counted, stopped, downgraded, warned, top, isFull } = subjects;
  const who = budget.scope.session === undefined ? "user" : "session";
  const held = [
    ...(stopped > 0 ? [`${count(stopped, who)} stopped`] : []),
    ...(downgraded > 0 ? [`${count(downgraded, who)} downgraded`] : []),
    ...(warned > 0 ? [`${count(warned, who)} near it`] : []),
  ];
  return (
    <>
      <p>
        {usdLimit(budget.now.limitNanoUsd)} for each, {periodNow(budget.period)}:{" "}
        {counted === 0 ? `nothing spent yet by a ${who} that calls name` : `${count(counted, who)} spent from it`}
        {held.length === 0 ? "" : `; ${held.join(", ")}`}.
        {isFull ? ` There are more than can be counted apart; the others are not held.` : ""}
      </p>
      {top.length === 0 ? null : (
        <div class="scroll" tabindex={0} role="region" aria-label={`Who spent most of ${budget.name}`}>
          <table class="wraps">
            <thead>
              <tr>
                <th scope="col">Spent most</th>
                <th scope="col">Spent</th>
                <th scope="col">Now</th>
              </tr>
            </thead>
            <tbody>
              {top.map((subject) => (
                <tr>
                  <td>{nameOf(subject)}</td>
                  <td>{usd(subject.spentNanoUsd)}</td>
                  <td>
                    {stateOf(subject)}
                    {lift === null || subject.action === null || subject.action === "warn" ? null : (
                      <>
                        {" "}
                        <a
                          class="button"
                          href={`${lift}?${queryOf(subject)}`}
                          aria-label={`Let go on… ${nameOf(subject)}`}
                        >
                          Let go on…
                        </a>
                      </>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

/** The user, the session, or both. */
export function nameOf({ user, session }: Pick<Subject, "user" | "session">): string {
  return [...(user === undefined ? [] : [user]), ...(session === undefined ? [] : [session])].join(" · ");
}

function stateOf({ action, level, liftedBy }: Subject): string {
  const lifted = liftedBy === null ? "" : `, let go on by ${liftedBy}`;
  switch (action) {
    case "stop":
      return `stopped${lifted}`;
    case "downgrade":
      return `downgraded${level === null ? "" : ` to level ${level}`}${lifted}`;
    case "warn":
      return `near its limit${lifted}`;
    case null:
      return liftedBy === null ? "on" : `on${lifted}`;
  }
}

function queryOf({ user, session }: Subject): string {
  return new URLSearchParams({
    ...(user !== undefined && { user }),
    ...(session !== undefined && { session }),
  }).toString();
}

export interface LiftProps {
  budget: BudgetResource;
  base: string;
  user: string;
  session: string;
  reason: string;
  errors: FieldErrors;
}

export function LiftPage({ budget, base, user, session, reason, errors }: LiftProps) {
  const who = nameOf({ ...(user !== "" && { user }), ...(session !== "" && { session }) });
  return (
    <form class="card stack" method="post" action={`${base}/${budget.id}/lift`}>
      <h1>{`Let ${who} go on?`}</h1>
      <FormErrors errors={errors} fields={["reason"]} />
      <p>
        What the budget {budget.name} did to it ends within a second, on every instance, until the window ends. A step
        that it has not reached yet still acts.
      </p>
      <input type="hidden" name="user" value={user} />
      <input type="hidden" name="session" value={session} />
      <ReasonField value={reason} errors={errors} autofocus />
      <FormActs does="Let it go on" cancel={base} />
    </form>
  );
}
