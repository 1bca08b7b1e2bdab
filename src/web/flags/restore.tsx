/** Restoring is deliberate: this page says what it will do before it is done, and asks why. */
import type { FlagResource } from "../../api/flag.ts";
import type { MasterResource } from "../../api/master.ts";
import { FormActs, Choices, type FieldErrors, FormErrors } from "../form/parts.tsx";
import { Moment } from "../shell/moment.tsx";
import type { Form } from "../shell/page-context.ts";
import { RESTORE_REASONS } from "../../domain/reasons.ts";
import { ReasonChoice, reasonOf } from "../form/reason-choice.tsx";
import type { BudgetGlance } from "../../services/board/money.ts";
import { resetText, sharePercent } from "../text/money.ts";
import { StateLine } from "../text/state-line.tsx";
import { isHeldOff } from "../../domain/effective.ts";
import { count, isRestorable, listed, percent } from "../text/text.ts";

const RAMPS = [
  { value: "10", label: "10 % of users first", note: "Then look, and restore the rest." },
  { value: "50", label: "50 % of users first" },
  { value: "100", label: "Everybody at once" },
] as const;

interface Common {
  environment: string;
  /** What is looked for on the board that led here: "" or "?q=…". */
  search: string;
  master: MasterResource;
  errors: FieldErrors;
  form: Form | undefined;
  nowMs: number;
}

interface FlagProps extends Common {
  flag: FlagResource;
  budgets: readonly BudgetGlance[];
}

export function RestorePage(props: FlagProps) {
  const { flag, environment, search, errors, form } = props;
  const board = `/e/${environment}`;
  const off = isHeldOff(flag);
  const tripped = flag.trips[0];
  if (!isRestorable(flag)) {
    return (
      <section class="card stack">
        <h1>{`${flag.name} is on`}</h1>
        <p>There is nothing to restore: its own switch is on, at full quality.</p>
        <p class="acts">
          <a class="button main" href={`${board}${search}`}>
            To the board
          </a>
        </p>
      </section>
    );
  }
  return (
    <form class="card stack" method="post" action={`${board}/flags/${flag.key}/restore${search}`}>
      <h1>{off ? `Restore ${flag.name}` : `Restore quality of ${flag.name}`}</h1>
      <FormErrors errors={errors} fields={["reason"]} />
      <Cause flag={flag} nowMs={props.nowMs} />
      <div>
        <h2>What this will do</h2>
        <ul>
          {off ? <WhenOff {...props} /> : <WhenOn flag={flag} />}
          <Overrides {...props} />
        </ul>
      </div>
      {tripped === undefined ? null : (
        <p>
          To give it more money instead,{" "}
          <a href={`${board}/budgets/${tripped.budget.id}/raise${search}`}>raise the budget…</a>
        </p>
      )}
      {props.master.state === "off" ? (
        <p class="flash problem">
          <b>The master switch is off.</b> This flag stays dark until that is restored too; its own switch will be on
          then.
        </p>
      ) : null}
      {off ? (
        <Choices name="ramp" legend="For whom" value={form?.text("ramp") ?? "100"} options={RAMPS} errors={errors} />
      ) : null}
      <ReasonChoice
        presets={RESTORE_REASONS}
        legend="Why now?"
        value={form === undefined ? "" : reasonOf(form)}
        errors={errors}
      />
      <FormActs does={off ? "Restore" : "Restore quality"} cancel={`${board}${search}`} />
    </form>
  );
}

/** What holds it, in the words of the board. */
function Cause({ flag, nowMs }: { flag: FlagResource; nowMs: number }) {
  return (
    <p>
      <StateLine flag={flag} nowMs={nowMs} />. Is it over?
    </p>
  );
}

function WhenOff({ flag }: FlagProps) {
  const { blocked } = flag.effective;
  const level = flag.level.manual?.level ?? 0;
  const first = flag.steps.slice(level).find((step) => !blocked.includes(step.model));
  return (
    <>
      <li>
        Turns it on, with{" "}
        {flag.steps.length === 0 ? (
          "the model each request names"
        ) : first === undefined ? (
          <b>no usable model: every step of its chain is blocked, so it stays dark</b>
        ) : (
          <code>{first.model}</code>
        )}
        .
      </li>
      {level > 0 ? <li>It stays downgraded. Restoring quality is a second step, afterwards.</li> : null}
      {flag.rollout < 100 ? <li>Its rollout stays at {percent(flag.rollout)} of users.</li> : null}
    </>
  );
}

