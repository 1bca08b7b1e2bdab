/**
 * One request with what was decided for it, whatever its kind: its flag's settings, the models it may use, and the ways to
 * say no. Invariant: nothing is made here that only a flag with limits, caps or blocks needs.
 */
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { ANY_LUCK, NO_LUCK } from "../evaluate/effective-state.ts";
import type { Fitting } from "./body.ts";
import type { Caps } from "./caps.ts";
import { CallTelling } from "./call-line.ts";
import { capChoices } from "./caps.ts";
import type { Door } from "./door.ts";
import { type CallKind, onlyStops } from "./endpoints.ts";
import { featureDisabled, type RefusalDetails } from "./errors.ts";
import type { Guarding } from "./guarding.ts";
import { type BudgetRefusal, refusedAsUnbounded } from "./leases/budget-refusal.ts";
import { isInside } from "./leases/inside.ts";
import { Purse } from "./leases/purse.ts";
import type { Spender } from "./leases/scope.ts";
import type { LimitRefusal } from "./limit-refusal.ts";
import type { LimitSubject, Place } from "./limits.ts";
import { idOf } from "./meter.ts";
import type { Naming, RefusedName } from "./names.ts";
import type { Layer } from "./nesting.ts";
import { offMessage } from "./off-message.ts";
import { retriesOf } from "./pass.ts";
import type { Body, Subject } from "./request.ts";
import type { RequestLike } from "./types.ts";
import { parseObject } from "../wire/json.ts";
import { type Decision, DEFAULT_OFF_MESSAGE, type SnapshotFlag } from "../wire/protocol.ts";

export interface AskedRequest<R extends RequestLike> {
  guarding: Guarding;
  kind: Exclude<CallKind, "read">;
  request: R;
  next: (request: R) => Promise<Response>;
  door: Door;
  /** The body of a message, where it could be read. */
  known: Body | null;
  subject: Subject;
  /** The guard around this one. */
  around: Layer | undefined;
  startedMs: number;
}

export class DecidedRequest<R extends RequestLike> {
  readonly asked: AskedRequest<R>;
  readonly decision: Decision;
  /** The flag's; undefined for one that no snapshot knows. */
  readonly settings: SnapshotFlag | undefined;
  /** Not every model may be named now. A breaker refuses no call: it does not count. */
  readonly isHeld: boolean;
  /** Null when it is not the text of a JSON object. */
  readonly body: Body | null;
  /** What the body names; null when it names none. */
  readonly model: string | null;
  readonly stream: boolean;
  /** Of a message that names a model, where somebody listens. */
  readonly telling: CallTelling | null;

  constructor(asked: AskedRequest<R>) {
    const { guarding, kind, request, door, known, subject, startedMs } = asked;
    const { host, options } = guarding;
    const { flag, context } = subject;
    this.asked = asked;
    if (kind === "count" || kind === "other") this.decision = host.decide(flag, context);
    else {
      this.decision = host.evaluate(flag, context, guarding.unknown);
      host.guarded(flag, guarding.sdkOf(request.headers));
    }
    const { decision } = this;
    const settings = host.flag(flag);
    this.settings = settings;
    this.isHeld = decision.level > 0 || settings?.chainOnly === true || host.models.hasBlocks;
    // What is held is read as it will be sent: other middleware may have changed it since.
    const isChanged = this.isHeld || settings?.maxOutputTokens !== undefined || host.models.hasBreakers;
    const body = known === null || isChanged ? parseObject(request.body) : known;
    const model = body?.["model"];
    this.body = body;
    this.model = typeof model === "string" ? model : null;
    this.stream = door.stream ?? body?.["stream"] === true;
    this.telling =
      kind !== "message" || body === null || this.model === null
        ? null
        : CallTelling.of({
            host,
            options,
            door,
            subject,
            decision,
            stream: this.stream,
            startedMs,
            body,
            model: this.model,
          });
  }

  /** The caps of the flag, and of the guard where that allows less. */
  get caps(): Caps | undefined {
    const { maxInputBytes: own } = this.asked.guarding.options;
    const { settings } = this;
    if (own === undefined) return settings;
    const { maxInputBytes = own, maxOutputTokens, clampMaxTokens = false } = settings ?? {};
    const least = { maxInputBytes: Math.min(own, maxInputBytes), clampMaxTokens };
    return maxOutputTokens === undefined ? least : { ...least, maxOutputTokens };
  }

