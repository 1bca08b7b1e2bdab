/**
 * One attempt of a call at one model: what is sent, what comes back, and what that means. Invariants: its outcome is
 * settled exactly once, a stream's at its end; whatever it waits for, a stop of its {@link Attempt} ends it.
 */
import { asFailure, readBounded, rebuilt, withoutRetry } from "./answers.ts";
import { Attempt, type Stop, Stopped } from "./attempt.ts";
import { bodyFor, isOnlyRenamed } from "./body.ts";
import { type Buffered, buffered } from "./buffered.ts";
import type { CallInput } from "./call-input.ts";
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import type { Deposit } from "./leases/deposit.ts";
import { aborted, answerBroken, asError, attemptTimedOut, errorOfStop } from "./errors.ts";
import { type ApiError, errorIn, errorTypeOf, judgeError, neverSent, readError, type Verdict } from "./failures.ts";
import { findFeatureDisabled } from "../feature-disabled-error.ts";
import { type AttemptEnd, AttemptMeter, endOfStream } from "./meter.ts";
import { isInnerNo } from "./nesting.ts";
import { type Failure, noteFailure } from "./pass.ts";
import { heldOnly, openStream, passOn, type StreamEnd } from "./stream.ts";
import { withModelNamed } from "./request.ts";
import { StreamUsage } from "./stream-usage.ts";
import { lowerTo } from "./starting.ts";
import { parseObject } from "../wire/json.ts";
import { StreamWriters } from "./writers.ts";

/** The guard's limit for the wait for headers leaves the SDK's own timeout this share, or no next model could be sent. */
const SHARE_OF_SDK_TIMEOUT = 0.95;

/** What an attempt came to: an answer for the caller, or a failure that another model may mend. */
export type Result =
  | { kind: "answer"; response: Response }
  | { kind: "failed"; verdict: Exclude<Verdict, "answer">; detail: string; failure: Failure };

export interface TrialInput {
  call: CallInput;
  choice: ModelChoice;
  /** What is set aside for it; null while no budget reserves. */
  deposit: Deposit | null;
  /** No other model is left. */
  isLast: boolean;
  /** Its failures are the SDK's to retry: there is no other model, and never was. */
  isAlone: boolean;
  /** Who hears of the answer's stream. */
  owner: StreamOwner;
}

export interface StreamOwner {
  /** A stream is passed on, and goes on after {@link Trial.run}. */
  onStream(): void;
  /** That stream has ended, however. */
  onStreamEnd(): void;
}

export class Trial {
  readonly attempt = new Attempt();
  readonly #input: TrialInput;
  readonly #meter: AttemptMeter;
  readonly #startedMs = performance.now();
  readonly #number: number;
  /** Of the wait for headers. */
  #waitTimer: NodeJS.Timeout | null = null;
  #isChanged = false;
  #isStreaming = false;
  /** What the record calls the error, where its status does not say. */
  #errorType: string | null = null;

  constructor(input: TrialInput) {
    this.#input = input;
    const { pass } = input.call;
    pass.attempts += 1;
    this.#number = pass.attempts;
    this.#meter = new AttemptMeter(input.call, input.choice, this.#number);
    if (input.deposit === null) return;
    this.#meter.counted(input.deposit.sent.counted);
    input.call.subject.layer.deposit = input.deposit;
  }

