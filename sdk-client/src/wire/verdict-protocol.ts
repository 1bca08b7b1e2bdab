/**
 * The wire types of verdicts: what a budget about users or sessions means for one of them, as entries of one log for each
 * environment. The newest entry about a subject of a budget holds, until its `until`.
 */
export const VERDICTS_PATH = "/sdk/v1/verdicts";

/** Subjects that a server keeps entries about, and a client; of more, the oldest are forgotten and told again when they spend. */
export const MAX_VERDICTS = 50_000;
/** Entries that ride in the answer to a report; the log has them all. */
export const MAX_VERDICTS_PER_ANSWER = 1_000;

/** `warn` changes nothing: the application may tell its user. `lift` ends what an earlier entry said. */
export const VERDICT_ACTIONS = ["stop", "downgrade", "warn", "lift"] as const;
export type VerdictAction = (typeof VERDICT_ACTIONS)[number];

export interface Verdict {
  /** Its place in the log. */
  n: number;
  budgetId: string;
  /** The id of the user or session that the budget is about; of both `<length of the user>:<user><session>`. */
  subject: string;
  action: VerdictAction;
  /** Of a downgrade: the level that its calls are at least on; left out: one further than their flag's. */
  level?: number;
  /** When its window ends and it holds no more, ISO 8601. */
  until: string;
}

export interface VerdictsAnswer {
  /** The end of the log: what to ask for after next. */
  n: number;
  /** Of `n`: another one has another log. */
  lineage: string;
  /** True: all that holds. What is known and not in here is to be forgotten. */
  full: boolean;
  verdicts: Verdict[];
}

/** A budget about users or sessions, as far as clients need it to know whom a verdict is about. */
export interface SubjectBudget {
  id: string;
  name: string;
  /** The flags that it holds for; left out: all of them. */
  flags?: readonly string[];
  /** A downgrade goes past this model. */
  model?: string;
  /** One user's or session's id, or `each`. */
  user?: string;
  session?: string;
  /** Of each of them, in a window of this length. */
  limitNanoUsd?: number;
  period?: "hour" | "day" | "week" | "month";
}

/** A verdict as the application is told of it. */
export interface BudgetNews {
  action: VerdictAction;
  budget: { id: string; name: string };
  user?: string;
  session?: string;
  /** When the budget's window ends, ISO 8601. */
  until: string;
}
