/**
 * One guarded call: its attempts down the chain, and how it ends. Invariants: it ends exactly once and leaves neither a
 * listener nor a timer nor an entry among the running calls; every attempt's outcome passes `settled`.
 */
import { Attempt, type Stop, Stopped } from "./attempt.ts";
import type { ModelChoice } from "./chain-plan.ts";
import { bodyFor } from "./guard-body.ts";
import { buffered } from "./guard-buffered.ts";
import {
  aborted,
  answerBroken,
  attemptTimedOut,
  deadlinePassed,
  featureDisabled,
  sdkErrorBase,
} from "./guard-errors.ts";
import { judge, type Verdict, withoutRetry } from "./guard-failures.ts";
import type { GuardHost } from "./guard-host.ts";
import { type InFlight, inFlightOf, type RunningCall } from "./guard-in-flight.ts";
import { hasFailed, noteFailure, type Pass } from "./guard-pass.ts";
import { type Body, parseBody, type Subject } from "./guard-request.ts";
import { errorOnly, openStream, passOn, type StreamEnd } from "./guard-stream.ts";
import type { GuardOptions, MiddlewareContextLike, RequestLike } from "./guard-types.ts";
import type { Decision, EvaluationContext } from "./protocol.ts";

/** The guard's limit for the wait for headers leaves the SDK's own timeout this share, or no next model could be sent. */
const SHARE_OF_SDK_TIMEOUT = 0.95;

/** How one attempt ended: the seam for usage records and breakers. */
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
  ctx: MiddlewareContextLike;
  request: RequestLike;
  /** Sends the request with this signal, and with this body unless null. */
  send(signal: AbortSignal, body: string | null): Promise<Response>;
  subject: Subject;
  body: Body | null;
  stream: boolean;
  pass: Pass;
  settled(outcome: AttemptOutcome): void;
}

