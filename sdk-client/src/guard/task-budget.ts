/**
 * The provider's own budget for a task of an agent, set from what is left of a budget of its session, for guards that ask for
 * it. It is advice to the model, which sees a countdown and comes to an end in time; what stops is the budget itself.
 * https://platform.claude.com/docs/en/build-with-claude/task-budgets
 */
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { modelNames } from "../evaluate/model-names.ts";
import { subjectIn } from "../evaluate/subject.ts";
import type { GuardHost, UsageDraft } from "../guard-host.ts";
import { priceUsage } from "../pricing/price.ts";
import { isObject } from "../wire/json.ts";
import { NO_USAGE } from "../wire/usage-protocol.ts";
import type { SubjectBudget } from "../wire/verdict-protocol.ts";
import { pricedModels } from "./priced-models.ts";
import type { Body } from "./request.ts";
import type { RequestLike } from "./types.ts";

const BETA = "task-budgets-2026-03-13";
const BETA_HEADER = "anthropic-beta";
/** A smaller `total` is an error. */
const MIN_TOKENS = 20_000;
const PER_TOKENS = 1_000_000;
/** Sessions whose spending is remembered; of more, the oldest are forgotten. */
const MAX_SESSIONS = 10_000;
const HOUR_MS = 3_600_000;
const PERIOD_MS = { hour: HOUR_MS, day: 24 * HOUR_MS, week: 168 * HOUR_MS, month: 744 * HOUR_MS } as const;

const nameOf = modelNames();
/** Others answer 400 (same page, "Feature support"). */
const MODELS: ReadonlySet<string> = new Set(
  [
    "claude-fable-5-2",
    "claude-mythos-5-2",
    "claude-fable-5-1",
    "claude-mythos-5-1",
    "claude-fable-5",
    "claude-mythos-5",
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
  ].map(nameOf),
);

/** Whose task it is. */
export interface TaskSubject {
  flag: string;
  user: string | null;
  session: string | null;
}

/** What sessions have spent in this process: an agent runs in one. */
export class TaskBudgets {
  readonly #host: GuardHost;
  readonly #spent = new Map<string, { nanoUsd: number; sinceMs: number }>();

  constructor(host: GuardHost) {
    this.#host = host;
  }

  used(subject: TaskSubject, { model, usage, batch, fast, geo }: UsageDraft): void {
    const atMs = Date.now();
    const call = { model, usage, atMs, batch: batch === true, fast: fast === true, geo: geo ?? null };
    const { costNanoUsd } = priceUsage(pricedModels(this.#host).prices(), call);
    for (const { budget, key } of this.#budgetsOf(subject, model)) {
      const known = this.#spent.get(key);
      const isOver = known === undefined || atMs - known.sinceMs > PERIOD_MS[budget.period ?? "day"];
      this.#spent.delete(key);
      this.#spent.set(key, {
        nanoUsd: costNanoUsd + (isOver ? 0 : known.nanoUsd),
        sinceMs: isOver ? atMs : known.sinceMs,
      });
    }
    for (const oldest of this.#spent.keys()) {
      if (this.#spent.size <= MAX_SESSIONS) return;
      this.#spent.delete(oldest);
    }
  }

  /**
   * Tokens for a task with this model: as many as what is left buys as output, rounded down to a doubling of the least, so that
   * the number, which is part of the cached prompt, changes seldom. Null without a budget of the session.
   */
  tokensFor(subject: TaskSubject, model: string): number | null {
    if (!MODELS.has(nameOf(model))) return null;
    const rests = this.#budgetsOf(subject, model).map(
      ({ budget, key }) => (budget.limitNanoUsd ?? 0) - (this.#spent.get(key)?.nanoUsd ?? 0),
    );
    if (rests.length === 0) return null;
    const usage = { ...NO_USAGE, output: PER_TOKENS };
    const call = { model, usage, atMs: Date.now(), batch: false, fast: false, geo: null };
    const { costNanoUsd } = priceUsage(pricedModels(this.#host).prices(), call);
    const tokens = (Math.min(...rests) / costNanoUsd) * PER_TOKENS;
    return MIN_TOKENS * 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, tokens / MIN_TOKENS))));
  }

  #budgetsOf({ flag, user, session }: TaskSubject, model: string): { budget: SubjectBudget; key: string }[] {
    const { models, subjectBudgets } = this.#host;
    return subjectBudgets.flatMap((budget) => {
      if (budget.session === undefined || budget.limitNanoUsd === undefined) return [];
      if (budget.flags?.includes(flag) === false) return [];
      if (budget.model !== undefined && models.nameOf(budget.model) !== models.nameOf(model)) return [];
      const subject = subjectIn(budget, user, session);
      return subject === null ? [] : [{ budget, key: `${budget.id} ${subject}` }];
    });
  }
}

/** An agent's call, which has tools, that sets no budget for its task; a turn that continues a thread cannot. */
export function mayTask(body: Body): boolean {
  const { tools, thread, output_config: config } = body;
  if (!Array.isArray(tools) || tools.length === 0) return false;
  if (isObject(thread) && thread["type"] === "continue") return false;
  return !isObject(config) || config["task_budget"] === undefined;
}

/** The choices with a budget for the task where their model takes one. */
export function tasked(
  choices: readonly ModelChoice[],
  body: Body,
  tokensFor: (model: string) => number | null,
): readonly ModelChoice[] {
  return choices.map((choice) => {
    const total = choice.step?.unset?.includes("output_config") === true ? null : tokensFor(choice.model);
    if (total === null) return choice;
    const own = choice.step?.set?.["output_config"] ?? body["output_config"];
    const output_config = { ...(isObject(own) ? own : {}), task_budget: { type: "tokens", total } };
    return { ...choice, step: { model: choice.model, ...choice.step, set: { ...choice.step?.set, output_config } } };
  });
}

/** The request with the header that the API wants for it. */
export function withBeta<R extends RequestLike>(request: R): R {
  const headers = new Headers(request.headers);
  const known = headers.get(BETA_HEADER);
  if (known?.includes(BETA) !== true) headers.set(BETA_HEADER, known === null ? BETA : `${known},${BETA}`);
  return { ...request, headers };
}

const byHost = new WeakMap<GuardHost, TaskBudgets>();

/** What all guards of one host know of tasks, made on first use. */
export function taskBudgetsOf(host: GuardHost): TaskBudgets {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new TaskBudgets(host);
  byHost.set(host, made);
  return made;
}
