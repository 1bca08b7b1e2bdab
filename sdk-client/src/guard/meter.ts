/**
 * What one attempt of a guarded call used, from whatever was seen of it. Invariant: an attempt that may have cost
 * something is never reported as free, and only the API's own final usage is reported as exact.
 */
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import type { Body, Subject } from "./request.ts";
import { isObject } from "../wire/json.ts";
import type { StreamEnd } from "./stream.ts";
import type { RequestLike } from "./types.ts";
import type { Revision } from "../wire/revision.ts";
import { promptBound } from "./prompt-bound.ts";
import { type StreamUsage, tokensOf } from "./stream-usage.ts";
import { systemHash } from "./system-hash.ts";
import { addUsage, readUsage, type UsagePart } from "../pricing/usage.ts";
import { NO_USAGE } from "../wire/usage-protocol.ts";
import type { UsageDraft } from "../guard-host.ts";

/** What was sent, and for whom. */
export interface Sent {
  subject: Subject;
  request: RequestLike;
  /** The body as the caller gave it. */
  body: Body;
  choice: ModelChoice;
  /** What the call was decided by; null without any state. */
  revision: Revision | null;
  /** 1 for the call's first attempt. */
  attempt: number;
}

export interface AttemptEnd {
  outcome: "ok" | "error" | "aborted";
  /** What kind of failure; null for an answer. */
  errorType: string | null;
  /** True when the API surely did no work: the request never reached it, or it answered with an error instead. */
  usedNothing?: boolean;
}

/** How a stream that had begun came to its end, for its record and for a log line. */
export function endOfStream(usage: StreamUsage, end: StreamEnd): { how: AttemptEnd; detail: string } {
  if (end.kind === "broken") return { how: { outcome: "error", errorType: "answer_broken" }, detail: "broken off" };
  if (end.kind === "stopped") {
    const { kind } = end.stop;
    if (kind === "limit") return { how: { outcome: "error", errorType: "timeout" }, detail: end.stop.name };
    return { how: { outcome: "aborted", errorType: kind }, detail: kind };
  }
  // The API may say in an event, after content, that it cannot go on.
  const { errorType } = usage;
  return errorType === null
    ? { how: { outcome: "ok", errorType }, detail: "complete" }
    : { how: { outcome: "error", errorType }, detail: "an error event after content" };
}

export class AttemptMeter {
  readonly #sent: Sent;
  readonly #startedMs = performance.now();
  #response: Response | null = null;
  #firstTokenMs: number | null = null;
  /** The encoded body, when it is not the request's own. */
  #changedBody: string | null = null;
  #answer: { message: Body | null; text: string } | null = null;
  #stream: StreamUsage | null = null;

  constructor(sent: Sent) {
    this.#sent = sent;
  }

  /** Another body is sent than the request's own. */
  changed(encoded: string | null): void {
    this.#changedBody = encoded;
  }

  received(response: Response): void {
    this.#response = response;
  }

  /** A whole answer; `message` is null when it is not JSON. */
  answered(message: Body | null, text: string): void {
    this.#answer = { message, text };
  }

  /** A stream has begun. */
  streaming(stream: StreamUsage): void {
    this.#stream = stream;
  }

  /** The API has begun to answer: it may bill for that. */
  get hasBegun(): boolean {
    return this.#answer !== null || (this.#stream !== null && this.#stream.usage !== null);
  }

  /** What kind of error the stream has told of; null for none. */
  get streamError(): string | null {
    return this.#stream?.errorType ?? null;
  }

  /** Its first content has been seen. */
  firstToken(): void {
    this.#firstTokenMs = performance.now() - this.#startedMs;
  }

  /** One record for the attempt, first, and one for each further model or kind of work that it used. */
  end(how: AttemptEnd): UsageDraft[] {
    return this.#parts(how).map((part) => this.#draft(part, how));
  }

