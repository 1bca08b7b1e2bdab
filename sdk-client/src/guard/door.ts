/**
 * What the guard must know of the library whose requests it holds. An answer that must not be sent again carries
 * `x-should-retry: false`: a door whose library does not heed that header turns such an answer into an error.
 */
import type { ErrorBase } from "../feature-disabled-error.ts";

export interface Door {
  /** What all requests of one call share, the library's retries too; undefined where each request stands alone. */
  readonly call: object | undefined;
  /** The body before it was encoded; undefined when only the encoded one is known. */
  readonly body: unknown;
  /** Whether the caller asked for a stream; undefined when only the body tells. */
  readonly stream: boolean | undefined;
  /** The library's own limit for one request in milliseconds; when it passes, no next model can be sent. */
  readonly timeoutMs: number | undefined;
  /**
   * True when the library makes an error of an `error` event in a stream. The AI SDK resolves `text` with what came before it:
   * for such libraries the guard ends the stream with an error.
   */
  readonly throwsErrorEvents: boolean;
  /** True when the caller has aborted the call; false when it was the library's own timeout. */
  isCallerGone(): boolean;
  /**
   * To be called before an error is thrown that the library may answer with a sleep and another request: `begun` is told
   * when it falls asleep, with what wakes it, and gives what is called when it has woken. Doors that cannot tell have none.
   */
  onSleep?(begun: (wake: () => void) => () => void): void;
  /** Lets go of the request's body: it was answered, and nothing sends it again. */
  release?(): void;
  /** What the caller gets of a call that was aborted. */
  aborted(): Error;
  /** The library's own OpenTelemetry span of the call; absent where it makes none. */
  readonly span?: unknown;
  /** The class that errors for this caller derive from. */
  errorBase(): Promise<ErrorBase>;
}