  /** Why work may not begin: its flag is off, a limit is reached, or nobody can tell its models. Null: it may. */
  refusal(counting: LimitSubject | null): Promise<Response> | null {
    if (!this.decision.enabled && !this.isStop) return this.off(this.decision, detailsOf(this.decision));
    const full = counting === null ? null : this.asked.guarding.limits.check(counting);
    return full === null ? this.unread() : this.limited(full);
  }

  /** What cannot be read cannot be held. */
  unread(): Promise<Response> | null {
    const { body } = this.asked.request;
    const isUnread = this.isHeld && this.body === null && body !== undefined && body !== null;
    return isUnread ? this.noModel(UNREADABLE_BODY) : null;
  }

  /** What it is counted under; null without limits, and within a guard of the same flag, which has let it in. */
  counting(): LimitSubject | null {
    const { request, subject, around } = this.asked;
    const { flag, context } = subject;
    const limits = this.settings?.limits;
    if (limits === undefined || this.isStop || around?.flag === flag) return null;
    // The SDK's retries are the same call.
    return { flag, limits, user: context.targetingKey, session: context.session, isRetry: retriesOf(request) > 0 };
  }

  /** Counts it from now on. */
  enter(counting: LimitSubject | null): Place | null {
    return counting === null ? null : this.asked.guarding.limits.enter(counting);
  }

  /** Passes while the flag is off. */
  get isStop(): boolean {
    return this.asked.kind === "work" && onlyStops(this.body);
  }

  /** The models to try for a name, best first. `luck` says which of those that a breaker has taken out it may probe. */
  plan(requested: string, luck = NO_LUCK): readonly ModelChoice[] {
    return this.#planBy(this.decision, this.settings, requested, luck);
  }

  /** The same by the state of now, for a call that has waited; none while its flag is off. */
  replan(): readonly ModelChoice[] {
    const { guarding, subject } = this.asked;
    const decision = guarding.host.decide(subject.flag, subject.context);
    if (this.model === null || !decision.enabled) return [];
    const settings = guarding.host.flag(subject.flag);
    return capChoices(this.#planBy(decision, settings, this.model, Math.random()), settings);
  }

  #planBy(
    decision: Decision,
    settings: SnapshotFlag | undefined,
    requested: string,
    luck: number,
  ): readonly ModelChoice[] {
    const { guarding, subject } = this.asked;
    const steps = guarding.host.chain(subject.flag);
    return guarding.plans.plan(requested, steps, decision.level, settings?.chainOnly ?? false, luck);
  }

  /** By what bodies are fitted. What a breaker has taken out is left out where that can be. */
  fitting(): Fitting {
    const { host, writers } = this.asked.guarding;
    const naming = this.isHeld || host.models.hasBreakers ? this.#naming(NO_LUCK) : null;
    return { models: host.models, writers, naming, refusing: this.refusing() };
  }

  /** What a body may name; null while it may name every model. */
  refusing(): Naming | null {
    return this.isHeld ? this.#naming(ANY_LUCK) : null;
  }