function WhenOn({ flag }: { flag: FlagResource }) {
  const { blocked } = flag.effective;
  const first = flag.steps.find((step) => !blocked.includes(step.model));
  const stillBlocked = flag.steps.filter((step) => blocked.includes(step.model)).map((step) => step.model);
  return (
    <>
      {flag.level.level > 0 && first !== undefined ? (
        <li>
          New calls use <code>{first.model}</code> again; running calls finish on the model they have.
        </li>
      ) : null}
      {stillBlocked.length > 0 ? (
        <li>
          <code>{listed(stillBlocked)}</code> {stillBlocked.length === 1 ? "stays" : "stay"} blocked: unblock on the
          Models page.
        </li>
      ) : null}
      {flag.switch.ramp === null ? null : (
        <li>Ends the ramp: on for everybody instead of {percent(flag.switch.ramp)} of users.</li>
      )}
    </>
  );
}

/** A restore under a trip overrides what was crossed, and no more: a higher step still acts. */
function Overrides({ flag, budgets }: FlagProps) {
  return (
    <>
      {[...new Set(flag.trips.map((trip) => trip.budget.id))].map((id) => {
        const trips = flag.trips.filter((trip) => trip.budget.id === id);
        const budget = budgets.find((one) => one.id === id);
        const percents = [...new Set(trips.map((trip) => trip.atPercent))];
        const crossed = percents.toSorted((a, b) => a - b).map((atPercent) => `${atPercent} %`);
        const share = budget === undefined ? 0 : sharePercent(budget.spentNanoUsd, budget.limitNanoUsd);
        const higher = (budget?.ladder ?? []).filter((step) => step.atPercent > share && step.action !== "alert");
        return (
          <>
            <li>
              Overrides budget <b>{trips[0]?.budget.name ?? ""}</b> for this flag:{" "}
              {crossed.length === 1 ? "its step" : "its steps"} at {listed(crossed)} no longer{" "}
              {crossed.length === 1 ? "counts" : "count"}{" "}
              {budget === undefined
                ? "until its window ends"
                : `until it ${resetText(budget.windowEndsAt, budget.timezone, budget.period)}`}
              .
            </li>
            <li>
              {higher.length === 0 ? (
                <b>No higher step is left: nothing stops its spending until then.</b>
              ) : (
                `A higher step still acts: ${listed(higher.map((step) => `${step.action} at ${step.atPercent} %`))}.`
              )}
            </li>
          </>
        );
      })}
    </>
  );
}

export function RestoreMasterPage(props: Common & { flags: readonly FlagResource[] }) {
  const { flags, master, environment, search, errors, form, nowMs } = props;
  const board = `/e/${environment}`;
  const stayOff = flags.filter(isHeldOff).map((flag) => flag.name);
  if (master.state === "on") {
    return (
      <section class="card stack">
        <h1>The master switch is on</h1>
        <p class="acts">
          <a class="button main" href={`${board}${search}`}>
            To the board
          </a>
        </p>
      </section>
    );
  }
  return (
    <form class="card stack" method="post" action={`${board}/restore${search}`}>
      <h1>Restore the master switch</h1>
      <FormErrors errors={errors} fields={["reason"]} />
      <p>
        Everything is off since <Moment at={master.since} nowMs={nowMs} exact />
        {master.by === null ? "" : ` by ${master.by}`}.{" "}
        {master.reason === null ? "No reason was given." : `Reason: ${master.reason}.`} Is it over?
      </p>
      <div>
        <h2>What this will do</h2>
        <ul>
          <li>
            Turns {count(flags.length - stayOff.length, "flag")} on again, all at once, each as its own rules and chain
            say.
          </li>
          {stayOff.length > 0 ? (
            <li>
              {listed(stayOff)} {stayOff.length === 1 ? "stays" : "stay"} off: killed by themselves, or by a budget.
            </li>
          ) : null}
        </ul>
      </div>
      <ReasonChoice
        presets={RESTORE_REASONS}
        legend="Why now?"
        value={form === undefined ? "" : reasonOf(form)}
        errors={errors}
      />
      <FormActs does="Restore" cancel={`${board}${search}`} />
    </form>
  );
}