  #draft(part: UsagePart, how: AttemptEnd): UsageDraft {
    const { subject, request, body, choice, attempt, revision } = this.#sent;
    const stopReason = this.#stopReason();
    const draft: UsageDraft = {
      flag: subject.flag,
      model: part.model,
      requestedModel: textOf(body["model"]) ?? choice.model,
      outcome: how.outcome === "ok" && stopReason === "refusal" ? "refused" : how.outcome,
      exact: part.exact,
      usage: part.usage,
      attempt,
      latencyMs: Math.round(performance.now() - this.#startedMs),
    };
    if (part.kind !== "message") draft.part = part.kind;
    if (part.batch) draft.batch = true;
    if (part.fast) draft.fast = true;
    if (this.#firstTokenMs !== null) draft.firstTokenMs = Math.round(this.#firstTokenMs);
    if (this.#response !== null) draft.status = this.#response.status;
    setText(draft, "geo", part.geo);
    setText(draft, "stopReason", stopReason);
    setText(draft, "errorType", how.errorType);
    setText(draft, "requestId", this.#response?.headers.get("request-id"));
    setText(draft, "user", idOf(subject.context.targetingKey));
    setText(draft, "session", idOf(subject.context.session));
    setText(draft, "correlationId", traceId(request.headers.get("traceparent")));
    if (revision !== null) draft.revision = revision;
    setText(draft, "systemHash", systemHash(body["system"]));
    return draft;
  }

  #parts(how: AttemptEnd): UsagePart[] {
    const status = this.#response?.status ?? null;
    const failed = how.usedNothing === true || (status !== null && (status < 200 || status > 299));
    if (failed) return [this.#part(NO_USAGE, true)];
    if (this.#answer !== null) return this.#answerParts(this.#answer);
    const stream = this.#stream;
    if (stream === null) return [this.#estimate(0)];
    if (stream.usage === null) {
      // An error event in place of an answer: nothing was begun.
      const wasRefused = stream.errorType !== null && stream.seenTokens === 0;
      return [wasRefused ? this.#part(NO_USAGE, true) : this.#estimate(stream.seenTokens)];
    }
    const parts = this.#read(stream.usage, stream.model);
    if (how.outcome === "ok" && stream.isFinal) return parts;
    return parts.map((part, index) => {
      const output = index === 0 ? Math.max(part.usage.output, stream.seenTokens) : part.usage.output;
      return { ...part, usage: { ...part.usage, output }, exact: false };
    });
  }

  #answerParts(answer: { message: Body | null; text: string }): UsagePart[] {
    const usage = answer.message?.["usage"];
    if (!isObject(usage)) return [this.#estimate(Math.ceil(tokensOf(answer.text)))];
    return this.#read(usage, textOf(answer.message?.["model"]));
  }

  #read(usage: Body, answered: string | null): UsagePart[] {
    const requested = this.#sent.choice.model;
    const parts = readUsage(usage, { answered: answered ?? requested, requested });
    // Not every API tells the speed it served at.
    if (usage["speed"] !== undefined || this.#asked("speed") !== "fast") return parts;
    return parts.map((part) => (part.kind === "advisor" ? part : { ...part, fast: true }));
  }

  /** Nothing is known but what was sent, and how much was seen. */
  #estimate(output: number): UsagePart {
    const { body, request } = this.#sent;
    const own = typeof request.body === "string" ? request.body : JSON.stringify(body);
    const prompt = promptBound(body, this.#changedBody ?? own);
    return this.#part(addUsage(prompt, { ...NO_USAGE, output: Math.max(1, output) }), false);
  }

  #part(usage: UsagePart["usage"], exact: boolean): UsagePart {
    const geo = textOf(this.#asked("inference_geo"));
    const fast = this.#asked("speed") === "fast";
    return { kind: "message", model: this.#sent.choice.model, usage, batch: false, fast, geo, exact };
  }

  /** A field of the body as sent: the step's patch goes over the caller's. */
  #asked(field: string): unknown {
    const { body, choice } = this.#sent;
    if (choice.step?.unset?.includes(field) === true) return undefined;
    return choice.step?.set?.[field] ?? body[field];
  }

  #stopReason(): string | null {
    return this.#stream === null ? textOf(this.#answer?.message?.["stop_reason"]) : this.#stream.stopReason;
  }
}

type TextField = "geo" | "stopReason" | "errorType" | "requestId" | "user" | "session" | "correlationId" | "systemHash";

/** Sets the field when there is something to say: absent fields are not sent. */
function setText(draft: UsageDraft, field: TextField, value: string | null | undefined): void {
  if (value !== null && value !== undefined && value !== "") draft[field] = value;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** A user or session key of the application; numbers count as their decimal text, as they do in rollouts. */
function idOf(value: unknown): string | null {
  return typeof value === "number" || typeof value === "bigint" ? String(value) : textOf(value);
}

const TRACEPARENT = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

/** The trace id of a W3C `traceparent`. */
function traceId(traceparent: string | null): string | null {
  return traceparent === null ? null : (TRACEPARENT.exec(traceparent)?.[1] ?? null);
}
