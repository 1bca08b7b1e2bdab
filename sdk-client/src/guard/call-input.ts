/** What a guarded call is given, and what it tells of each of its attempts. */
import type { Accounts } from "./accounts.ts";
import type { Breakers } from "./breaker.ts";
import type { Door } from "./door.ts";
import type { GuardHost, UsageDraft } from "../guard-host.ts";
import type { Place } from "./limits.ts";
import type { BudgetRefusal } from "./leases/budget-refusal.ts";
import type { Purse } from "./leases/purse.ts";
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import type { Start } from "./starts.ts";
import type { Pacer } from "./pacing.ts";
import type { Pass } from "./pass.ts";
import type { Fitting } from "./body.ts";
import type { Body, Subject } from "./request.ts";
import type { GuardOptions, RequestLike } from "./types.ts";
import type { Decision } from "../wire/protocol.ts";
import type { Revision } from "../wire/revision.ts";

/** How one attempt ended: the seam for usage records. */
export interface AttemptOutcome {
  flag: string;
  model: string;
  /** 1 for the first attempt of the call, counted across the SDK's retries. */
  attempt: number;
  outcome: "ok" | "error" | "aborted";
  /** What happened, for a log line. */
  detail: string;
}

export interface CallInput {
  host: GuardHost;
  options: GuardOptions;
  door: Door;
  request: RequestLike;
  /** Sends the request with this signal, and with this body unless null. */
  send(signal: AbortSignal, body: string | null): Promise<Response>;
  subject: Subject;
  /** What the call holds of its flag's limits, until it ends; null without limits. */
  place: Place | null;
  /** What it can still cost, as it is told to the server until it ends; null where no budget trips. */
  start: Start | null;
  /** Takes note of how much is left of rate limits; null where nothing paces by it. */
  pacer: Pacer | null;
  /** Sets money aside for its attempts; null while no budget reserves. */
  purse: Purse | null;
  body: Body;
  fitting: Fitting;
  stream: boolean;
  pass: Pass;
  breakers: Breakers;
  accounts: Accounts;
  /** What the call was decided by; null without any state. */
  revision: Revision | null;
  /** The flag's way to say no: its off message, or the error thrown. */
  off(decision: Decision): Promise<Response>;
  /** The same for a budget that has no money for it. */
  unaffordable(refusal: BudgetRefusal): Promise<Response>;
  /** Which models it may use by the state of now: a call that has waited decides anew. `[]`: its flag is off, or none. */
  replan(): readonly ModelChoice[];
  /** Called once, with what the caller gets: a stream may go on after it. `error` is null where `response` is not. */
  returned(response: Response | null, error: unknown): void;
  /** Called once for every attempt that was sent, with what it used. */
  settled(outcome: AttemptOutcome, used: readonly UsageDraft[]): void;
}
