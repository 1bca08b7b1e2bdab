/**
 * A streamed answer between the API and the caller. Invariants: nothing reaches the caller until content begins, so that
 * a failure before it can go to the next model; after that the stream ends normally only when the answer is complete,
 * and a caller who stops reading stops the generation.
 */
import { type Attempt, type Stop, Stopped } from "./attempt.ts";
import { judgeStreamError, rebuilt, type Verdict } from "./failures.ts";
import { isObject, parseObject } from "../wire/json.ts";
import { SseTap } from "./sse-tap.ts";
import { StreamUsage } from "./stream-usage.ts";

/** Bytes held back while waiting for content; more is passed on as it is. */
const MAX_OPENING_BYTES = 262_144;

/** Why a stream ended without a complete answer. */
export type StreamEnd = { kind: "complete" } | { kind: "stopped"; stop: Stop } | { kind: "broken"; error: unknown };

/** The beginning of a stream: its bytes so far, and what they say. */
export interface Opening {
  /** What an `error` event before content means; null when content (or a whole answer) was seen. */
  error: Verdict | null;
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

/**
 * Reads until content begins, the API reports an error, or the stream ends. Throws {@link Stopped} and the errors of
 * the connection; an end without content throws too.
 */
export async function openStream(
  body: ReadableStream<Uint8Array>,
  attempt: Attempt,
  idleTimeoutMs: number | undefined,
  usage: StreamUsage,
): Promise<Opening> {
  const reader = body.getReader();
  const progress = watch(usage);
  const held: Uint8Array[] = [];
  let heldBytes = 0;
  while (!progress.hasContent && !progress.isOver && heldBytes < MAX_OPENING_BYTES) {
    const { done, value } = await readWithin(reader, attempt, idleTimeoutMs);
    if (done) throw new Error("the stream ended before its first content");
    held.push(value);
    heldBytes += value.byteLength;
    progress.tap.push(value);
  }
  const failed = progress.errorData !== null && !progress.hasContent;
  const error = failed ? judgeStreamError(progress.errorData ?? "") : null;
  return { error, reader, held, progress };
}

export interface PassOn {
  opening: Opening;
  attempt: Attempt;
  idleTimeoutMs: number | undefined;
  /** Called once when nothing more will be read. Gives the error for the caller; null for a complete answer. */
  onEnd(end: StreamEnd): Promise<Error | null>;
}

/** The response for the caller: what was held, then the rest as it comes. */
export function passOn(response: Response, input: PassOn): Response {
  const { attempt, opening } = input;
  const { reader, progress } = opening;
  let ended = false;
  let held = 0;

  const end = async (controller: ReadableStreamDefaultController<Uint8Array> | null, how: StreamEnd): Promise<void> => {
    if (ended) return;
    ended = true;
    const error = await input.onEnd(how);
    if (error !== null) controller?.error(error);
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
          else if (progress.isOver) controller.close();
          else await end(controller, { kind: "broken", error });
          return;
        }
        if (chunk.value !== undefined) {
          progress.tap.push(chunk.value);
          // The answer is whole from here on: a kill comes too late to matter, and must not cut the last bytes.
          if (progress.isOver) await end(null, { kind: "complete" });
          controller.enqueue(chunk.value);
        } else if (progress.isOver) {
          controller.close();
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
  abandoned.register(stream, attempt);
  return rebuilt(response, stream);
}

/** A stream that nobody can read any more ends its call: the connection and the entry among the running calls. */
const abandoned = new FinalizationRegistry((attempt: Attempt) => attempt.stop({ kind: "aborted" }));

/** The response for a stream that failed before content: what it said so far, up to its `error` event. */
export async function errorOnly(response: Response, opening: Opening): Promise<Response> {
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

function watch(usage: StreamUsage): Progress {
  const progress: Progress = {
    tap: new SseTap((name, data) => {
      usage.take(name, data);
      if (name === "error") {
        progress.errorData = data;
        progress.isOver = true;
      } else if (name === "message_stop") progress.isOver = true;
      else if (!progress.hasContent) progress.hasContent = isContent(name, data);
    }),
    hasContent: false,
    isOver: false,
    errorData: null,
  };
  return progress;
}

/** A text block that has only been opened, like a ping, shows the caller nothing yet. */
function isContent(name: string, data: string): boolean {
  if (name === "ping" || name === "message_start") return false;
  if (name !== "content_block_start") return true;
  const block = parseObject(data)?.["content_block"];
  return !(isObject(block) && block["type"] === "text" && block["text"] === "");
}
