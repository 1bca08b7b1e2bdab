/**
 * One guarded call: its attempts down the chain, and how it ends. Invariants: it ends exactly once and leaves neither a
 * listener nor a timer nor an entry among the running calls; wherever it waits, a kill and the deadline end it.
 */
import { rebuilt, withoutRetry } from "./answers.ts";
import { Attempt, type Stop, Stopped } from "./attempt.ts";
import type { CallInput } from "./call-input.ts";
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { windowTokens } from "./context-window.ts";
import { deadlinePassed, errorOfStop, isGuardError } from "./errors.ts";
import { type InFlight, inFlightOf, type RunningCall } from "./in-flight.ts";
import type { Deposit } from "./leases/deposit.ts";
import type { Afforded, Purse, WaitFor } from "./leases/purse.ts";
import { type Failure, hasFailed, noteFailure, retriesOf } from "./pass.ts";
import { askedPauseMs, isRetriedBySdk, jitteredPauseMs, ownPauseMs, retriedAtOnce } from "./retry-pause.ts";
import { type Result, type StreamOwner, Trial } from "./trial.ts";
import type { RequestLike } from "./types.ts";
import type { Decision, EvaluationContext } from "../wire/protocol.ts";

/** A rate limit that ends within this time is waited for, once per model, before the next is tried. */
const SHORT_WAIT_MS = 2_000;

type Failed = Extract<Result, { kind: "failed" }>;

export class GuardedCall implements RunningCall, StreamOwner {
  readonly flag: string;
  readonly context: EvaluationContext;
  readonly #input: CallInput;
  readonly #inFlight: InFlight;
  #attempt: Attempt | null = null;
  #stop: Stop | null = null;
  #isStreaming = false;
  /** Only one model may be used: its failures are the SDK's to retry. */
  #isAlone = false;
  #deadline: NodeJS.Timeout | null = null;
  readonly #ear = new Ear(this);

  constructor(input: CallInput) {
    this.#input = input;
    this.flag = input.subject.flag;
    this.context = input.subject.context;
    this.#inFlight = inFlightOf(input.host);
  }

  aborted(): void {
    this.#halt({ kind: "aborted" });
  }

  kill(decision: Decision): void {
    this.#halt({ kind: "killed", decision });
  }

  onStream(): void {
    this.#clearDeadline();
    this.#isStreaming = true;
  }

  onStreamEnd(): void {
    this.#end();
  }

  /** Tries the choices in order. Resolves with the response for the caller, throws the error for the caller. */
  async run(choices: readonly ModelChoice[]): Promise<Response> {
    this.#begin();
    let response: Response | null = null;
    let error: unknown = null;
    try {
      response = await this.#tryAll(choices);
      return response;
    } catch (thrown) {
      error = thrown;
      if (thrown instanceof Stopped) error = await this.#errorOf(thrown.stop);
      throw error;
    } finally {
      // A stream goes on after this; its end ends the call.
      if (!this.#isStreaming) this.#end();
      this.#input.returned(response, error);
    }
  }

  /** What the caller gets of a call that was stopped. */
  async #errorOf(stop: Stop): Promise<Error> {
    const { door } = this.#input;
    const told = await errorOfStop(door, this.flag, stop);
    // The SDK's own timeout, which it answers with a retry.
    const isTimeout = stop.kind === "aborted" && !door.isCallerGone();
    return isTimeout ? this.#retried(told) : told;
  }

