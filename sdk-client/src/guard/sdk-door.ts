/** The door of `@anthropic-ai/sdk` middleware: what its context tells of a call. */
import type { Door } from "./door.ts";
import { aborted } from "./errors.ts";
import { isObject } from "../wire/json.ts";
import type { ErrorBase } from "../feature-disabled-error.ts";
import { givenBody } from "./order.ts";
import type { MiddlewareContextLike, RequestOptionsLike } from "./types.ts";

export class SdkDoor implements Door {
  readonly throwsErrorEvents = true;
  readonly #ctx: MiddlewareContextLike;

  constructor(ctx: MiddlewareContextLike) {
    this.#ctx = ctx;
  }

  get call(): RequestOptionsLike | undefined {
    return this.#ctx.options;
  }

  get body(): unknown {
    return givenBody(this.#ctx.options);
  }

  get stream(): boolean | undefined {
    return this.#ctx.options?.stream;
  }

  get timeoutMs(): number | undefined {
    return this.#ctx.options?.timeout;
  }

  isCallerGone(): boolean {
    return this.#ctx.options?.signal?.aborted === true;
  }

  /**
   * SDK 1.x sleeps before its retry on the signal of the call's options: for one turn it is given a signal that tells so.
   * Earlier ones hear nothing while they sleep.
   */
  onSleep(begun: (wake: () => void) => () => void): void {
    const options = this.#ctx.options;
    if (options === undefined) return;
    const { signal } = options;
    options.signal = sleepSignal(signal ?? new AbortController().signal, begun);
    // The sleep begins in this turn, or never: the SDK has no retries left.
    setTimeout(() => {
      options.signal = signal;
    });
  }

  aborted(): Error {
    return aborted();
  }

  /** The options are the SDK's own, made for this one call; what was given to it stays as it is. */
  release(): void {
    const { options } = this.#ctx;
    if (options !== undefined) options.body = undefined;
  }

  /** SDKs from 0.134 keep it with the options, for their retries too. */
  get span(): unknown {
    const { options } = this.#ctx;
    const call: unknown = options === undefined ? undefined : Reflect.get(options, "__span");
    return isObject(call) ? call["span"] : undefined;
  }

  /**
   * The `AnthropicError` class of the SDK behind the context; `Error` when that cannot be had. The SDK refuses to parse
   * a response somebody else is reading, and its refusal is an instance of the class: no import could find the right one
   * when a process holds the SDK twice.
   */
  async errorBase(): Promise<ErrorBase> {
    const inUse = new Response("-");
    inUse.body?.getReader();
    try {
      await this.#ctx.parse(inUse);
    } catch (refusal) {
      const thrown: unknown = refusal instanceof Error ? refusal.constructor : null;
      if (isErrorBase(thrown)) return thrown;
    }
    return Error;
  }
}

function isErrorBase(value: unknown): value is ErrorBase {
  return typeof value === "function" && value.prototype instanceof Error;
}

/** The signal, telling of its next listener with what calls that listener; `begun` gives what is called when it is gone. */
function sleepSignal(signal: AbortSignal, begun: (wake: () => void) => () => void): AbortSignal {
  let forget: (() => void) | null = null;
  return new Proxy(signal, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      if (property === "addEventListener") {
        return (type: "abort", listener: () => void, options?: { once?: boolean }) => {
          // The SDK removes no listener that an abort has called.
          const wake = (): void => {
            forget?.();
            listener();
          };
          const ended = begun(wake);
          forget = () => {
            target.removeEventListener(type, wake);
            ended();
          };
          target.addEventListener(type, wake, options);
        };
      }
      if (property === "removeEventListener") return () => forget?.();
      const method: unknown = value.bind(target);
      return method;
    },
  });
}
