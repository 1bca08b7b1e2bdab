/**
 * Plays one behaviour on one response. Invariant: it stops, and writes nothing more, as soon as the client has gone.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Answer, Behaviour, EndpointCall } from "./behaviour.ts";
import { draft, errorBody, sse, streamEvents, wholeMessage } from "./shapes.ts";

/** Waits; rejects when the signal aborts. Handed in, so that a test can own the time. */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>;

export interface Reply {
  call: EndpointCall;
  res: ServerResponse;
  requestId: string;
  /** Aborts when the client closes the connection. */
  gone: AbortSignal;
  sleep: Sleep;
  /** Notes that the script, not the client, ends the call. */
  fail(): void;
}

export async function reply(to: Reply, behaviour: Behaviour): Promise<void> {
  switch (behaviour.kind) {
    case "answer":
      await pause(to, behaviour.latencyMs);
      await (to.call.stream ? streamAnswer(to, behaviour) : wholeAnswer(to, behaviour));
      return;
    case "error":
      await pause(to, behaviour.latencyMs);
      sendError(to, behaviour);
      return;
    case "streamError": {
      const { type, message = "Overloaded" } = behaviour;
      await partOfStream(to, behaviour.afterTokens);
      await write(to, sse({ type: "error", error: { type, message }, request_id: to.requestId }));
      to.fail();
      to.res.end();
      return;
    }
    case "truncate":
      await partOfStream(to, behaviour.afterTokens);
      to.fail();
      to.res.end();
      return;
    case "reset":
      if (behaviour.afterTokens !== undefined) await partOfStream(to, behaviour.afterTokens);
      if (behaviour.until !== undefined) await heldBack(to, behaviour.until);
      to.fail();
      to.res.socket?.resetAndDestroy();
      return;
    case "hang":
      if (behaviour.after === "headers") startStream(to);
      else if (behaviour.after !== "request") await partOfStream(to, behaviour.after);
      await never(to);
  }
}

/** Answers with an error in the API's shape. */
export function sendError(to: Reply, error: Extract<Behaviour, { kind: "error" }>): void {
  const { type, details, message = type } = error;
  sendJson(to, error.status, errorBody({ type, message, details }, to.requestId), error.headers);
}

export function sendJson(to: Reply, status: number, json: string, headers: Record<string, string> = {}): void {
  to.call.status = status;
  to.res.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(json),
    "request-id": to.requestId,
    ...headers,
  });
  to.res.end(json);
}

async function wholeAnswer(to: Reply, answer: Answer): Promise<void> {
  const message = draft(to.call.id, to.call.body, answer);
  if (answer.hold !== undefined) await heldBack(to, answer.hold.until);
  await pause(to, (answer.tokenIntervalMs ?? 0) * message.tokens.length);
  to.call.tokensSent = message.tokens.length;
  to.call.usage = { ...message.usage, output: message.tokens.length };
  sendJson(to, 200, JSON.stringify(wholeMessage(message)));
}

async function streamAnswer(to: Reply, answer: Answer): Promise<void> {
  const message = draft(to.call.id, to.call.body, answer);
  const events = streamEvents(message);
  startStream(to);
  await write(to, events.start + events.open);
  for (const [index, token] of message.tokens.entries()) {
    if (answer.hold?.beforeToken === index) await heldBack(to, answer.hold.until);
    await pause(to, answer.tokenIntervalMs);
    await write(to, events.token(token));
    to.call.tokensSent += 1;
  }
  to.call.usage = { ...message.usage, output: message.tokens.length };
  await write(to, events.finish);
  to.res.end();
}

/** The beginning of a stream: no content at all for 0 tokens. */
async function partOfStream(to: Reply, tokens: number): Promise<void> {
  const message = draft(to.call.id, to.call.body, { kind: "answer" });
  const events = streamEvents(message);
  startStream(to);
  await write(to, events.start);
  if (tokens > 0) await write(to, events.open);
  for (const token of message.tokens.slice(0, tokens)) {
    await write(to, events.token(token));
    to.call.tokensSent += 1;
  }
}

function startStream(to: Reply): void {
  to.call.status = 200;
  to.res.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "request-id": to.requestId,
  });
  to.res.flushHeaders();
}

async function write(to: Reply, text: string): Promise<void> {
  to.gone.throwIfAborted();
  if (!to.res.write(text)) await once(to.res, "drain", { signal: to.gone });
}

async function pause(to: Reply, ms: number | undefined): Promise<void> {
  to.gone.throwIfAborted();
  if (ms !== undefined && ms > 0) await to.sleep(ms, to.gone);
}

function heldBack(to: Reply, until: Promise<void>): Promise<void> {
  return Promise.race([until, never(to)]);
}

/** Rejects when the client has gone; else never settles. */
function never(to: Reply): Promise<never> {
  return new Promise((_resolve, reject) => {
    const leave = (): void => reject(new Error("the client has gone"));
    if (to.gone.aborted) leave();
    else to.gone.addEventListener("abort", leave, { once: true });
  });
}
