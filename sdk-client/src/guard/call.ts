/**
 * One guarded call: its attempts down the chain, and how it ends. Invariants: it ends exactly once and leaves neither a
 * listener nor a timer nor an entry among the running calls; every attempt's outcome passes `settled`.
 */
import { Attempt, type Stop, Stopped } from "./attempt.ts";
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { bodyFor } from "./body.ts";
import { buffered } from "./buffered.ts";
import type { CallInput } from "./call-input.ts";
import { aborted, answerBroken, asError, attemptTimedOut, errorOfStop, featureDisabled } from "./errors.ts";
import { errorTypeOf, judge, neverSent, type Verdict, withoutRetry } from "./failures.ts";
import { type InFlight, inFlightOf, type RunningCall } from "./in-flight.ts";
import { type AttemptEnd, AttemptMeter, endOfStream } from "./meter.ts";
import { isInnerNo } from "./nesting.ts";
import { hasFailed, noteFailure } from "./pass.ts";
import { parseObject } from "../wire/json.ts";
import { errorOnly, openStream, passOn, type StreamEnd } from "./stream.ts";
import type { Decision, EvaluationContext } from "../wire/protocol.ts";
import { StreamUsage } from "./stream-usage.ts";
import { StreamWriters } from "./writers.ts";

/** The guard's limit for the wait for headers leaves the SDK's own timeout this share, or no next model could be sent. */
const SHARE_OF_SDK_TIMEOUT = 0.95;

/** What an attempt came to: an answer for the caller, or a failure another model may mend. */
type Result =
  | { kind: "answer"; response: Response }
  | { kind: "failed"; detail: string; verdict: Verdict; response: Response }
  | { kind: "failed"; detail: string; verdict: Verdict; response: null; error: Error };

/** One attempt at one model, and what measures it. */
interface Trial {
  attempt: Attempt;
  choice: ModelChoice;
  meter: AttemptMeter;
  isLast: boolean;
}

export class GuardedCall implements RunningCall {
  readonly flag: string;
  readonly context: EvaluationContext;
  readonly #input: CallInput;
  readonly #inFlight: InFlight;
  readonly #onAbort = (): void => this.#halt({ kind: "aborted" });
  #attempt: Attempt | null = null;
  #stop: Stop | null = null;
  #isStreaming = false;
  /** Only one model may be used: its failures are the SDK's to retry. */
  #isAlone = false;
  #deadline: NodeJS.Timeout | null = null;

  constructor(input: CallInput) {
    this.#input = input;
    this.flag = input.subject.flag;
    this.context = input.subject.context;
    this.#inFlight = inFlightOf(input.host);
  }

  kill(decision: Decision): void {
    this.#halt({ kind: "killed", decision });
  }

