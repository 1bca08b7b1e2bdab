/**
 * OpenTelemetry, where the application has set it up: what the guard knows of a call goes on the span that the call has
 * already, of the SDK (0.134 and later make one for each call) or of another GenAI instrumentation; only where there is none
 * is one made. Nothing is imported: all copies of `@opentelemetry/api` 1.x share one global, by these two symbols.
 */
import type { Door } from "./door.ts";
import { isObject } from "../wire/json.ts";

const API = Symbol.for("opentelemetry.js.api.1");
const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN");
const KIND_CLIENT = 2;
const STATUS_ERROR = 2;

export type SpanAttributes = Record<string, string | number | boolean | readonly string[]>;

/** The part of a span that is used. */
export interface SpanLike {
  isRecording(): boolean;
  setAttributes(attributes: SpanAttributes): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(): void;
}

/** How a call is traced. */
export interface Tracing {
  /** The span that the call has already. */
  readonly span: SpanLike | null;
  /** Where it has none: makes one that has lasted since, under what was active at the start. */
  readonly make: ((startedMs: number) => SpanLike | null) | null;
}

const UNTRACED: Tracing = { span: null, make: null };

/** The tracing of a call of this model. Never throws. */
export function tracingOf(door: Door, model: string): Tracing {
  try {
    const own: unknown = door.span;
    if (isSpan(own)) return own.isRecording() ? { span: own, make: null } : UNTRACED;
    const api: unknown = Reflect.get(globalThis, API);
    const provider: unknown = isObject(api) ? api["trace"] : undefined;
    if (!isObject(api) || provider === undefined) return UNTRACED;
    const context = call(api["context"], "active");
    const active = call(context, "getValue", SPAN_KEY);
    if (isSpan(active) && isGenAi(active)) return active.isRecording() ? { span: active, make: null } : UNTRACED;
    const make = (startedMs: number): SpanLike | null => {
      const tracer = call(provider, "getTracer", "andon-client");
      const startTime = performance.timeOrigin + startedMs;
      const made = call(tracer, "startSpan", `chat ${model}`, { kind: KIND_CLIENT, startTime }, context);
      return isSpan(made) ? made : null;
    };
    return { span: null, make };
  } catch {
    // Tracing is the application's; a call does not fail by it.
    return UNTRACED;
  }
}

/** Says that the call failed, as OpenTelemetry's conventions do. */
export function fail(span: SpanLike, errorType: string): void {
  span.setAttributes({ "error.type": errorType });
  span.setStatus({ code: STATUS_ERROR });
}

/** Spans of the SDK for Node show their attributes. */
function isGenAi(span: object): boolean {
  const attributes: unknown = Reflect.get(span, "attributes");
  return typeof attributes === "object" && attributes !== null && Object.keys(attributes).some(isGenAiName);
}

function isGenAiName(name: string): boolean {
  return name.startsWith("gen_ai.");
}

function call(on: unknown, method: string, ...given: readonly unknown[]): unknown {
  if (typeof on !== "object" || on === null) return undefined;
  const found: unknown = Reflect.get(on, method);
  return typeof found === "function" ? Reflect.apply(found, on, given) : undefined;
}

function isSpan(value: unknown): value is SpanLike {
  return typeof value === "object" && value !== null && "setAttributes" in value && "isRecording" in value;
}