/** What an attempt came to: an answer for the caller, or a failure another model may mend. */
type Result =
  | { kind: "answer"; response: Response }
  | { kind: "failed"; detail: string; verdict: Verdict; response: Response }
  | { kind: "failed"; detail: string; verdict: Verdict; response: null; error: Error };

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
      if (error instanceof Stopped) throw await this.#errorOf(error.stop);
      throw error;
    } finally {
      // A stream goes on after this; its end ends the call.
      if (!this.#isStreaming) this.#end();
    }
  }

  async #tryAll(choices: readonly ModelChoice[]): Promise<Response> {
    const { pass, options } = this.#input;
    const fresh = choices.filter((choice) => !hasFailed(pass, choice.model));
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
      noteFailure(pass, choice.model, result.response === null ? result.error : null);
      if (isLast) return result.response === null ? passThrough(result) : withoutRetry(result.response);
      this.#giveUp(choice, result);
    }
    if (pass.lastError !== null) throw pass.lastError;
    throw await this.#noModel();
  }

  async #try(choice: ModelChoice, isLast: boolean): Promise<Result> {
    const { options, pass } = this.#input;
    const attempt = new Attempt();
    this.#attempt = attempt;
    pass.attempts += 1;
    attempt.limit("attempt limit", options.attemptTimeoutMs);
    if (this.#input.stream) attempt.limit("first token limit", options.firstTokenTimeoutMs);
    try {
      const result = await this.#exchange(attempt, choice, isLast);
      if (result.kind === "failed") this.#settle(choice, "error", result.detail);
      else if (!this.#isStreaming) {
        this.#settle(choice, result.response.ok ? "ok" : "error", `status ${result.response.status}`);
      }
      return result;
    } catch (error) {
      return this.#failure(error, choice, attempt);
    } finally {
      attempt.clearLimits();
    }
  }

  /** Sends the request and reads the answer, a stream's only until its content begins. */
  async #exchange(attempt: Attempt, choice: ModelChoice, isLast: boolean): Promise<Result> {
    const sent = this.#input.send(attempt.signal, this.#bodyFor(choice));
    const headersTimer = isLast ? null : this.#limitHeaders(attempt);
    let received: Response;
    try {
      received = await attempt.wait(sent, (late) => this.#discard(late));
    } finally {
      if (headersTimer !== null) clearTimeout(headersTimer);
    }
    if (!received.ok) {
      const { verdict, response } = await attempt.wait(judge(received));
      if (verdict === "outOfMoney") this.#logOutOfMoney(response);
      if (verdict === "answer" || verdict === "outOfMoney") return { kind: "answer", response };
      return { kind: "failed", detail: `status ${response.status}`, verdict, response };
    }
    if (received.body === null) return { kind: "answer", response: received };
    try {
      return this.#input.stream
        ? await this.#openStream(received, received.body, attempt, choice)
        : { kind: "answer", response: buffered(received, await attempt.wait(received.arrayBuffer())) };
    } catch (error) {
      if (error instanceof Stopped) throw error;
      const broken = answerBroken(await sdkErrorBase(this.#input.ctx), this.flag, error);
      return { kind: "failed", detail: broken.message, verdict: "failed", response: null, error: broken };
    }
  }

  async #openStream(
    response: Response,
    body: ReadableStream<Uint8Array>,
    attempt: Attempt,
    choice: ModelChoice,
  ): Promise<Result> {
    const idleTimeoutMs = this.#input.options.idleTimeoutMs;
    const opening = await openStream(body, attempt, idleTimeoutMs);
    const verdict = opening.error;
    if (verdict !== null) {
      const told = await errorOnly(response, opening);
      if (verdict === "answer" || verdict === "outOfMoney") return { kind: "answer", response: told };
      return { kind: "failed", detail: "an error event before content", verdict, response: told };
    }
    this.#clearDeadline();
    this.#isStreaming = true;
    const onEnd = (end: StreamEnd): Promise<Error | null> => this.#endStream(choice, end);
    const passed = passOn(response, { opening, attempt, idleTimeoutMs, onEnd });
    return { kind: "answer", response: passed };
  }

  async #endStream(choice: ModelChoice, end: StreamEnd): Promise<Error | null> {
    this.#end();
    switch (end.kind) {
      case "complete":
        this.#settle(choice, "ok", "complete");
        return null;
      case "stopped":
        this.#settle(choice, "aborted", end.stop.kind);
        if (end.stop.kind !== "limit") return this.#errorOf(end.stop);
        return this.#broken(`${end.stop.name} of ${end.stop.limitMs} ms`);
      case "broken":
        this.#settle(choice, "error", "broken off");
        return this.#broken(end.error);
    }
  }

  /** Sorts an error thrown by an attempt: rethrows what ends the call, returns what the next model may mend. */
  #failure(error: unknown, choice: ModelChoice, attempt: Attempt): Result {
    const { ctx, pass } = this.#input;
    const stop = error instanceof Stopped ? error.stop : attempt.stopped;
    if (stop !== null && stop.kind !== "limit") {
      this.#settle(choice, "aborted", stop.kind);
      // The SDK's own timeout: its retry of this call goes on with the next model.
      const isTimeout = stop.kind === "aborted" && ctx.options?.signal?.aborted !== true;
      if (isTimeout && !this.#isAlone) noteFailure(pass, choice.model, aborted());
      throw new Stopped(stop);
    }
    const failure = stop === null ? asError(error) : attemptTimedOut(stop.name, stop.limitMs);
    this.#settle(choice, "error", failure.message);
    return { kind: "failed", detail: failure.message, verdict: "failed", response: null, error: failure };
  }

  async #errorOf(stop: Stop): Promise<Error> {
    switch (stop.kind) {
      case "killed":
        return featureDisabled(this.#input.ctx, stop.decision);
      case "aborted":
        return aborted();
      case "deadline":
        return deadlinePassed(await sdkErrorBase(this.#input.ctx), this.flag, stop.limitMs);
      case "limit":
        return attemptTimedOut(stop.name, stop.limitMs);
    }
  }

  async #broken(origin: unknown): Promise<Error> {
    return answerBroken(await sdkErrorBase(this.#input.ctx), this.flag, origin);
  }

  #noModel(): Promise<Error> {
    const decision = this.#input.host.evaluate(this.flag, this.context);
    return featureDisabled(this.#input.ctx, { ...decision, enabled: false, reason: "NO_MODEL" });
  }

  #bodyFor(choice: ModelChoice): string | null {
    const { body, request } = this.#input;
    if (body === null || (choice.step === null && !choice.replaced)) return null;
    // Only a body that changes is parsed: what is sent may have been edited by other middleware.
    return bodyFor(body, choice) === null ? null : bodyFor(parseBody(request.body) ?? body, choice);
  }

  #limitHeaders(attempt: Attempt): NodeJS.Timeout | null {
    const sdkTimeoutMs = this.#input.ctx.options?.timeout;
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

  #settle(choice: ModelChoice, outcome: AttemptOutcome["outcome"], detail: string): void {
    const attempt = this.#input.pass.attempts;
    this.#input.settled({ flag: this.flag, model: choice.model, attempt, outcome, detail });
  }
}

function passThrough(result: Extract<Result, { kind: "failed" }>): Response {
  if (result.response === null) throw result.error;
  return result.response;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
