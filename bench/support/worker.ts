/**
 * A bench's other processes: each takes its task as JSON in its environment and sends messages back. One process per
 * side, so that a server and its load have a core each.
 */
import { once } from "node:events";
import type { z } from "zod";
import { type Child, startChild } from "../../src/demo/fleet/child.ts";

const TASK_VARIABLE = "ANDON_BENCH_TASK";
const OUTPUT_SHOWN_CHARS = 2_000;

/** Starts `script`, a path below the folder of what is built, such as `bench/poll/load.js`. */
export function startWorker(script: string, given: object): Child {
  return startChild(script, { [TASK_VARIABLE]: JSON.stringify(given) });
}

/** The worker's next message. Rejects when it ends or the time is up first, with what it printed. */
export async function nextMessage<T>(worker: Child, schema: z.ZodType<T>, timeoutMs: number): Promise<T> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeoutMs);
  const message = once(worker.process, "message", { signal: limit.signal }).then(([value]: unknown[]) => value);
  try {
    const end = worker.ended.then((how) => Promise.reject(new Error(`ended with ${String(how)}`)));
    return schema.parse(await Promise.race([message, end]));
  } catch (error) {
    const why = limit.signal.aborted ? `said nothing for ${timeoutMs} ms` : String(error);
    throw new Error(`A process of the bench ${why}. It printed:\n${worker.output.slice(-OUTPUT_SHOWN_CHARS)}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    // Takes the listener away; that rejection has lost the race and is handled by it.
    limit.abort();
  }
}

/** In the worker: its task. */
export function task<T>(schema: z.ZodType<T>): T {
  return schema.parse(JSON.parse(process.env[TASK_VARIABLE] ?? "null"));
}

/** In the worker: a message to the bench. */
export function send(message: object): void {
  process.send?.(message);
}
