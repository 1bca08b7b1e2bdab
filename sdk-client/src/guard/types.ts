/**
 * The part of `@anthropic-ai/sdk`'s middleware interface that the guard uses, in its own words: the shapes are the same
 * in 0.103 to 1.x, so one guard fits every one of them, and the package needs no SDK to be installed.
 */
import type { EvaluationContext } from "../wire/protocol.ts";

export interface RequestLike {
  url: string;
  method?: string | undefined;
  headers: Headers;
  body?: unknown;
  signal?: AbortSignal | null | undefined;
}

export interface RequestOptionsLike {
  body?: unknown;
  stream?: boolean | undefined;
  signal?: AbortSignal | null | undefined;
  timeout?: number | undefined;
  path?: string | undefined;
}

export interface MiddlewareContextLike {
  readonly options?: RequestOptionsLike | undefined;
  parse(response: Response): Promise<unknown>;
}

/** Assignable to the SDK's `Middleware`. */
export type GuardMiddleware = <R extends RequestLike>(
  request: R,
  next: (request: R) => Promise<Response>,
  ctx: MiddlewareContextLike,
) => Promise<Response>;

/** A call as its check and its cache see it. */
export interface AnsweredCall {
  flag: string;
  context: EvaluationContext;
  /** The request's body, as the caller asked. */
  body: Readonly<Record<string, unknown>>;
}

/** What the application keeps of answers. */
export interface AnswerCache {
  get(call: AnsweredCall): unknown;
  set?(call: AnsweredCall, message: Record<string, unknown>): unknown;
}

/** Options of `guard`. A limit that is not given does not apply; the SDK's own timeout always does. */
export interface GuardOptions {
  /** Key of the flag; a request's `andon-flag` header overrides it. */
  flag: string;
  /** What to do while nothing is known about the flag. Default `"on"`. */
  onUnknown?: "on" | "off" | undefined;
  /**
   * State older than this, in milliseconds, is fetched before a call is decided: for processes that are frozen between
   * requests. Waits one second at most, once in an outage; then the last known state decides.
   */
  maxStaleMs?: number | undefined;
  /**
   * Limit in milliseconds for all attempts together and the waits between them, until the answer is complete or a stream's
   * content begins.
   */
  deadlineMs?: number | undefined;
  /** The same limit for one attempt; then the next model is tried. */
  attemptTimeoutMs?: number | undefined;
  /** Limit in milliseconds from sending to the first content of a stream; pings do not count as content. */
  firstTokenTimeoutMs?: number | undefined;
  /** Limit in milliseconds between two reads of a stream; pings count as life. */
  idleTimeoutMs?: number | undefined;
  /**
   * Hold every stream back until its answer is complete, so that one that breaks off is asked again of the next model, as a
   * whole, instead of ending in an error. Callers see nothing before the end. Default false.
   */
  bufferStreams?: boolean | undefined;
  /**
   * Leave out models that keep failing, but for probes. False: every call tries the models of its chain in order, whatever came
   * of the last ones; a model that the fleet's breaker has taken out stays out. Default true.
   */
  breaker?: boolean | undefined;
  /** When a model declines to answer (`stop_reason` `refusal`), ask the next one. Default false. */
  fallbackOnRefusal?: boolean | undefined;
  /** On a rate limit (429) go to the next model, as limits are per model. Default true. */
  fallbackOn429?: boolean | undefined;
  /**
   * The cloud's region or `"global"`, where neither the URL nor the model says it: regional endpoints cost a tenth more.
   */
  region?: string | undefined;
  /**
   * Most tokens of one document that requests name by file id or URL, for calls of which the API does not tell the input.
   * Default: the largest window.
   */
  documentTokens?: number | undefined;
  /**
   * Most uses, in one call, of a tool that the API runs by itself and that states no `max_uses`. Without it such calls are
   * refused under a budget that reserves, as nobody can tell what they may cost.
   */
  toolUses?: number | undefined;
  /**
   * For agents: where the call's session has a budget, tell the model how many tokens are left for its task
   * (`output_config.task_budget`), unless the call does: in calls with tools, at models that take it, with the beta header that it needs.
   * It is advice to the model; what stops is the budget. Default false.
   */
  taskBudget?: boolean | undefined;
  /**
   * For work that can wait, such as a nightly job: hold calls back while less than a fifth is left of the model's rate
   * limit, as its last answers told, for five minutes at most; `deadlineMs`, an abort and a kill end the wait. Default false.
   */
  pace?: boolean | undefined;
  /** Most bytes of a request's body, for flags that allow more or say nothing: more is refused. */
  maxInputBytes?: number | undefined;
  /**
   * Looks at each whole answer before the caller gets it; streams only with `bufferStreams`. Anything but `true` or nothing
   * refuses the answer, which was paid for: the caller gets an error with `code` `ANDON_OUTPUT_REFUSED`, or the off message of
   * a flag whose `offMode` is `message`. A string says why, for the log. Two seconds at most; a check that throws refuses.
   */
  checkOutput?: ((message: Record<string, unknown>, call: AnsweredCall) => unknown) | undefined;
  /**
   * Whole answers of before, for when the flag is off or Claude fails: `get` gives a Message or nothing, `set` is told of each
   * that was complete. Two seconds at most each; a cache that fails counts as empty.
   */
  cache?: AnswerCache | undefined;
  /** The text to answer with, as a Message, when the flag is off or Claude fails and the cache has nothing. */
  fallbackMessage?: string | undefined;
  /**
   * What may be told of the content of a request, in the `content` of its log line: whatever this makes of it. Without it no
   * content is ever logged.
   */
  logContent?: ((content: { system: unknown; messages: unknown }) => unknown) | undefined;
  /** Attributes for rules and rollout, for every call of this client. */
  context?: EvaluationContext | undefined;
}
