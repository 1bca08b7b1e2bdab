/** A message: the kind of request that the whole guard is for. */
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import type { GuardHost, UsageDraft } from "../guard-host.ts";
import type { Accounts } from "./accounts.ts";
import type { Breakers } from "./breaker.ts";
import type { Fitting } from "./body.ts";
import { GuardedCall } from "./call.ts";
import type { AttemptOutcome, CallInput } from "./call-input.ts";
import { capChoices, capMessage, FITS } from "./caps.ts";
import { continuable, threadNotFound } from "./continuing.ts";
import type { DecidedRequest } from "./decided.ts";
import type { Door } from "./door.ts";
import type { BudgetRefusal } from "./leases/budget-refusal.ts";
import { runInside } from "./leases/inside.ts";
import type { Purse } from "./leases/purse.ts";
import type { Place } from "./limits.ts";
import { refusedInMessage } from "./names.ts";
import { sendsWith } from "./nesting.ts";
import { type Pacer, pacerOf } from "./pacing.ts";
import { keepPass, type Pass, passOf } from "./pass.ts";
import { idOf } from "./meter.ts";
import { mayTask, taskBudgetsOf, tasked, type TaskSubject, withBeta } from "./task-budget.ts";
import { type Body, namesModelTwice, type Subject } from "./request.ts";
import { withStandIn } from "./stand-in.ts";
import { inItsTurn, startOf } from "./starting.ts";
import type { Start } from "./starts.ts";
import type { GuardOptions, RequestLike } from "./types.ts";
import type { Decision } from "../wire/protocol.ts";
import type { Revision } from "../wire/revision.ts";

/** Sends a message, with what the guard has in place of an answer that does not come. */
export function sendMessage<R extends RequestLike>(decided: DecidedRequest<R>): Promise<Response> {
  const { guarding } = decided.asked;
  return guarding.hasStandIn ? withStandIn(decided, async () => sendToModel(decided)) : sendToModel(decided);
}

/** Sends it to the first usable model of its flag's chain, or says why it may not be sent. */
function sendToModel<R extends RequestLike>(
  decided: DecidedRequest<R>,
  inTurn: Start | null = null,
): Promise<Response> {
  const { body, model, caps } = decided;
  const { request, next, around, guarding } = decided.asked;
  const { host, options } = guarding;
  const counting = decided.counting();
  const no = decided.refusal(counting);
  if (no !== null) return no;
  // A body without a model is the API's to refuse.
  if (body === null || model === null) return next(request);

  const choices = decided.plan(model, Math.random());
  if (choices.length === 0) return decided.noModelFor(model);
  const fitting = decided.fitting();
  const name = fitting.refusing === null ? null : refusedInMessage(body, fitting.refusing);
  if (name !== null) return decided.refusedName(name);
  const capped = caps === undefined ? FITS : capMessage(body, request.body, caps);
  if (capped.kind === "refused") return decided.limited(capped.refusal);
  const clamped = capped.kind === "clamped" ? capped.body : null;

  if (around !== undefined) {
    around.isTaken = true;
    around.deposit?.cancel();
  }
  const sendable = continuable(body, choices);
  if (sendable.length === 0) return Promise.resolve(threadNotFound());
  const start = inTurn ?? startOf(decided, sendable);
  if (start?.waits === true) return inItsTurn(decided.asked, start, (again) => sendToModel(again, start));
  if (start?.standing === "denied") {
    start.end();
    return decided.unreported();
  }
  // A text that names its model twice is sent as it was read: the API might read the other one.
  const isRewritten = clamped !== null || (decided.isHeld && namesModelTwice(request.body));
  let outgoing = isRewritten ? { ...request, body: JSON.stringify(clamped ?? body) } : request;
  let toTry = sendable;
  if (options.taskBudget === true && mayTask(body)) {
    const whose = taskSubject(decided);
    toTry = tasked(sendable, clamped ?? body, (each) => taskBudgetsOf(host).tokensFor(whose, each));
    if (toTry.some((choice, index) => choice !== sendable[index])) outgoing = withBeta(outgoing);
  }
  const place = decided.enter(counting);
  const message = new Message(decided, { request: outgoing, body: clamped ?? body, fitting, place, start });
  return new GuardedCall(message).run(capChoices(toTry, caps));
}

