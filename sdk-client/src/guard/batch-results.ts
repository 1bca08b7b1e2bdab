/**
 * Counts the results of a message batch as they are read through the client. Invariants: the bytes pass unchanged; a result has one id however often and wherever it is read, so that it counts once.
 */
import type { GuardHost, UsageDraft } from "../guard-host.ts";
import { isObject, parseObject } from "../wire/json.ts";
import { rebuilt } from "./answers.ts";
import { usedParts } from "./attempt-usage.ts";
import type { Batches } from "./batches.ts";
import { memoryOf } from "./memory.ts";
import type { RequestLike } from "./types.ts";

/** Its results are one JSON object a line. https://platform.claude.com/docs/en/api/retrieving-message-batch-results */
const RESULTS_PATH = /\/v1\/messages\/batches\/([^/?#]+)\/results\/?(?:[?#]|$)/;
const BATCH_PATH = /\/v1\/messages\/batches\/([^/?#]+)\/?(?:[?#]|$)/;
/** After so many the reader waits until they were sent: what overflows is summed, and a sum may count twice. */
const RESULTS_PER_FLUSH = 2_000;

/** The id of the batch whose results a request reads; null for any other request. */
export function readsResultsOf(request: RequestLike): string | null {
  if (!request.url.includes("/batches/")) return null;
  return RESULTS_PATH.exec(request.url)?.[1] ?? null;
}

/** The id of the batch that a request looks after; null for any other request. */
export function looksAfter(request: RequestLike): string | null {
  if (!request.url.includes("/batches/")) return null;
  return BATCH_PATH.exec(request.url)?.[1] ?? null;
}

/** The API's answer about one batch, unchanged. What it says of the batch is told. */
export async function readingBatch(response: Response, told: (batch: Readonly<Record<string, unknown>>) => void) {
  if (!response.ok) return response;
  const text = await response.text();
  const batch = parseObject(text);
  if (batch?.["type"] === "message_batch") told(batch);
  return rebuilt(response, text);
}

/** The response with its results counted as they pass by, for this flag. Other answers are returned as they are. */
export function countingResults(
  host: GuardHost,
  response: Response,
  of: { flag: string; batchId: string; batches: Batches },
): Response {
  if (!response.ok || response.body === null) return response;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let sinceFlush = 0;
  const count = (line: string): void => {
    const entry = line.trim() === "" ? null : parseObject(line);
    if (entry === null) return;
    const used = resultUsage(host, entry, line, of);
    sinceFlush += used.length;
    for (const draft of used) host.record(draft);
  };
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        const lines = (rest + (done ? decoder.decode() : decoder.decode(value, { stream: true }))).split("\n");
        rest = done ? "" : (lines.pop() ?? "");
        for (const line of lines) count(line);
        if (done) {
          of.batches.settled(of.batchId, of.flag);
          controller.close();
        } else controller.enqueue(value);
        if (sinceFlush < RESULTS_PER_FLUSH) return;
        sinceFlush = 0;
        await host.flush();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return rebuilt(response, stream);
}

/** What one result used; nothing for one that was not answered, which is not billed. */
function resultUsage(
  host: GuardHost,
  entry: Readonly<Record<string, unknown>>,
  line: string,
  of: { flag: string; batchId: string },
): UsageDraft[] {
  const result = entry["result"];
  const message = isObject(result) && result["type"] === "succeeded" ? result["message"] : undefined;
  if (!isObject(message)) return [];
  const model = typeof message["model"] === "string" ? message["model"] : "unknown";
  const stopReason = typeof message["stop_reason"] === "string" ? message["stop_reason"] : undefined;
  const parts = usedParts(
    {
      choice: { model, step: null, replaced: false },
      body: null,
      encoded: () => "",
      place: null,
      memory: memoryOf(host),
      documentTokens: undefined,
      toolUses: undefined,
      counted: null,
    },
    {
      isUnbilled: false,
      isWhole: true,
      answer: { message, text: line },
      stream: null,
      elapsedMs: 0,
      firstTokenMs: null,
    },
  );
  return parts.map((part, index) => ({
    id: `${of.batchId}:${String(entry["custom_id"])}:${index}`,
    once: true,
    messageBatch: of.batchId,
    flag: of.flag,
    model: part.model,
    requestedModel: model,
    outcome: stopReason === "refusal" ? "refused" : "ok",
    exact: part.exact,
    usage: part.usage,
    // Whatever its usage says of the tier: the Batches API knows no other.
    batch: true,
    attempt: 1,
    latencyMs: 0,
    ...(part.kind === "message" ? {} : { part: part.kind }),
    ...(part.geo === null ? {} : { geo: part.geo }),
    ...(stopReason === undefined ? {} : { stopReason }),
  }));
}
