/**
 * The doors of the guard, each as an application uses it: the Anthropic SDK, a plain `fetch`, LangChain, the AI SDK. A door asks
 * once, takes the answer as far as it is told to, and says whether what it took for an answer was whole.
 */
import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import { ChatAnthropic } from "@langchain/anthropic";
import { generateText, streamText } from "ai";
import { guard, type GuardHost, type GuardOptions } from "../../sdk-client/src/anthropic.ts";
import { guardFetch } from "../../sdk-client/src/fetch.ts";

export const DOORS = ["sdk", "fetch", "langchain", "ai-sdk", "batches"] as const;
export type DoorName = (typeof DOORS)[number];

export interface Question {
  /** Of the Messages API; the doors that make bodies of their own take its model, its bound and its text. */
  body: Anthropic.MessageCreateParams;
  text: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  /** Leaves a stream after so many events; null for not at all. */
  leavesAfter: number | null;
}

/** How much of an answer was taken, by the caller's own account. */
export interface Taken {
  end: "whole" | "left";
  /** The id of a message, where the door tells it. */
  id?: string;
}

/** Rejects with what the caller would get. */
export type Ask = (question: Question) => Promise<Taken>;

/** What was given as complete was not. */
export class Truncated extends Error {}

/** Retries of a library's own; each of them is an attempt that the endpoint may bill. */
const RETRIES = 1;
const RESULT_RETRIES = 5;
const BATCH_REQUESTS = 3;

/** One client of each door, guarded alike. */
export function doorsOf(host: GuardHost, options: GuardOptions, baseURL: string): Record<DoorName, Ask> {
  return {
    sdk: sdkDoor(host, options, baseURL),
    fetch: fetchDoor(host, options, baseURL),
    langchain: langchainDoor(host, options, baseURL),
    "ai-sdk": aiSdkDoor(host, options, baseURL),
    batches: batchDoor(host, options, baseURL),
  };
}

function sdkDoor(host: GuardHost, options: GuardOptions, baseURL: string): Ask {
  const client = new Anthropic({ apiKey: "none", baseURL, maxRetries: RETRIES, middleware: [guard(host, options)] });
  return async ({ body, headers, signal, leavesAfter }) => {
    const answer = await client.messages.create(body, { headers, signal });
    if (!(Symbol.asyncIterator in answer)) {
      if (!Array.isArray(answer.content)) throw new Truncated("a message without content");
      return { end: "whole", id: answer.id };
    }
    return taken(answer, { leavesAfter, signal }, ({ type }) => type === "message_stop");
  };
}

/** Asks the same in a message batch, and reads its results, whatever happens: what was submitted is billed. */
function batchDoor(host: GuardHost, options: GuardOptions, baseURL: string): Ask {
  const client = new Anthropic({ apiKey: "none", baseURL, maxRetries: RETRIES, middleware: [guard(host, options)] });
  return async ({ body: { model, max_tokens, messages, inference_geo }, headers }) => {
    const params = { model, max_tokens, messages, ...(inference_geo != null && { inference_geo }) };
    const requests = Array.from({ length: BATCH_REQUESTS }, (_, n) => ({ custom_id: `r${n}`, params }));
    const { id } = await client.messages.batches.create({ requests }, { headers });
    let count = 0;
    const results = await client.messages.batches.results(id, {}, { headers, maxRetries: RESULT_RETRIES });
    for await (const result of results) {
      count += result.custom_id === "" ? 0 : 1;
    }
    if (count < BATCH_REQUESTS) throw new Truncated(`${count} of ${BATCH_REQUESTS} results`);
    return { end: "whole" };
  };
}

function fetchDoor(host: GuardHost, options: GuardOptions, baseURL: string): Ask {
  const send = guardFetch(host, { ...options, maxRetries: RETRIES });
  return async ({ body, headers, signal, leavesAfter }) => {
    const response = await send(`${baseURL}/v1/messages`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": "none", ...headers },
      body: JSON.stringify(body),
      signal,
    });
    if (response.body === null) throw new Truncated("an answer without a body");
    if (body.stream !== true) {
      const text = await response.text();
      if (!response.ok) throw new Refused(response.status);
      if (!text.endsWith("}")) throw new Truncated("a message that breaks off");
      return { end: "whole" };
    }
    if (!response.ok) throw new Refused(response.status);
    const events = response.body.pipeThrough(new TextDecoderStream());
    return taken(events, { leavesAfter, signal }, (text) => text.includes("event: message_stop"));
  };
}

/** An answer with an error status, which a plain `fetch` gives as an answer. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

function langchainDoor(host: GuardHost, options: GuardOptions, baseURL: string): Ask {
  const middleware = [guard(host, options)];
  return async ({ body, text, headers, signal, leavesAfter }) => {
    const chat = new ChatAnthropic({
      model: body.model,
      maxTokens: body.max_tokens,
      maxRetries: 0,
      createClient: (given: object) =>
        new Anthropic({ ...given, apiKey: "none", baseURL, maxRetries: RETRIES, middleware }),
    });
    if (body.stream !== true) {
      await chat.invoke(text, { headers, signal });
      return { end: "whole" };
    }
    const chunks = await chat.stream(text, { headers, signal });
    return taken(chunks, { leavesAfter, signal }, ({ additional_kwargs: more }) => more["stop_reason"] !== undefined);
  };
}

/** By which the AI SDK tells that a stream is complete, and that it is not. */
const LAST_PARTS: ReadonlySet<string> = new Set(["finish", "error", "abort"]);

function aiSdkDoor(host: GuardHost, options: GuardOptions, baseURL: string): Ask {
  const fetch = guardFetch(host, { ...options, maxRetries: RETRIES });
  const anthropic = createAnthropic({ apiKey: "none", baseURL: `${baseURL}/v1`, fetch });
  return async ({ body, text, headers, signal, leavesAfter }) => {
    const asked = {
      model: anthropic(body.model),
      maxOutputTokens: body.max_tokens,
      maxRetries: RETRIES,
      prompt: text,
      headers,
      abortSignal: signal,
    };
    if (body.stream !== true) {
      await generateText(asked);
      return { end: "whole" };
    }
    let failure: unknown = null;
    const { fullStream } = streamText({ ...asked, onError: ({ error }) => void (failure = error) });
    const end = await taken(fullStream, { leavesAfter, signal }, ({ type }) => LAST_PARTS.has(type));
    if (failure !== null) throw failure;
    return end;
  };
}

/** Takes events until their end, or as many as the caller wants of them. */
async function taken<T>(
  events: AsyncIterable<T>,
  { leavesAfter, signal }: Pick<Question, "leavesAfter" | "signal">,
  isLast: (event: T) => boolean,
): Promise<Taken> {
  let count = 0;
  let isWhole = false;
  for await (const event of events) {
    isWhole ||= isLast(event);
    count += 1;
    if (count === leavesAfter) return { end: "left" };
  }
  // A stream of the SDK that its caller aborts ends without an error.
  signal.throwIfAborted();
  if (!isWhole) throw new Truncated("a stream that ended as if it were complete");
  return { end: "whole" };
}
