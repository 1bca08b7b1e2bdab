/**
 * Refuses bodies over a bound, whether or not their length is announced. What a client is still sending is read for a
 * moment and thrown away before it is answered, and the connection is then closed: closed with bytes unread, a client
 * would see a reset in place of the answer.
 */
import { IncomingMessage } from "node:http";
import type { Context, MiddlewareHandler } from "hono";
import { AppError } from "../../errors.ts";

const DRAIN_MAX_BYTES = 16 * 1024 * 1024;
const DRAIN_MAX_MS = 2000;

type Reader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;

/** Answers TOO_LARGE, with `message`, to a body of more than `maxBytes`. */
export function bodyLimit(maxBytes: number, message: string): MiddlewareHandler {
  return async (c, next) => {
    const announced = c.req.header("transfer-encoding") === undefined ? c.req.header("content-length") : undefined;
    // Looking at the body itself would cost the common case a copy of it.
    if (announced !== undefined && Number(announced) <= maxBytes) return next();
    const { body } = c.req.raw;
    if (body === null) return next();
    const reader = body.getReader();
    const read = announced === undefined ? await readUpTo(reader, maxBytes) : null;
    if (read === null) {
      await drain(reader);
      throw new AppError("TOO_LARGE", message);
    }
    c.req.raw = new Request(c.req.raw, { method: c.req.method, body: read });
    return next();
  };
}

/** The whole body, or null when it is longer than `maxBytes`; then there may be more to read. */
async function readUpTo(reader: Reader, maxBytes: number): Promise<Uint8Array<ArrayBuffer> | null> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.byteLength;
    if (bytes > maxBytes) return null;
    parts.push(part.value);
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

async function drain(reader: Reader): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<"time is up">((resolve) => {
    timer = setTimeout(resolve, DRAIN_MAX_MS, "time is up");
    timer.unref();
  });
  try {
    for (let bytes = 0; bytes <= DRAIN_MAX_BYTES;) {
      const part = await Promise.race([reader.read(), timeUp]);
      if (part === "time is up" || part.done) return;
      bytes += part.value.byteLength;
    }
  } finally {
    clearTimeout(timer);
  }
}

/** True when the client's connection ended before its body had arrived: whatever failed for that is no fault of ours. */
export function bodyBrokeOff(c: Context): boolean {
  const bindings: unknown = c.env;
  const incoming =
    typeof bindings === "object" && bindings !== null && "incoming" in bindings ? bindings.incoming : null;
  return incoming instanceof IncomingMessage && incoming.destroyed && !incoming.complete;
}