  /** Tries the choices in order. Resolves with the response for the caller, throws the error for the caller. */
  async run(choices: readonly ModelChoice[], nowMs: number): Promise<Response> {
    this.#begin(nowMs);
    try {
      return await this.#tryAll(choices);
    } catch (error) {
      if (error instanceof Stopped) throw await errorOfStop(this.#input.door, this.flag, error.stop);
      throw error;
    } finally {
      // A stream goes on after this; its end ends the call.
      if (!this.#isStreaming) this.#end();
    }
  }

  async #tryAll(choices: readonly ModelChoice[]): Promise<Response> {
    const { pass, options, host } = this.#input;
    const fresh = choices.filter((choice) => !hasFailed(pass, choice.model, host.models));
    this.#isAlone = fresh.length === 1 && pass.failed.size === 0;
    for (const [index, choice] of fresh.entries()) {
      if (this.#stop !== null) throw new Stopped(this.#stop);
      const isLast = index === fresh.length - 1;
      const result = await this.#try(choice, isLast);
      if (result.kind === "answer") return result.response;
      const isLimit = result.verdict === "limited";
      // Without another model a rate limit is the SDK's to wait for, and an only model is the SDK's to retry.
      if (isLimit && (isLast || options.fallbackOn429 === false)) return passThrough(result);
      if (this.#isAlone) return passThrough(result);
      noteFailure(pass, choice.model, host.models, result.response === null ? result.error : null);
      if (isLast) return result.response === null ? passThrough(result) : withoutRetry(result.response);
      this.#giveUp(choice, result);
    }
    if (pass.lastError !== null) throw pass.lastError;
    throw await this.#noModel();
  }

  async #try(choice: ModelChoice, isLast: boolean): Promise<Result> {
    const { options, pass, subject, request, body, revision } = this.#input;
    const attempt = new Attempt();
    this.#attempt = attempt;
    pass.attempts += 1;
    const meter = new AttemptMeter({ subject, request, body, choice, revision, attempt: pass.attempts });
    const trial: Trial = { attempt, choice, meter, isLast };
    attempt.limit("attempt limit", options.attemptTimeoutMs);
    if (this.#input.stream) attempt.limit("first token limit", options.firstTokenTimeoutMs);
    try {
      const result = await this.#exchange(trial);
      if (!this.#isStreaming) this.#settleResult(trial, result);
      return result;
    } catch (error) {
      return this.#failure(error, trial);
    } finally {
      attempt.clearLimits();
    }
  }

  /** Sends the request and reads the answer, a stream's only until its content begins. */
  async #exchange(trial: Trial): Promise<Result> {
    const { attempt, meter, isLast } = trial;
    const body = this.#bodyFor(trial.choice);
    meter.changed(body);
    const sent = this.#input.send(attempt.signal, body);
    const headersTimer = isLast ? null : this.#limitHeaders(attempt);
    let received: Response;
    try {
      received = await attempt.wait(sent, (late) => this.#discard(late));
    } finally {
      if (headersTimer !== null) clearTimeout(headersTimer);
    }
    meter.received(received);
    if (!received.ok) {
      const { verdict, response } = await attempt.wait(judge(received));
      if (verdict === "outOfMoney") this.#logOutOfMoney(response);
      if (verdict === "answer" || verdict === "outOfMoney") return { kind: "answer", response };
      return { kind: "failed", detail: `status ${response.status}`, verdict, response };
    }
    if (received.body === null) return { kind: "answer", response: received };
    try {
      return this.#input.stream
        ? await this.#openStream(trial, received, received.body)
        : await this.#readWhole(trial, received);
    } catch (error) {
      if (error instanceof Stopped || isInnerNo(error)) throw error;
      const broken = await this.#broken(error);
      return { kind: "failed", detail: broken.message, verdict: "failed", response: null, error: broken };
    }
  }

  async #readWhole({ attempt, meter }: Trial, received: Response): Promise<Result> {
    const { response, message, text } = buffered(received, await attempt.wait(received.arrayBuffer()));
    meter.answered(message, text);
    const { writers, models } = this.#input.fitting;
    if (message !== null) writers.noteAnswer(message, models.nameOf);
    return { kind: "answer", response };
  }

  async #openStream(trial: Trial, response: Response, body: ReadableStream<Uint8Array>): Promise<Result> {
    const { attempt, meter } = trial;
    const idleTimeoutMs = this.#input.options.idleTimeoutMs;
    const { writers, models } = this.#input.fitting;
    const usage = new StreamUsage(new StreamWriters(writers, models.nameOf));
    meter.streaming(usage);
    const opening = await openStream(body, attempt, idleTimeoutMs, usage);
    const verdict = opening.error;
    if (verdict !== null) {
      const told = await errorOnly(response, opening);
      if (verdict === "answer" || verdict === "outOfMoney") return { kind: "answer", response: told };
      return { kind: "failed", detail: "an error event before content", verdict, response: told };
    }
    meter.firstToken();
    this.#clearDeadline();
    this.#isStreaming = true;
    const onEnd = (end: StreamEnd): Promise<Error | null> => this.#endStream(trial, usage, end);
    const passed = passOn(response, { opening, attempt, idleTimeoutMs, onEnd });
    return { kind: "answer", response: passed };
  }

  async #endStream(trial: Trial, usage: StreamUsage, end: StreamEnd): Promise<Error | null> {
    this.#end();
    const { how, detail } = endOfStream(usage, end);
    this.#settle(trial, how, detail);
    if (end.kind === "complete") return null;
    if (end.kind === "broken") return isInnerNo(end.error) ? asError(end.error) : this.#broken(end.error);
    if (end.stop.kind === "limit") return this.#broken(`${end.stop.name} of ${end.stop.limitMs} ms`);
    return errorOfStop(this.#input.door, this.flag, end.stop);
  }

  /** Sorts an error thrown by an attempt: rethrows what ends the call, returns what the next model may mend. */
  #failure(error: unknown, trial: Trial): Result {
    const { door, pass, host } = this.#input;
    const stop = error instanceof Stopped ? error.stop : trial.attempt.stopped;
    if (stop !== null && stop.kind !== "limit") {
      this.#settle(trial, { outcome: "aborted", errorType: stop.kind }, stop.kind);
      // The SDK's own timeout: its retry of this call goes on with the next model.
      const isTimeout = stop.kind === "aborted" && !door.isCallerGone();
      if (isTimeout && !this.#isAlone) noteFailure(pass, trial.choice.model, host.models, aborted());
      throw new Stopped(stop);
    }
    const failure = stop === null ? asError(error) : attemptTimedOut(stop.name, stop.limitMs);
    const errorType = stop === null ? "connection_error" : "timeout";
    this.#settle(trial, { outcome: "error", errorType, wasUnsent: neverSent(error) }, failure.message);
    if (isInnerNo(error)) throw failure;
    return { kind: "failed", detail: failure.message, verdict: "failed", response: null, error: failure };
  }

  async #broken(origin: unknown): Promise<Error> {
    return answerBroken(await this.#input.door.errorBase(), this.flag, origin);
  }

  #noModel(): Promise<Error> {
    const decision = this.#input.host.decide(this.flag, this.context);
    return featureDisabled(this.#input.door, { ...decision, enabled: false, reason: "NO_MODEL" });
  }

  #bodyFor(choice: ModelChoice): string | null {
    const { body, door, request, fitting } = this.#input;
    const changed = bodyFor(body, choice, fitting);
    if (changed === null) return null;
    // Only a body that changes is parsed: what is sent may have been edited by other middleware.
    const sent = body === door.body ? parseObject(request.body) : null;
    return JSON.stringify(sent === null ? changed : (bodyFor(sent, choice, fitting) ?? sent));
  }

  #limitHeaders(attempt: Attempt): NodeJS.Timeout | null {
    const sdkTimeoutMs = this.#input.door.timeoutMs;
    if (sdkTimeoutMs === undefined) return null;
    const limitMs = sdkTimeoutMs * SHARE_OF_SDK_TIMEOUT;
    return setTimeout(() => attempt.stop({ kind: "limit", name: "attempt limit", limitMs }), limitMs);
  }

