/**
 * What one attempt of a guarded call used, from whatever was seen of it. Invariant: an attempt that may have cost
 * something is never reported as free, and only the API's own final usage is reported as exact.
 */
import { usedParts } from "./attempt-usage.ts";
import type { CallInput } from "./call-input.ts";
import { placeOf } from "./cloud-region.ts";
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { memoryOf } from "./memory.ts";
import type { Body } from "./request.ts";
import type { StreamEnd } from "./stream.ts";
import type { StreamUsage } from "./stream-usage.ts";
import { systemHash } from "./system-hash.ts";
import type { UsagePart } from "../pricing/usage.ts";
import type { UsageDraft } from "../guard-host.ts";

/** What was sent, and for whom. */
export type Sent = Pick<CallInput, "host" | "options" | "subject" | "request" | "body" | "revision">;

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
  readonly #choice: ModelChoice;
  readonly #attempt: number;
  readonly #startedMs = performance.now();
  #response: Response | null = null;
  #firstTokenMs: number | null = null;
  /** The encoded body, when it is not the request's own. */
  #changedBody: string | null = null;
  #counted: number | null = null;
  #answer: { message: Body | null; text: string } | null = null;
  #stream: StreamUsage | null = null;

  #endedMs = 0;

  /** @param attempt 1 for the call's first attempt */
  constructor(sent: Sent, choice: ModelChoice, attempt: number) {
    this.#sent = sent;
    this.#choice = choice;
    this.#attempt = attempt;
  }

  /** Another body is sent than the request's own. */
  changed(encoded: string | null): void {
    this.#changedBody = encoded;
  }

  /** The API has counted the prompt: it has no more tokens. */
  counted(tokens: number | null): void {
    this.#counted = tokens;
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

  /** The API has told nothing of what it used. */
  get isUntold(): boolean {
    if (this.#answer !== null) return this.#answer.message === null;
    return this.#stream === null || this.#stream.usage === null;
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
    this.#endedMs = performance.now();
    return this.#parts(how).map((part) => this.#draft(part, how));
  }

  #draft(part: UsagePart, how: AttemptEnd): UsageDraft {
    const { subject, request, body, revision } = this.#sent;
    const stopReason = this.#stopReason();
    const draft: UsageDraft = {
      flag: subject.flag,
      model: part.model,
      requestedModel: textOf(body["model"]) ?? this.#choice.model,
      outcome: how.outcome === "ok" && stopReason === "refusal" ? "refused" : how.outcome,
      exact: part.exact,
      usage: part.usage,
      attempt: this.#attempt,
      latencyMs: Math.round(this.#endedMs - this.#startedMs),
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
    const { request, body, host, options } = this.#sent;
    const choice = this.#choice;
    const asked = {
      choice,
      body,
      encoded: () => this.#changedBody ?? (typeof request.body === "string" ? request.body : JSON.stringify(body)),
      place: placeOf(request.url, choice.model, options.region),
      memory: memoryOf(host),
      documentTokens: options.documentTokens,
      toolUses: options.toolUses,
      counted: this.#counted,
    };
    return usedParts(asked, {
      isUnbilled: how.usedNothing === true || (status !== null && (status < 200 || status > 299)),
      isWhole: how.outcome === "ok",
      answer: this.#answer,
      stream: this.#stream,
      elapsedMs: this.#endedMs - this.#startedMs,
      firstTokenMs: this.#firstTokenMs,
    });
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
export function idOf(value: unknown): string | null {
  return typeof value === "number" || typeof value === "bigint" ? String(value) : textOf(value);
}

const TRACEPARENT = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

/** The trace id of a W3C `traceparent`. */
function traceId(traceparent: string | null): string | null {
  return traceparent === null ? null : (TRACEPARENT.exec(traceparent)?.[1] ?? null);
}
