/**
 * The door of a plain `fetch`. Libraries around it retry by the look of an answer or an error, heed no header that says it
 * is of no use, and cannot be woken from their pauses: so the retries are made here, and what they come to is an error that
 * no library takes for one of the network.
 */
import type { Door } from "./door.ts";
import { aborted, guardError } from "./errors.ts";
import type { ErrorBase } from "../feature-disabled-error.ts";
import type { FetchRequest } from "./fetch-request.ts";
import { jitteredPauseMs } from "./retry-pause.ts";

export class FetchDoor implements Door {
  readonly call = this;
  readonly body = undefined;
  readonly stream = undefined;
  readonly timeoutMs = undefined;
  readonly throwsErrorEvents = false;
  readonly #request: FetchRequest;
  readonly #flag: string;
  #sleeps: ((wake: () => void) => () => void) | null = null;

  constructor(request: FetchRequest, flag: string) {
    this.#request = request;
    this.#flag = flag;
  }

  isCallerGone(): boolean {
    return this.#request.signal?.aborted === true;
  }

  /** As `fetch` does it: the reason that the caller gave. */
  aborted(): Error {
    const reason: unknown = this.#request.signal?.reason;
    return reason instanceof Error ? reason : aborted();
  }

  errorBase(): Promise<ErrorBase> {
    return Promise.resolve(Error);
  }

  onSleep(begun: (wake: () => void) => () => void): void {
    this.#sleeps = begun;
  }

  /** The pause before a lost connection is tried again; a kill and the caller's abort end it. */
  async pause(retries: number): Promise<void> {
    const { signal } = this.#request;
    let isOver = signal?.aborted === true;
    let left: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        isOver = true;
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        left?.();
        resolve();
      };
      left = this.#sleeps?.(wake);
      if (isOver) return wake();
      signal?.addEventListener("abort", wake, { once: true });
      timer = setTimeout(wake, jitteredPauseMs(retries));
    });
  }

  /** The error for an answer that says that the provider has failed. */
  async failedBy(response: Response): Promise<Error> {
    const { status } = response;
    // Bounded, and before the headers: reading it as text gives back those that were changed for the retry.
    const responseBody = await response.text();
    const responseHeaders = Object.fromEntries(response.headers);
    return this.#providerFailed(`status ${status}`, { status, statusCode: status, responseHeaders, responseBody });
  }

  /** The error for a connection that could not be made, or was lost. */
  lostBy(origin: Error): Error {
    return this.#providerFailed(origin.message, { origin });
  }

  /** The AI SDK takes it for its own `APICallError`: it goes by these marks and fields, and not by the class. */
  #providerFailed(why: string, fields: object): Error {
    const message = `No model has answered: ${why}.`;
    const error = guardError(Error, "ProviderFailedError", "ANDON_PROVIDER_FAILED", this.#flag, message);
    for (const mark of AI_SDK_MARKS) Object.defineProperty(error, mark, { value: true });
    return Object.assign(error, { url: this.#request.url, requestBodyValues: {}, isRetryable: false }, fields);
  }
}

/** `packages/provider/src/errors/{ai-sdk-error,api-call-error}.ts` of https://github.com/vercel/ai, 5 and 6. */
const AI_SDK_MARKS = ["vercel.ai.error", "vercel.ai.error.AI_APICallError"].map((mark) => Symbol.for(mark));
