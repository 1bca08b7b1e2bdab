/**
 * A streamed answer between the API and the caller. Invariants: nothing reaches the caller until content begins, so that
 * a failure before it can go to the next model; after that the stream ends normally only when the answer is complete,
 * and a caller who stops reading stops the generation.
 */
import { type Attempt, type Stop, Stopped } from "./attempt.ts";
import { rebuilt } from "./answers.ts";
import { isObject, parseObject } from "../wire/json.ts";
import { SseTap } from "./sse-tap.ts";
import { StreamUsage } from "./stream-usage.ts";

/** Bytes held back while waiting for content; more is passed on as it is. */
const MAX_OPENING_BYTES = 262_144;
/** The same while waiting for the whole answer (`bufferStreams`): several times the longest that a model writes. */
const MAX_WHOLE_BYTES = 16_777_216;

/** How a stream ended: with a complete answer, or why without one. */
export type StreamEnd = { kind: "complete" } | { kind: "stopped"; stop: Stop } | { kind: "broken"; error: unknown };

/** The beginning of a stream: its bytes so far, and what they say. */
export interface Opening {
  /** The data of an `error` event in place of an answer; null when content (or a whole answer) was seen. */
  error: string | null;
  reader: ReadableStreamDefaultReader<Uint8Array>;
  held: Uint8Array[];
  progress: Progress;
}

/** What has passed by of a stream so far. */
interface Progress {
  tap: SseTap;
  hasContent: boolean;
  /** `message_stop` or an `error` event: what follows cannot change the answer. */
  isOver: boolean;
  errorData: string | null;
}

export interface OpenStream {
  attempt: Attempt;
  idleTimeoutMs: number | undefined;
  usage: StreamUsage;
  /** Read on to the end of the answer, so that a failure on the way can still go to the next model. */
  whole: boolean;
  /** Called once when content begins. */
  onContent(): void;
}

/**
 * Reads until content begins (or the answer is whole), the API reports an error, or the stream ends. Throws
 * {@link Stopped} and the errors of the connection; an end before that throws too.
 */
export async function openStream(body: ReadableStream<Uint8Array>, input: OpenStream): Promise<Opening> {
  const { attempt, idleTimeoutMs, usage, whole } = input;
  const reader = body.getReader();
  const progress = watch(usage, () => input.onContent());
  const held: Uint8Array[] = [];
  const maxBytes = whole ? MAX_WHOLE_BYTES : MAX_OPENING_BYTES;
  let heldBytes = 0;
  const isEnough = (): boolean => progress.isOver || heldBytes >= maxBytes || (progress.hasContent && !whole);
  while (!isEnough()) {
    const { done, value } = await readWithin(reader, attempt, idleTimeoutMs);
    if (done) throw new Error(progress.hasContent ? "it ended early" : "the stream ended before its first content");
    held.push(value);
    heldBytes += value.byteLength;
    progress.tap.push(value);
  }
  return { error: whole || !progress.hasContent ? progress.errorData : null, reader, held, progress };
}

export interface PassOn {
  opening: Opening;
  attempt: Attempt;
  idleTimeoutMs: number | undefined;
  /** Called once when nothing more will be read. Gives the error for the caller; null for a complete answer. */
  onEnd(end: StreamEnd): Promise<Error | null>;
  /** The error for a stream in which the API reported one after content; null to let it end there. */
  onErrorEvent(): Promise<Error> | null;
}