  #begin(nowMs: number): void {
    const { request, options, pass } = this.#input;
    this.#inFlight.enter(this);
    if (request.signal?.aborted === true) this.#onAbort();
    else request.signal?.addEventListener("abort", this.#onAbort, { once: true });
    const limitMs = options.deadlineMs;
    if (limitMs === undefined) return;
    const leftMs = pass.startedMs + limitMs - nowMs;
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
    this.#input.request.signal?.removeEventListener("abort", this.#onAbort);
    this.#inFlight.leave(this);
  }

  #clearDeadline(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = null;
  }

  #giveUp(choice: ModelChoice, result: Extract<Result, { kind: "failed" }>): void {
    const { flag } = this;
    this.#input.host.logger.warn({ flag, model: choice.model, why: result.detail }, "next model");
    if (result.response !== null) this.#discard(result.response);
  }

  #discard(response: Response): void {
    response.body?.cancel().catch((error: unknown) => {
      this.#input.host.logger.debug({ flag: this.flag, error }, "an unused answer had failed");
    });
  }

  #logOutOfMoney(response: Response): void {
    const fields = { flag: this.flag, status: response.status };
    this.#input.host.logger.error(fields, "the account's spend limit is reached: no retry");
  }

  /** Of an attempt that was answered, or failed, before any content was passed on. */
  #settleResult(trial: Trial, result: Result): void {
    const { response } = result;
    if (response === null) this.#settle(trial, { outcome: "error", errorType: "answer_broken" }, result.detail);
    else if (!response.ok) {
      this.#settle(trial, { outcome: "error", errorType: errorTypeOf(response.status) }, `status ${response.status}`);
    } else {
      // A stream that ended before content has said why in an event.
      const errorType = trial.meter.streamError;
      this.#settle(trial, { outcome: errorType === null ? "ok" : "error", errorType }, `status ${response.status}`);
    }
  }

  #settle({ choice, meter }: Trial, how: AttemptEnd, detail: string): void {
    const attempt = this.#input.pass.attempts;
    const outcome = { flag: this.flag, model: choice.model, attempt, outcome: how.outcome, detail };
    try {
      this.#input.settled(outcome, meter.end(how));
    } catch (error) {
      // A call must not fail because it could not be measured; money that is not counted must be seen.
      this.#input.host.logger.error({ ...outcome, err: error }, "What a call used could not be reported");
    }
  }
}

function passThrough(result: Extract<Result, { kind: "failed" }>): Response {
  if (result.response === null) throw result.error;
  return result.response;
}
