/** Choosing the step that a flag goes down to: shows the chain as it is, and what each choice means. */
import type { FlagResource } from "../../api/flag.ts";
import { FormActs, Choices, type FieldErrors, FormErrors } from "../form/parts.tsx";
import type { StepPreview } from "../../services/flags/step-preview.ts";
import { usdPerHour } from "../text/money.ts";
import { count } from "../text/text.ts";
import { HowLong } from "../form/how-long.tsx";
import type { Form } from "../shell/page-context.ts";
import { REASONS } from "../../domain/reasons.ts";
import { ReasonChoice, reasonOf } from "../form/reason-choice.tsx";

export interface DowngradeProps {
  flag: FlagResource;
  /** Null while the flag is off. */
  preview: StepPreview | null;
  environment: string;
  /** What is looked for on the board that led here: "" or "?q=…". */
  search: string;
  errors: FieldErrors;
  form: Form | undefined;
}

export function DowngradePage({ flag, preview, environment, search, errors, form }: DowngradeProps) {
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
    <form class="card stack" method="post" action={`${board}/flags/${flag.key}/downgrade${search}`}>
      <h1>{`Downgrade ${flag.name}`}</h1>
      <FormErrors errors={errors} fields={["model", "reason"]} />
      <p>
        Now at <code>{current}</code>. Calls that start after it is applied use the chosen model; running calls finish
        on the one they have. A request is never moved to a better model than it asks for.
      </p>
      <p class="dim">{basisOf(preview)}</p>
      <Choices
        name="model"
        legend="Down to"
        value={form?.text("model") ?? next?.model ?? ""}
        errors={errors}
        options={deeper.map(({ step, position }) => ({
          value: step.model,
          label: step.model,
          note: (
            <>
              {noteOf(step.model, position, level, blocked)}
              <Rates preview={preview} position={position} />
            </>
          ),
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
      <FormActs does="Downgrade" cancel={`${board}${search}`} />
    </form>
  );
}

/** From what the figures beside the steps are made. */
function basisOf(preview: StepPreview | null): string {
  if (preview === null) return "It is off now, so it burns nothing on any step.";
  if (preview.attempts === 0) return "No calls in the last 5 minutes, so nothing to estimate a step's cost from.";
  return `Estimated from ${count(preview.attempts, "call")} of the last 5 minutes: their tokens as recorded, at the prices of the models they would go to. A prompt cache is written anew on another model, once, which is not in it.`;
}

/** ": now $12/h → about $3/h". Nothing without calls. */
function Rates({ preview, position }: { preview: StepPreview | null; position: number }) {
  const then = preview?.then[position];
  if (preview === null || preview.attempts === 0 || then === undefined) return null;
  const about = then.isCeiling ? "at most" : "about";
  return (
    <>
      {": "}
      <b>
        now {usdPerHour(preview.nowNanoUsdPerHour)} → {about} {usdPerHour(then.nanoUsdPerHour)}
      </b>
      {then.refused === 0 ? "" : `; ${count(then.refused, "call")} of these would be refused, as no step is usable`}
    </>
  );
}

function noteOf(model: string, position: number, level: number, blocked: readonly string[]): string {
  const where =
    position < level ? (position === 0 ? "back up to full quality" : "back up") : `step ${position + 1} of the chain`;
  return blocked.includes(model) ? `${where}; blocked now, so the chain goes on past it` : where;
}
