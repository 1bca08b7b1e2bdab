/** The door of `@anthropic-ai/sdk` middleware: what its context tells of a call. */
import type { Door } from "./door.ts";
import type { ErrorBase } from "../feature-disabled-error.ts";
import type { MiddlewareContextLike, RequestOptionsLike } from "./types.ts";

export class SdkDoor implements Door {
  readonly #ctx: MiddlewareContextLike;

  constructor(ctx: MiddlewareContextLike) {
    this.#ctx = ctx;
  }

  get call(): RequestOptionsLike | undefined {
    return this.#ctx.options;
  }

  get body(): unknown {
    return this.#ctx.options?.body;
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
