/**
 * What is told of one call: a line through the application's logger, and attributes on its span. Invariants: told once,
 * when the call is over; no content, unless the caller gives a scrubber for it.
 */
import type { AttemptOutcome } from "./call-input.ts";
import type { Door } from "./door.ts";
import type { GuardHost, UsageDraft } from "../guard-host.ts";
import { priceUsage } from "../pricing/price.ts";
import { findPriceRow } from "../pricing/price-table.ts";
import { pricedModels } from "./priced-models.ts";
import { addUsage } from "../pricing/usage.ts";
import type { Body, Subject } from "./request.ts";
import { fail, type SpanAttributes, type SpanLike, type Tracing, tracingOf } from "./spans.ts";
import { systemHash } from "./system-hash.ts";
import type { GuardOptions } from "./types.ts";
import type { Decision } from "../wire/protocol.ts";
import { NO_USAGE, type TokenUsage } from "../wire/usage-protocol.ts";

/** One line of the log. Times in milliseconds, `costNanoUsd` in 1e-9 USD; what is not known is not there. */
export interface CallLine {
  flag: string;
  /** Reason of the decision: `ON`, `KILLED`, … */
  decision: string;
  revision?: string;
  requestedModel: string;
  /** The model of the last attempt. */
  model?: string;
  /** `off`: refused by the guard, nothing was sent. */
  outcome: "ok" | "refused" | "error" | "aborted" | "off";
  stream: boolean;
  /** Attempts of this call so far, counted across retries of the SDK. */
  attempts: number;
  /** Of all attempts together. */
  tokens?: TokenUsage;
  costNanoUsd?: number;
  /** False: some of it is an estimate. */
  exact?: boolean;
  latencyMs: number;
  firstTokenMs?: number;
  stopReason?: string;
  status?: number;
  requestId?: string;
  /** What kind of failure, as in the record of usage. */
  errorType?: string;
  /** `code`, or else the name, of the error that the caller gets. */
  errorClass?: string;
  user?: string;
  session?: string;
  correlationId?: string;
  systemHash?: string;
  /** What the scrubber of `logContent` made of the request. */
  content?: unknown;
}

export interface LineInput {
  host: GuardHost;
  options: GuardOptions;
  door: Door;
  subject: Subject;
  body: Body;
  model: string;
  stream: boolean;
  decision: Decision;
  startedMs: number;
}

export class CallTelling {
  readonly #input: LineInput;
  readonly #tracing: Tracing;
  readonly #used: UsageDraft[] = [];
  #last: UsageDraft | null = null;
  #attempts = 0;
  #settled = 0;
  /** What the caller got, and whether a stream still runs. */
  #returned: { error: unknown } | null = null;
  #isTold = false;

  /** Null where nobody listens: neither a span nor a line is put together then. */
  static of(input: LineInput): CallTelling | null {
    const tracing = tracingOf(input.door, input.model);
    const isTraced = tracing.span !== null || tracing.make !== null;
    return isTraced || input.host.logger.isLevelEnabled?.("info") !== false ? new CallTelling(input, tracing) : null;
  }

  private constructor(input: LineInput, tracing: Tracing) {
    this.#input = input;
    this.#tracing = tracing;
    // At once: the SDK ends its span of a stream that is left before the guard knows what it used.
    this.#tracing.span?.setAttributes(this.#beginning());
  }