  async #tryAll(choices: readonly ModelChoice[]): Promise<Response> {
    const { pass, host, purse } = this.#input;
    this.#isAlone = choices.length === 1;
    const held = this.#heldByAccount();
    if (held !== null) return held;
    if (pass.waitUntilMs > 0) await this.#pause(pass.waitUntilMs - performance.now());
    let rest = this.#usable(choices);
    if (rest.length === 0 && pass.first === null) return this.#allOut(choices);
    for (;;) {
      let deposit: Deposit | null = null;
      if (purse !== null && rest.length > 0) {
        const afforded = await this.#afford(purse, rest);
        if (afforded.kind === "no") return afforded.response;
        ({ deposit, rest } = afforded);
      }
      const [choice] = rest;
      if (choice === undefined) return this.#over();
      const isLast = rest.length === 1;
      let result = await this.#send(choice, isLast, deposit);
      if (result.kind === "failed" && result.verdict === "limited")
        result = await this.#afterShortWait(choice, result, isLast);
      if (result.kind === "answer") return result.response;
      const answer = await this.#forCaller(result, isLast);
      if (answer !== null) return answer;
      noteFailure(pass, choice.model, host.models, result.failure);
      const later = rest.slice(1);
      const tokens = this.#window(choice);
      rest = result.verdict === "tooLong" ? later.filter((next) => this.#window(next) > tokens) : later;
      if (rest.length > 0) host.logger.warn({ flag: this.flag, model: choice.model, why: result.detail }, "next model");
    }
  }

