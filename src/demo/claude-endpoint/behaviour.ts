/**
 * The script of the local Claude endpoint: how it behaves when a model is called, and what it noted of each call.
 */

/** An ordinary answer; every field has a default. */
export interface Answer {
  kind: "answer";
  /** One word is one token. */
  text?: string;
  /** A thinking block before the text. */
  thinking?: string;
  /** A tool call after the text; the answer then stops for it. */
  toolUse?: { name: string; input: Record<string, unknown> };
  stopReason?: "end_turn" | "max_tokens" | "refusal" | "stop_sequence";
  /** Of a refusal: its `stop_details.category`; null by default. */
  category?: string | null;
  /** Input tokens by kind; by default estimated from the request. */
  usage?: Partial<InputUsage>;
  /** Wait before the status line. */
  latencyMs?: number;
  /** Wait before every token of a stream; a whole answer waits for all of its tokens. */
  tokenIntervalMs?: number;
  /** Stop before this token (0: before the first) until the promise resolves. */
  hold?: { beforeToken: number; until: Promise<void> };
}

export interface InputUsage {
  input: number;
  cacheWrite5m: number;
  cacheWrite1h: number;
  cacheRead: number;
  webSearches: number;
}

/** What an answer says it used, in tokens. */
export interface AnsweredUsage extends InputUsage {
  output: number;
}

export type Behaviour =
  | Answer
  /** An error in the API's shape. */
  | {
      kind: "error";
      status: number;
      type: string;
      message?: string;
      details?: Record<string, unknown>;
      headers?: Record<string, string>;
      latencyMs?: number;
    }
  /** A stream that reports an error in an event, after that many tokens; before content when 0. */
  | { kind: "streamError"; type: string; message?: string; afterTokens: number }
  /** Resets the connection: without a word, or after that many tokens; what is still under way is lost to the client. */
  | { kind: "reset"; afterTokens?: number; until?: Promise<void> }
  /** Goes silent with the socket open: without a word, after the headers, or after that many tokens. */
  | { kind: "hang"; after: "request" | "headers" | number }
  /** Ends a stream in good order, but without its last events. */
  | { kind: "truncate"; afterTokens: number };

/** What the API says when a model is overloaded. */
export const OVERLOADED: Behaviour = {
  kind: "error",
  status: 529,
  type: "overloaded_error",
  message: "Overloaded",
};

export type CallEnd =
  | "open"
  | "finished"
  /** The client closed the connection. */
  | "brokenOff"
  /** The script ended it. */
  | "failed";

/** What the endpoint noted of one call. */
export interface EndpointCall {
  readonly id: string;
  readonly path: string;
  readonly model: string;
  readonly stream: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
  status: number | null;
  tokensSent: number;
  /** What its whole answer said it used; null until that was written. */
  usage: AnsweredUsage | null;
  end: CallEnd;
  /** Resolves when `end` is no longer `open`. */
  readonly ended: Promise<void>;
}

/** Which behaviour the next call of a model gets: scripted ones in turn, then the standing one. */
export class Script {
  readonly #standing = new Map<string, Behaviour>();
  readonly #next = new Map<string, Behaviour[]>();

  /** The behaviour of every call of the model (`*`: of all models) from now on. */
  always(model: string, behaviour: Behaviour): void {
    this.#standing.set(model, behaviour);
  }

  /** The behaviours of the model's next calls, in turn. */
  next(model: string, behaviours: readonly Behaviour[]): void {
    this.#next.set(model, [...(this.#next.get(model) ?? []), ...behaviours]);
  }

  clear(): void {
    this.#standing.clear();
    this.#next.clear();
  }

  take(model: string): Behaviour {
    const scripted = this.#next.get(model)?.shift() ?? this.#next.get("*")?.shift();
    return scripted ?? this.#standing.get(model) ?? this.#standing.get("*") ?? { kind: "answer" };
  }
}
