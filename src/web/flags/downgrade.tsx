/** Choosing the step that a flag goes down to: shows the chain as it is, and what each choice means. */
import type { FlagResource } from "../../domain/resources.ts";
import { Choices, type FieldErrors, FormErrors } from "../form/parts.tsx";
import { HowLong } from "../form/how-long.tsx";
import type { Form } from "../shell/page-context.ts";
import { REASONS } from "../../domain/reasons.ts";
import { ReasonChoice, reasonOf } from "../form/reason-choice.tsx";

export interface DowngradeProps {
  flag: FlagResource;
  environment: string;
  errors: FieldErrors;
  form: Form | undefined;
}

export function DowngradePage({ flag, environment, errors, form }: DowngradeProps) {
  const board = `/e/${environment}`;
  const { level } = flag.level;
  const deeper = flag.steps.map((step, position) => ({ step, position })).filter(({ position }) => position !== level);
  const { blocked } = flag.effective;
  const next = flag.steps.slice(level + 1).find((step) => !blocked.includes(step.model)) ?? flag.steps[level + 1];
  if (flag.steps.length < 2) {
    return (
      <section class="card stack">
        <h1>{`${flag.name} has nothing to step down to`}</h1>
        <p>
          {flag.chain === null
            ? "It has no chain: give it one on its page, or kill it."
            : "Its chain has one step only: add a cheaper model to it, or kill the flag."}
        </p>
        <p class="acts">
          <a class="button main" href={`${board}/flags/${flag.key}`}>
            To the flag
          </a>
        </p>
      </section>
    );
  }
  const current = flag.steps[level]?.model ?? "";
  return (
    <form class="card stack" method="post" action={`${board}/flags/${flag.key}/downgrade`}>
      <h1>{`Downgrade ${flag.name}`}</h1>
      <FormErrors errors={errors} fields={["model", "reason"]} />
      <p>
        Now at <code>{current}</code>. Calls that start after it is applied use the chosen model; running calls finish
        on the one they have. A request is never moved to a better model than it asks for.
      </p>
      <Choices
        name="model"
        legend="Down to"
        value={form?.text("model") ?? next?.model ?? ""}
        errors={errors}
        options={deeper.map(({ step, position }) => ({
          value: step.model,
          label: step.model,
          note: noteOf(step.model, position, level, blocked),
        }))}
      />
      <ReasonChoice
        presets={REASONS}
        legend="Why? (helps whoever comes next)"
        required={false}
        value={form === undefined ? "" : reasonOf(form)}
        errors={errors}
      />
      <HowLong value={form?.text("minutes") ?? ""} />
      <div class="acts">
        <button class="main">Downgrade</button>
        <a class="button" href={board}>
          Cancel
        </a>
      </div>
    </form>
  );
}

function noteOf(model: string, position: number, level: number, blocked: readonly string[]): string {
  const where =
    position < level ? (position === 0 ? "back up to full quality" : "back up") : `step ${position + 1} of the chain`;
  return blocked.includes(model) ? `${where}; blocked now, so the chain goes on past it` : where;
}