/** The response for the caller: what was held, then the rest as it comes. */
export function passOn(response: Response, input: PassOn): Response {
  const { attempt, opening } = input;
  const { reader, progress } = opening;
  const leash: Leash = { attempt };
  let ended = false;
  let held = 0;

  const end = async (controller: ReadableStreamDefaultController<Uint8Array> | null, how: StreamEnd): Promise<void> => {
    if (ended) return;
    ended = true;
    leash.attempt = null;
    const error = await input.onEnd(how);
    if (error !== null) controller?.error(error);
  };

  const close = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const error = progress.errorData === null ? null : await input.onErrorEvent();
    if (error === null) controller.close();
    else controller.error(error);
  };

  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // Weak, as the running call holds this listener and must not hold the stream of a caller who has dropped it.
        const mine = new WeakRef(controller);
        attempt.onStop((stop) => void end(mine.deref() ?? null, { kind: "stopped", stop }));
        if (progress.isOver) void end(null, { kind: "complete" });
      },
      async pull(controller) {
        const next = opening.held[held];
        if (next !== undefined) {
          held += 1;
          controller.enqueue(next);
          return;
        }
        let chunk: { done: boolean; value?: Uint8Array | undefined };
        try {
          chunk = await readWithin(reader, attempt, input.idleTimeoutMs);
        } catch (error) {
          if (error instanceof Stopped) await end(controller, { kind: "stopped", stop: error.stop });
          else if (progress.isOver) await close(controller);
          else await end(controller, { kind: "broken", error });
          return;
        }
        if (chunk.value !== undefined) {
          progress.tap.push(chunk.value);
          // The answer is whole from here on: a kill comes too late to matter, and must not cut the last bytes.
          if (progress.isOver) await end(null, { kind: "complete" });
          controller.enqueue(chunk.value);
        } else if (progress.isOver) {
          await close(controller);
        } else {
          await end(controller, { kind: "broken", error: new Error("it ended early") });
        }
      },
      async cancel() {
        attempt.stop({ kind: "aborted" });
        await end(null, { kind: "stopped", stop: { kind: "aborted" } });
      },
    },
    { highWaterMark: 0 },
  );
  abandoned.register(stream, leash);
  return rebuilt(response, stream);
}

/**
 * The attempt behind a stream, until the stream has ended: the stack of an attempt's abort holds the stream whose `cancel` it
 * came from, which would then keep itself alive for ever.
 */
interface Leash {
  attempt: Attempt | null;
}

/** A stream that nobody can read any more ends its call: the connection and the entry among the running calls. */
const abandoned = new FinalizationRegistry((leash: Leash) => leash.attempt?.stop({ kind: "aborted" }));

/** The response for a stream of which nothing was passed on: the bytes so far, to be read once. */
export async function heldOnly(response: Response, opening: Opening): Promise<Response> {
  await opening.reader.cancel();
  return rebuilt(response, new Blob(opening.held));
}

async function readWithin(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  attempt: Attempt,
  idleTimeoutMs: number | undefined,
): ReturnType<typeof reader.read> {
  if (idleTimeoutMs === undefined) return attempt.wait(reader.read());
  const stop = { kind: "limit", name: "idle limit", limitMs: idleTimeoutMs } as const;
  const timer = setTimeout(() => attempt.stop(stop), idleTimeoutMs);
  try {
    return await attempt.wait(reader.read());
  } finally {
    clearTimeout(timer);
  }
}

function watch(usage: StreamUsage, onContent: () => void): Progress {
  const progress: Progress = {
    tap: new SseTap((name, data) => {
      usage.take(name, data);
      if (name === "error") {
        progress.errorData = data;
        progress.isOver = true;
      } else if (name === "message_stop") progress.isOver = true;
      else if (!progress.hasContent && isContent(name, data)) {
        progress.hasContent = true;
        onContent();
      }
    }),
    hasContent: false,
    isOver: false,
    errorData: null,
  };
  return progress;
}

const NO_CONTENT: ReadonlySet<string> = new Set(["ping", "message_start", "message_delta"]);

/** A text block that has only been opened, like a ping or a reason to stop, shows the caller nothing yet. */
function isContent(name: string, data: string): boolean {
  if (NO_CONTENT.has(name)) return false;
  if (name !== "content_block_start") return true;
  const block = parseObject(data)?.["content_block"];
  return !(isObject(block) && block["type"] === "text" && block["text"] === "");
}