  /** Sends it. Rejects with {@link Stopped} when the call is over, and with the no of a guard inside. */
  async run(): Promise<Result> {
    const { options, stream } = this.#input.call;
    this.attempt.limit("attempt limit", options.attemptTimeoutMs);
    if (stream) this.attempt.limit("first token limit", options.firstTokenTimeoutMs);
    try {
      const result = await this.#exchange();
      if (!this.#isStreaming) this.#settleResult(result);
      return result;
    } catch (error) {
      return this.#failed(error);
    } finally {
      this.#clearWait();
      this.attempt.clearLimits();
    }
  }

  /** Reads the answer, a stream's only until its content begins. */
  async #exchange(): Promise<Result> {
    const received = await this.#receive();
    this.#clearWait();
    this.#meter.received(received);
    const { pacer, host } = this.#input.call;
    pacer?.note(host.models.nameOf(this.#input.choice.model), received.headers, performance.now(), Date.now());
    if (!received.ok) {
      const text = await this.attempt.wait(readBounded(received));
      return this.#judged(rebuilt(received, text), readError(text));
    }
    try {
      const isJson = received.headers.get("content-type")?.includes("json") === true;
      return this.#input.call.stream && received.body !== null && !isJson
        ? await this.#openStream(received, received.body)
        : this.#readWhole(await this.attempt.wait(buffered(received)));
    } catch (error) {
      if (error instanceof Stopped || isInnerNo(error)) throw error;
      this.#count(false);
      return this.#broken(error);
    }
  }

  #receive(): Promise<Response> {
    const { call, choice, isLast } = this.#input;
    const body = this.#body();
    this.#isChanged = choice.replaced || (body !== null && choice.step !== null);
    this.#meter.changed(body);
    const sent = call.send(this.attempt.signal, body);
    const { timeoutMs } = call.door;
    if (timeoutMs !== undefined && !isLast) {
      const limitMs = timeoutMs * SHARE_OF_SDK_TIMEOUT;
      const stop = (): void => this.attempt.stop({ kind: "limit", name: "attempt limit", limitMs });
      this.#waitTimer = setTimeout(stop, limitMs);
    }
    return this.attempt.wait(sent, (late) => this.#discard(late));
  }

  #clearWait(): void {
    if (this.#waitTimer !== null) clearTimeout(this.#waitTimer);
    this.#waitTimer = null;
  }

  #readWhole({ response, message, text }: Buffered): Result {
    const error = errorIn(message);
    if (error !== null) return this.#judged(asFailure(response, error, text), error);
    this.#meter.answered(message, text);
    if (message === null) throw new Error("it is not JSON");
    if (this.#input.call.stream) throw new Error("it is not a stream");
    const { writers, models } = this.#input.call.fitting;
    writers.noteAnswer(message, models.nameOf);
    this.#succeeded();
    return this.#answered(response, message["stop_reason"]);
  }

  async #openStream(response: Response, body: ReadableStream<Uint8Array>): Promise<Result> {
    const { attempt } = this;
    const { idleTimeoutMs, bufferStreams } = this.#input.call.options;
    const { writers, models } = this.#input.call.fitting;
    const usage = new StreamUsage(new StreamWriters(writers, models.nameOf));
    this.#meter.streaming(usage);
    const onContent = (): void => {
      attempt.clearLimit("first token limit");
      this.#meter.firstToken();
    };
    const opening = await openStream(body, { attempt, idleTimeoutMs, usage, whole: bufferStreams === true, onContent });
    if (opening.error !== null) {
      await opening.reader.cancel();
      const error = readError(opening.error);
      return this.#judged(asFailure(response, error, opening.error), error);
    }
    this.#succeeded();
    this.#input.deposit?.promptTold(usage.usage);
    const { start } = this.#input.call;
    if (start !== null) lowerTo(start, usage, { call: this.#input.call, choice: this.#input.choice });
    const { isOver, hasContent } = opening.progress;
    if (isOver && (bufferStreams === true || !hasContent) && this.#fallsBackOn(usage.stopReason)) {
      return this.#answered(await heldOnly(response, opening), usage.stopReason);
    }
    this.#isStreaming = true;
    this.#input.owner.onStream();
    const onEnd = (end: StreamEnd): Promise<Error | null> => this.#endStream(usage, end);
    const onErrorEvent = (): Promise<Error> | null =>
      this.#input.call.door.throwsErrorEvents ? null : this.#brokenBy("the API reported an error in it");
    const passed = passOn(response, { opening, attempt, idleTimeoutMs, onEnd, onErrorEvent });
    return { kind: "answer", response: passed };
  }

  async #endStream(usage: StreamUsage, end: StreamEnd): Promise<Error | null> {
    this.#input.owner.onStreamEnd();
    const { how, detail } = endOfStream(usage, end);
    this.#settle(how, detail);
    if (end.kind === "complete") return null;
    if (end.kind === "broken") {
      if (isInnerNo(end.error)) return asError(end.error);
      this.#count(false);
      return this.#brokenBy(end.error);
    }
    if (end.stop.kind !== "limit") return errorOfStop(this.#input.call.door, this.#flag, end.stop);
    this.#count(true);
    return this.#brokenBy(`${end.stop.name} of ${end.stop.limitMs} ms`);
  }

  #answered(response: Response, stopReason: unknown): Result {
    if (!this.#fallsBackOn(stopReason)) return { kind: "answer", response };
    return { kind: "failed", verdict: "refused", detail: "it declined to answer", failure: { response, error: null } };
  }

  #fallsBackOn(stopReason: unknown): boolean {
    const { call, isLast } = this.#input;
    return call.options.fallbackOnRefusal === true && !isLast && stopReason === "refusal";
  }

  /** An error of the API, with its body to be read. */
  #judged(response: Response, error: ApiError): Result {
    const { choice } = this.#input;
    const verdict = judgeError(response.status, error, { model: choice.model, isChanged: this.#isChanged });
    if (verdict === "failed") this.#count(false);
    if (verdict === "outOfMoney") this.#errorType = "billing_error";
    // A 403 may also be about a model, or about what the key may do: this one is about the key.
    else if (verdict === "revoked") this.#errorType = "authentication_error";
    else if (response.status === 402) this.#errorType = error.code;
    if (verdict !== "answer") {
      return { kind: "failed", verdict, detail: `status ${response.status}`, failure: { response, error: null } };
    }
    const saysAgain = response.headers.get("x-should-retry") === "true";
    return { kind: "answer", response: saysAgain ? withoutRetry(response) : response };
  }

  async #broken(origin: unknown): Promise<Result> {
    const error = await this.#brokenBy(origin);
    const detail = `it broke off: ${asError(origin).message}`;
    return { kind: "failed", verdict: "failed", detail, failure: { response: null, error } };
  }

  async #brokenBy(origin: unknown): Promise<Error> {
    return answerBroken(await this.#input.call.door.errorBase(), this.#flag, origin);
  }

  /** Sorts an error thrown by the attempt: rethrows what ends the call, returns what the next model may mend. */
  #failed(error: unknown): Result {
    const stop = error instanceof Stopped ? error.stop : this.attempt.stopped;
    if (stop !== null && stop.kind !== "limit") {
      this.#settle({ outcome: "aborted", errorType: stop.kind }, stop.kind);
      this.#countStop(stop);
      throw new Stopped(stop);
    }
    const thrown = stop === null ? asError(error) : attemptTimedOut(stop.name, stop.limitMs);
    const errorType = stop === null ? "connection_error" : "timeout";
    const unsent = neverSent(error);
    this.#settle({ outcome: "error", errorType, usedNothing: unsent !== null }, thrown.message);
    if (isInnerNo(error)) throw thrown;
    const isOurs = findFeatureDisabled(error) !== null;
    // A network that does not reach the provider says nothing about it.
    if (!isOurs && (unsent === null || unsent === "ECONNREFUSED")) this.#count(stop !== null);
    const verdict = isOurs ? "unusable" : "failed";
    return { kind: "failed", verdict, detail: thrown.message, failure: { response: null, error: thrown } };
  }

  /** A call may also end because its model hung: at the SDK's own timeout, or at the deadline. */
  #countStop(stop: Stop): void {
    const { call, choice, isAlone } = this.#input;
    if (stop.kind === "deadline") {
      // Earlier attempts may have used up most of the time.
      if (performance.now() - this.#startedMs > stop.limitMs / 2) this.#count(true);
    } else if (stop.kind === "aborted" && !call.door.isCallerGone()) {
      this.#count(true);
      // The SDK's retry of this call goes on with the next model.
      const failure = { response: null, error: aborted() };
      if (!isAlone) noteFailure(call.pass, choice.model, call.host.models, failure);
    }
  }

  #count(isHang: boolean): void {
    const { call, choice } = this.#input;
    const failure = { startedMs: this.#startedMs, nowMs: performance.now(), isHang };
    if (!call.breakers.failed(choice.model, failure)) return;
    const fields = { flag: this.#flag, model: choice.model };
    call.host.logger.warn(
      fields,
      "a model that keeps failing is left out where there is another; single calls probe it",
    );
  }

  #succeeded(): void {
    const { breakers, accounts, request } = this.#input.call;
    breakers.succeeded(this.#input.choice.model, performance.now());
    if (accounts.hasOut) accounts.answered(request, this.#startedMs);
  }

  /** The encoded body to send; null when the request's own stands. */
  #body(): string | null {
    const { call, choice } = this.#input;
    const { body, door, request, fitting } = call;
    const changed = bodyFor(body, choice, fitting);
    if (changed === null) return null;
    // Only a body that changes is parsed: what is sent may have been edited by other middleware.
    const sent = body === door.body ? parseObject(request.body) : null;
    if (sent === null && isOnlyRenamed(body, changed)) {
      const named = withModelNamed(request.body, String(body["model"]), choice.model);
      if (named !== null) return named;
    }
    return JSON.stringify(sent === null ? changed : (bodyFor(sent, choice, fitting) ?? sent));
  }

  #discard(response: Response): void {
    response.body?.cancel().catch((error: unknown) => {
      this.#input.call.host.logger.debug({ flag: this.#flag, error }, "an unused answer had failed");
    });
  }

  get #flag(): string {
    return this.#input.call.subject.flag;
  }