function taskSubject<R extends RequestLike>({ asked }: DecidedRequest<R>): TaskSubject {
  const { flag, context } = asked.subject;
  return { flag, user: idOf(context.targetingKey), session: idOf(context.session) };
}

/** A message that may be sent: what its attempts are made of, and where they are told of. */
class Message<R extends RequestLike> implements CallInput {
  readonly host: GuardHost;
  readonly options: GuardOptions;
  readonly door: Door;
  readonly request: R;
  readonly subject: Subject;
  readonly place: Place | null;
  readonly start: Start | null;
  readonly pacer: Pacer | null;
  readonly body: Body;
  readonly fitting: Fitting;
  readonly stream: boolean;
  readonly pass: Pass;
  readonly purse: Purse | null;
  readonly breakers: Breakers;
  readonly accounts: Accounts;
  readonly revision: Revision | null;
  readonly #decided: DecidedRequest<R>;
  readonly #attemptsBefore: number;

  constructor(
    decided: DecidedRequest<R>,
    sent: { request: R; body: Body; fitting: Fitting; place: Place | null; start: Start | null },
  ) {
    const { guarding, door, subject, startedMs } = decided.asked;
    this.host = guarding.host;
    this.options = guarding.options;
    this.door = door;
    this.request = sent.request;
    this.subject = subject;
    this.place = sent.place;
    subject.layer.place = sent.place;
    this.start = sent.start;
    if (sent.start !== null) sent.start.isTaken = true;
    this.pacer = pacerOf(guarding.host);
    this.body = sent.body;
    this.fitting = sent.fitting;
    this.stream = decided.stream;
    this.pass = passOf(guarding.passes, sent.request, door.call, startedMs);
    this.#attemptsBefore = this.pass.attempts;
    this.breakers = guarding.breakers;
    this.accounts = guarding.accounts;
    this.revision = decided.decision.revision;
    this.#decided = decided;
    this.purse = decided.purse({ body: sent.body, request: sent.request, fitting: sent.fitting });
  }

  returned(response: Response | null, error: unknown): void {
    const { pass } = this;
    // What was answered at once has no retries.
    if (response?.ok !== true || pass.failed.length > 0) {
      keepPass(this.#decided.asked.guarding.passes, this.door.call, pass);
    }
    // A guard inside tells of the call itself.
    if (!this.subject.layer.isTaken) this.#decided.telling?.returned(error, pass.attempts - this.#attemptsBefore);
  }

  send(signal: AbortSignal, body: string | null): Promise<Response> {
    sendsWith(this.subject.layer, signal);
    const request = copied(this.request, signal, body);
    const { next } = this.#decided.asked;
    return this.purse === null ? next(request) : runInside(() => next(request));
  }

  off(decision: Decision): Promise<Response> {
    return this.#decided.off(decision);
  }

  unaffordable(refusal: BudgetRefusal): Promise<Response> {
    return this.#decided.unaffordable(refusal);
  }

  replan(): readonly ModelChoice[] {
    return this.#decided.replan();
  }

  settled(outcome: AttemptOutcome, used: readonly UsageDraft[]): void {
    this.host.logger.debug(outcome, "attempt");
    if (this.subject.layer.isTaken) return;
    for (const each of used) {
      this.host.record(each);
      if (this.options.taskBudget === true) taskBudgetsOf(this.host).used(taskSubject(this.#decided), each);
      this.place?.used(each.usage);
      this.#decided.asked.around?.place?.used(each.usage);
    }
    this.#decided.telling?.settled(outcome, used);
  }
}

/** The request with this signal, and with this body unless null. A spread with members after it is several times dearer. */
function copied<R extends RequestLike>(request: R, signal: AbortSignal, body: string | null): R {
  const copy = { ...request };
  const written: RequestLike = copy;
  written.signal = signal;
  if (body !== null) written.body = body;
  return copy;
}
