/** The models that calls may use, planned once for calls that are alike: most are, as long as a snapshot decides. */
import { type ModelChoice, type PlanInput, planModels } from "../evaluate/chain-plan.ts";
import type { GuardHost } from "../guard-host.ts";
import { pricedModels } from "./priced-models.ts";
import type { ChainStep } from "../wire/protocol.ts";

export class Plans {
  readonly #host: GuardHost;
  #last: PlanInput | null = null;
  #choices: readonly ModelChoice[] = [];

  constructor(host: GuardHost) {
    this.#host = host;
  }

  /** As `planModels`, now. */
  plan(
    requested: string,
    steps: readonly ChainStep[],
    level: number,
    chainOnly: boolean,
    luck: number,
  ): readonly ModelChoice[] {
    const models = pricedModels(this.#host);
    const last = this.#last;
    const isAlike =
      last !== null &&
      last.models === models &&
      last.steps === steps &&
      last.requested === requested &&
      last.level === level &&
      last.chainOnly === chainOnly;
    if (isAlike) return this.#choices;
    const input = { requested, steps, level, chainOnly, models, nowMs: Date.now(), luck };
    const choices = planModels(input);
    // Breakers draw lots for each call, and what is cheaper than a model outside the chain may change with the hour.
    const name = models.nameOf(requested);
    const isOutside = steps.length > 0 && !steps.some((step) => models.nameOf(step.model) === name);
    if (models.hasBreakers || isOutside) return choices;
    this.#last = input;
    this.#choices = choices;
    return choices;
  }
}