  #naming(luck: number): Naming {
    const { models } = this.asked.guarding.host;
    return {
      mayName: (model) => this.plan(model, luck)[0]?.replaced === false,
      isModel: (text) => models.isReadable(text),
    };
  }

  /** The flag's way to say no: its off message, or the error thrown. */
  async off(reason: Decision, details: RefusalDetails = {}): Promise<Response> {
    const { kind, around, door } = this.asked;
    if (around !== undefined) around.isTaken = true;
    const error = await featureDisabled(door, reason, details);
    this.telling?.off(reason, error);
    const asMessage = kind === "message" && this.settings?.offMode === "message";
    if (!asMessage || this.model === null) throw error;
    return offMessage({ model: this.model, stream: this.stream, decision: { ...reason, message: error.message } });
  }

  limited({ message, hint, limit, until }: LimitRefusal): Promise<Response> {
    const { guarding, subject } = this.asked;
    guarding.host.logger.debug({ flag: subject.flag, limit, until }, `A call was refused: ${hint}`);
    guarding.host.refused(subject.flag, true);
    // What trying again does not mend is said in its own words.
    const words = limit.scope === "request" ? message : this.settings?.offMessage || message;
    return this.off({ ...this.decision, enabled: false, reason: "BUDGET", message: words }, { hint, limit, until });
  }

  /** Sets money aside for it; null while no budget reserves. */
  purse(sent: { body: Body; request: R; fitting: Fitting }): Purse | null {
    const { guarding, next, around } = this.asked;
    const { host, options, leases, counter } = guarding;
    if (leases.isIdle) return null;
    return new Purse({
      host,
      options,
      ...sent,
      leases,
      spender: this.#spender(),
      mayClamp: this.settings?.clampMaxTokens === true,
      mayWait: around !== undefined || !isInside(),
      count: (asked, signal) => counter.count(sent.request, next, asked, signal),
    });
  }

  #spender(): Omit<Spender, "model"> {
    const { flag, context } = this.asked.subject;
    return { flag, user: idOf(context.targetingKey), session: idOf(context.session) };
  }

  /** Refused where a budget reserves: nothing bounds what such work costs. Null: no budget does. */
  unboundedWork(model: string | null): Promise<Response> | null {
    const { guarding, request } = this.asked;
    if (guarding.leases.isIdle || this.isStop) return null;
    const [account] = guarding.leases.accountsOf({ ...this.#spender(), model: model ?? "" });
    if (account === undefined) return null;
    const why = `nothing bounds what ${request.method ?? "POST"} ${new URL(request.url).pathname} may cost`;
    return this.unaffordable(refusedAsUnbounded(account.budget.name, why));
  }

  /** Refused by a budget that reserves. */
  unaffordable({ because, name, until, message, hint }: BudgetRefusal): Promise<Response> {
    const { guarding, subject } = this.asked;
    guarding.host.logger.debug({ flag: subject.flag, budget: name, because, until }, `A call was refused: ${hint}`);
    // Only a budget that is used up is told in the flag's words; what else there is to say depends on the call.
    const words = (because === "spent" && this.settings?.offMessage) || message;
    const no = { ...this.decision, enabled: false, reason: "BUDGET", message: words } as const;
    return this.off(no, { hint, because, until });
  }

  /** Refused because the server does not answer, and its budget asks for that. */
  unreported(): Promise<Response> {
    const hint = "Andon cannot be told of it, and its budget's `onUnavailable` is `deny`";
    this.asked.guarding.host.logger.debug({ flag: this.asked.subject.flag }, `A call was refused: ${hint}`);
    const words = this.settings?.offMessage || DEFAULT_OFF_MESSAGE;
    return this.off({ ...this.decision, enabled: false, reason: "BUDGET", message: words }, { hint });
  }

  /** Refused for a name in its body that may not be used and cannot be left out. */
  refusedName({ model, path }: RefusedName): Promise<Response> {
    return this.noModel(
      `its body names ${model} in \`${path}\`, which its flag may not use now. Leave it out, or name another model`,
    );
  }

  /** Refused because no model may be used in place of this one. */
  noModelFor(requested: string): Promise<Response> {
    if (!this.asked.guarding.host.models.isReadable(requested)) return this.noModel(whyUnreadable(requested));
    this.#wasOn();
    return this.off({ ...this.decision, enabled: false, reason: "NO_MODEL" });
  }

  /** It counts as off, where its decision was counted. */
  #wasOn(): void {
    const { guarding, kind, subject } = this.asked;
    if (this.decision.enabled && kind !== "count" && kind !== "other") guarding.host.refused(subject.flag, false);
  }

  noModel(hint: string): Promise<Response> {
    const { guarding, subject, request } = this.asked;
    guarding.host.logger.error({ flag: subject.flag, url: request.url }, `A call was refused: ${hint}`);
    this.#wasOn();
    return this.off({ ...this.decision, enabled: false, reason: "NO_MODEL" }, { hint });
  }
}

/** What an error says of the user's or session's own budget. */
function detailsOf({ budget }: Decision): RefusalDetails {
  if (budget === undefined) return {};
  const hint = `the budget "${budget.name}" of this ${budget.about} is used up until ${budget.until}`;
  return { hint, because: "spent", until: new Date(budget.until) };
}

const UNREADABLE_BODY =
  "its body is no JSON object, so that nobody can tell which models it names, and not every model may be used now";

/** A refusal for a name that cannot be read is mended in Andon, not in the application. */
function whyUnreadable(model: string): string {
  const why = `${model} does not say which model it is, and a model is blocked in this environment`;
  return `${why}. Map the name to its model under Models, or PUT /aliases`;
}