  /** Of an attempt that was answered, or failed, before any content was passed on. */
  #settleResult(result: Result): void {
    const response = result.kind === "answer" ? result.response : result.failure.response;
    if (response === null) {
      const detail = result.kind === "failed" ? result.detail : "";
      this.#settle({ outcome: "error", errorType: "answer_broken" }, detail);
    } else {
      const { ok, status } = response;
      const errorType = ok ? null : (this.#errorType ?? this.#meter.streamError ?? errorTypeOf(status));
      this.#settle(
        { outcome: ok ? "ok" : "error", errorType, usedNothing: !ok && !this.#meter.hasBegun },
        `status ${status}`,
      );
    }
  }

  #settle(how: AttemptEnd, detail: string): void {
    const { call, choice, deposit } = this.#input;
    const outcome = { flag: this.#flag, model: choice.model, attempt: this.#number, outcome: how.outcome, detail };
    try {
      const used = this.#meter.end(how);
      // A guard inside has set money aside for it.
      if (call.subject.layer.isTaken) deposit?.cancel();
      else deposit?.settle(used, how.usedNothing !== true && this.#meter.isUntold);
      call.settled(outcome, used);
    } catch (error) {
      deposit?.settleAtWorst();
      // A call must not fail because it could not be measured; money that is not counted must be seen.
      call.host.logger.error({ ...outcome, err: error }, "What a call used could not be reported");
    }
  }
}