  /** The choices from the first one on that there is money for, with that set aside; or what the caller gets instead. */
  async #afford(
    purse: Purse,
    choices: readonly ModelChoice[],
  ): Promise<{ kind: "yes"; deposit: Deposit; rest: readonly ModelChoice[] } | { kind: "no"; response: Response }> {
    const { host, pass } = this.#input;
    for (let rest = choices; ;) {
      let afforded: Afforded;
      try {
        afforded = await purse.afford(rest, this.#waitFor);
      } catch (error) {
        // It was not sent: its flag says no in its own way.
        if (!(error instanceof Stopped) || error.stop.kind !== "killed" || this.#stop !== null) throw error;
        return { kind: "no", response: await this.#input.off(error.stop.decision) };
      }
      if (afforded.kind === "refused") {
        // What a model has answered already says more.
        const response = pass.first === null ? this.#input.unaffordable(afforded.refusal) : this.#over();
        return { kind: "no", response: await response };
      }
      const { choice, deposit } = afforded;
      const at = rest.findIndex(({ model }) => model === choice.model);
      if (!afforded.hasWaited) return { kind: "yes", deposit, rest: [choice, ...rest.slice(at + 1)] };
      const planned = this.#input.replan().filter(({ model }) => !hasFailed(pass, model, host.models));
      if (planned.some(({ model }) => model === choice.model)) {
        return { kind: "yes", deposit, rest: [choice, ...rest.slice(at + 1)] };
      }
      deposit.cancel();
      rest = planned;
      if (rest.length === 0) {
        const decision = host.decide(this.flag, this.context);
        const off = decision.enabled ? ({ ...decision, enabled: false, reason: "NO_MODEL" } as const) : decision;
        return { kind: "no", response: await this.#input.off(off) };
      }
    }
  }

  /** Waits for money: a stop of the call ends it, and every change that turns its flag off. */
  readonly #waitFor: WaitFor = async (work) => {
    if (this.#stop !== null) throw new Stopped(this.#stop);
    const { host } = this.#input;
    const pause = new Attempt();
    this.#attempt = pause;
    const unsubscribe = host.onApplied(() => {
      const decision = host.decide(this.flag, this.context);
      if (!decision.enabled) pause.stop({ kind: "killed", decision });
    });
    try {
      return await pause.wait(work(pause.signal));
    } finally {
      unsubscribe();
    }
  };

  /** The choices that have not failed in this call, without those that are out. */
  #usable(choices: readonly ModelChoice[]): readonly ModelChoice[] {
    const { pass, breakers, host } = this.#input;
    if (pass.attempts === 0 && breakers.hasOpen) {
      const models = choices.map(({ model }) => model);
      const admitted = breakers.admit(models, performance.now());
      for (const model of models) if (!admitted.includes(model)) pass.failed.push(host.models.nameOf(model));
    }
    if (pass.failed.length === 0) return choices;
    return choices.filter(({ model }) => !hasFailed(pass, model, host.models));
  }

  /** A second attempt where the model asks for a short pause first; else what the first one came to. */
  async #afterShortWait(choice: ModelChoice, result: Failed, isLast: boolean): Promise<Result> {
    if (isLast) return result;
    const { pass, host, options } = this.#input;
    const name = host.models.nameOf(choice.model);
    const waitMs = askedPauseMs(result.failure.response?.headers ?? new Headers(), Date.now());
    if (options.fallbackOn429 === false || pass.waitedFor.includes(name)) return result;
    if (waitMs === null || waitMs > SHORT_WAIT_MS || this.#isPastDeadline(waitMs)) return result;
    pass.waitedFor.push(name);
    await this.#pause(waitMs);
    const { purse } = this.#input;
    const afforded = purse === null ? null : await purse.afford([choice], this.#waitFor);
    if (afforded?.kind === "refused") return result;
    return this.#send(afforded?.choice ?? choice, isLast, afforded?.deposit ?? null);
  }

  #send(choice: ModelChoice, isLast: boolean, deposit: Deposit | null): Promise<Result> {
    if (this.#stop !== null) {
      deposit?.cancel();
      throw new Stopped(this.#stop);
    }
    const trial = new Trial({ call: this.#input, choice, deposit, isLast, isAlone: this.#isAlone, owner: this });
    this.#attempt = trial.attempt;
    return trial.run();
  }

  /** What the caller (or the SDK, which may retry it) gets of a failure; null when the next model is to be tried. */
  async #forCaller({ verdict, failure }: Failed, isLast: boolean): Promise<Response | null> {
    const { options, host } = this.#input;
    const fields = { flag: this.flag, status: failure.response?.status };
    switch (verdict) {
      case "outOfMoney":
        host.logger.error(fields, "the account's spend limit is reached: no retry");
        return this.#outOfMoney(failure);
      case "revoked":
        host.logger.error(fields, "the API key is not accepted: it was revoked, or may not do this");
        if (this.#input.accounts.revoked(this.#payer, performance.now())) void host.flush();
        return given(failure);
      case "backOff":
        return this.#again(failure);
      case "limited":
        return isLast || options.fallbackOn429 === false ? this.#again(failure) : null;
      case "failed":
        return this.#isAlone ? this.#again(failure) : null;
      case "unusable":
      case "tooLong":
      case "refused":
        return this.#isAlone ? given(failure) : null;
    }
  }

  /** What the call gets when its account is known to be out of money. */
  #heldByAccount(): Response | null {
    const { accounts, pass, host } = this.#input;
    if (!accounts.hasOut || pass.attempts > 0) return null;
    const held = accounts.held(this.#payer, performance.now());
    if (held !== null) host.logger.debug({ flag: this.flag }, "not sent: the account is out of money");
    return held;
  }

  async #outOfMoney(failure: Failure): Promise<Response> {
    const { accounts, host } = this.#input;
    const { response } = failure;
    if (response === null) return given(failure);
    const text = await response.text();
    const { status, headers } = response;
    if (accounts.outOfMoney(this.#payer, { status, headers, text }, performance.now())) void host.flush();
    return withoutRetry(rebuilt(response, text));
  }

  get #payer(): { request: RequestLike; flag: string } {
    return { request: this.#input.request, flag: this.flag };
  }

  /** All models have failed: the first failure is what the caller gets. */
  async #over(): Promise<Response> {
    const { first } = this.#input.pass;
    if (first === null) throw new Error("no model was tried");
    if (first.response !== null) return withoutRetry(first.response);
    throw await this.#retried(first.error, true);
  }

  /** Breakers have left out every model of the call. */
  #allOut(choices: readonly ModelChoice[]): Promise<Response> {
    const { host } = this.#input;
    const models = choices.map(({ model }) => model);
    host.logger.warn({ flag: this.flag, models }, "no model is left: each keeps failing; single calls probe them");
    return this.#input.off({ ...host.decide(this.flag, this.context), enabled: false, reason: "NO_MODEL" });
  }

  /** A failure that the SDK retries: the pause before that is kept here, where a kill and the deadline end it. */
  async #again({ response, error }: Failure): Promise<Response> {
    if (response === null) throw await this.#retried(error);
    const { door, request, pass } = this.#input;
    if (door.call === undefined || !isRetriedBySdk(response)) return response;
    const waitMs = askedPauseMs(response.headers, Date.now()) ?? jitteredPauseMs(retriesOf(request));
    if (this.#isPastDeadline(waitMs)) return withoutRetry(response);
    pass.waitUntilMs = performance.now() + waitMs;
    return retriedAtOnce(response);
  }

  /** The error to throw for one that the SDK may retry, after a sleep that no header can shorten. */
  async #retried(error: Error, isOver = false): Promise<Error> {
    const { door, request, options } = this.#input;
    if (door.call === undefined || isGuardError(error)) return error;
    if (options.deadlineMs !== undefined && this.#isPastDeadline(ownPauseMs(retriesOf(request)))) {
      return deadlinePassed(await door.errorBase(), this.flag, options.deadlineMs);
    }
    door.onSleep?.((wake) => {
      // Nothing is tried any more: there is nothing to wait for.
      if (isOver) wake();
      const { flag, context } = this;
      const asleep: RunningCall = { flag, context, kill: wake };
      this.#inFlight.enter(asleep);
      return () => this.#inFlight.leave(asleep);
    });
    return error;
  }

  async #pause(ms: number): Promise<void> {
    if (ms <= 0) return;
    if (this.#stop !== null) throw new Stopped(this.#stop);
    const pause = new Attempt();
    this.#attempt = pause;
    let timer: NodeJS.Timeout | undefined;
    try {
      await pause.wait(new Promise<void>((resolve) => void (timer = setTimeout(resolve, ms))));
    } finally {
      clearTimeout(timer);
    }
  }

  /** True when nothing can come of waiting this long. */
  #isPastDeadline(waitMs: number): boolean {
    const { options, pass } = this.#input;
    return options.deadlineMs !== undefined && performance.now() + waitMs >= pass.startedMs + options.deadlineMs;
  }

  #window(choice: ModelChoice): number {
    return windowTokens(this.#input.host.models.nameOf(choice.model));
  }

  #begin(): void {
    const { request, options, pass } = this.#input;
    this.#inFlight.enter(this);
    const { signal } = request;
    if (signal?.aborted === true) this.aborted();
    else signal?.addEventListener("abort", this.#ear);
    const limitMs = options.deadlineMs;
    if (limitMs === undefined) return;
    const leftMs = pass.startedMs + limitMs - performance.now();
    const stop = { kind: "deadline", limitMs } as const;
    if (leftMs <= 0) this.#halt(stop);
    else this.#deadline = setTimeout(() => this.#halt(stop), leftMs);
  }

  #halt(stop: Stop): void {
    this.#stop ??= stop;
    this.#attempt?.stop(stop);
  }

  #end(): void {
    this.#clearDeadline();
    this.#input.request.signal?.removeEventListener("abort", this.#ear);
    this.#ear.call = null;
    this.#inFlight.leave(this);
    this.#input.place?.leave();
    this.#input.start?.end();
  }

  #clearDeadline(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = null;
  }
}

/**
 * Hears of the abort of a call's request. Node 20 keeps listeners of an `AbortSignal` through minor collections, removed
 * or not: one that held the call would keep all that it holds, at the price of a third of what a guarded call costs.
 */
class Ear {
  call: GuardedCall | null;

  constructor(call: GuardedCall) {
    this.call = call;
  }

  handleEvent(): void {
    this.call?.aborted();
  }
}

/** A failure that nothing can mend, for the caller: once. */
function given({ response, error }: Failure): Response {
  if (response === null) throw error;
  return withoutRetry(response);
}