  /** An attempt has ended. */
  settled({ attempt }: AttemptOutcome, used: readonly UsageDraft[]): void {
    this.#attempts = attempt;
    this.#settled += 1;
    for (const each of used) this.#used.push(each);
    this.#last = used[0] ?? this.#last;
    if (this.#returned !== null) this.#tell(this.#returned.error);
  }

  /** The caller has its answer or error; `sent` attempts were made for it, of which a stream still runs. */
  returned(error: unknown, sent: number): void {
    this.#returned = { error };
    if (this.#settled >= sent) this.#tell(error);
  }

  /** Refused before anything was sent. */
  off(decision: Decision, error: unknown): void {
    this.#tell(error, decision);
  }

  #tell(error: unknown, off: Decision | null = null): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const { logger } = this.#input.host;
    const { span, make } = this.#tracing;
    const line = this.#line(error, off);
    logger.info(line, "Claude call");
    try {
      span?.setAttributes(ending(line));
      const made = make?.(this.#input.startedMs) ?? null;
      if (made !== null) this.#end(made, line);
    } catch (problem) {
      // Tracing is the application's; a call does not fail by it.
      logger.debug({ err: problem }, "A span could not be told of a call");
    }
  }

  #beginning(): SpanAttributes {
    const { subject, decision } = this.#input;
    const attributes: SpanAttributes = { "andon.flag": subject.flag, "andon.decision": decision.reason };
    if (decision.revision !== null) attributes["andon.revision"] = decision.revision;
    if (decision.level > 0) attributes["andon.level"] = decision.level;
    const { session } = subject.context;
    if (typeof session === "string") attributes["gen_ai.conversation.id"] = session;
    return attributes;
  }

  #end(span: SpanLike, line: CallLine): void {
    span.setAttributes(this.#beginning());
    span.setAttributes(ending(line));
    span.setAttributes(genAi(line));
    if (line.outcome !== "ok" && line.outcome !== "refused") {
      fail(span, line.errorType ?? line.errorClass ?? line.outcome);
    }
    span.end();
  }

  #line(error: unknown, off: Decision | null): CallLine {
    const { options, subject, body, model, stream, decision, startedMs } = this.#input;
    const last = this.#last;
    const line: CallLine = {
      flag: subject.flag,
      decision: (off ?? decision).reason,
      requestedModel: model,
      outcome: off === null ? outcomeOf(last, error) : "off",
      stream,
      attempts: this.#attempts,
      latencyMs: Math.round(performance.now() - startedMs),
    };
    if (decision.revision !== null) line.revision = decision.revision;
    if (last !== null) {
      line.model = last.model;
      // Most calls have used one thing.
      line.tokens =
        this.#used.length === 1 ? last.usage : this.#used.reduce((sum, { usage }) => addUsage(sum, usage), NO_USAGE);
      line.costNanoUsd = this.#cost();
      line.exact = this.#used.every(({ exact }) => exact);
      copyTexts(last, line);
    }
    const { targetingKey, session } = subject.context;
    if (typeof targetingKey === "string") line.user ??= targetingKey;
    if (typeof session === "string") line.session ??= session;
    const hash = line.systemHash ?? systemHash(body["system"]);
    if (hash !== undefined) line.systemHash = hash;
    if (error !== null) line.errorClass = classOf(error);
    if (options.logContent !== undefined) line.content = this.#scrubbed(options.logContent);
    return line;
  }

  #cost(): number {
    const models = pricedModels(this.#input.host);
    const table = models.prices();
    const atMs = Date.now();
    return this.#used.reduce((sum, { usage, batch, fast, geo, model }) => {
      const id = findPriceRow(table, model, atMs) === null ? models.nameOf(model) : model;
      const price = priceUsage(table, {
        model: id,
        atMs,
        usage,
        batch: batch === true,
        fast: fast === true,
        geo: geo ?? null,
      });
      return sum + price.costNanoUsd;
    }, 0);
  }

  #scrubbed(scrub: (content: { system: unknown; messages: unknown }) => unknown): unknown {
    const { system, messages } = this.#input.body;
    try {
      return scrub({ system, messages });
    } catch (problem) {
      // Content that could not be scrubbed is not told.
      this.#input.host.logger.error({ err: problem }, "The scrubber of logContent throws; content is left out");
      return undefined;
    }
  }
}

function ending(line: CallLine): SpanAttributes {
  const attributes: SpanAttributes = {
    "andon.decision": line.decision,
    "andon.outcome": line.outcome,
    "andon.attempts": line.attempts,
  };
  if (line.model !== undefined) attributes["andon.model"] = line.model;
  if (line.costNanoUsd !== undefined) attributes["andon.cost_nano_usd"] = line.costNanoUsd;
  if (line.systemHash !== undefined) attributes["andon.system_hash"] = line.systemHash;
  return attributes;
}

/** What the SDK's own span says, by the same names, for calls that have none. */
function genAi(line: CallLine): SpanAttributes {
  const attributes: SpanAttributes = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": line.requestedModel,
  };
  if (line.model !== undefined) attributes["gen_ai.response.model"] = line.model;
  if (line.stopReason !== undefined) attributes["gen_ai.response.finish_reasons"] = [line.stopReason];
  if (line.status !== undefined) attributes["http.response.status_code"] = line.status;
  if (line.tokens === undefined) return attributes;
  const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = line.tokens;
  attributes["gen_ai.usage.input_tokens"] = input + cacheRead + cacheWrite5m + cacheWrite1h;
  attributes["gen_ai.usage.output_tokens"] = output;
  return attributes;
}

const TEXTS = ["stopReason", "errorType", "requestId", "user", "session", "correlationId", "systemHash"] as const;

function copyTexts(from: UsageDraft, to: CallLine): void {
  for (const name of TEXTS) {
    const text = from[name];
    if (text !== undefined) to[name] = text;
  }
  if (from.status !== undefined) to.status = from.status;
  if (from.firstTokenMs !== undefined) to.firstTokenMs = from.firstTokenMs;
}

function outcomeOf(last: UsageDraft | null, error: unknown): CallLine["outcome"] {
  if (last === null) return "error";
  return error !== null && last.outcome === "ok" ? "error" : last.outcome;
}

function classOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
