/** The message batches of the local endpoint: taken, looked after, canceled, and ended when a test says so. */
import type { EndpointCall } from "./behaviour.ts";
import type { ApiError } from "./shapes.ts";

/** What one request used, in tokens; null: it was not answered. */
export type BatchResult = { input: number; output: number } | null;

interface Batch {
  id: string;
  models: ReadonlyMap<string, string>;
  status: "in_progress" | "canceling" | "ended";
  createdAtMs: number;
  results: ReadonlyMap<string, BatchResult>;
}

export type BatchAnswer =
  | { kind: "json"; body: object }
  | { kind: "lines"; text: string }
  | { kind: "error"; error: ApiError };

const PATH = /\/v1\/messages\/batches\/([^/]+)(?:\/(cancel|results))?$/;
const MAX_BATCHES = 1_000;

export class LocalBatches {
  readonly #batches = new Map<string, Batch>();

  /** Ids of those that somebody has canceled, oldest first. */
  readonly canceled: string[] = [];

  create(call: EndpointCall): object {
    const { requests } = call.body;
    const items = (Array.isArray(requests) ? (requests as unknown[]) : []).filter(isObject);
    const batch: Batch = {
      id: call.id.replace("msg_", "msgbatch_"),
      models: new Map(
        items.map(({ custom_id, params }) => [String(custom_id), isObject(params) ? String(params["model"]) : ""]),
      ),
      status: "in_progress",
      createdAtMs: Date.now(),
      results: new Map(),
    };
    if (this.#batches.size < MAX_BATCHES) this.#batches.set(batch.id, batch);
    return shapeOf(batch);
  }

  /** The batch has ended: what its requests used, by their `custom_id`; those that are left out were not answered. */
  end(id: string, results: Readonly<Record<string, BatchResult>> = {}): void {
    const batch = this.#batches.get(id);
    if (batch === undefined) throw new Error(`there is no batch ${id}`);
    batch.status = "ended";
    batch.results = new Map([...batch.models.keys()].map((customId) => [customId, results[customId] ?? null]));
  }

  /** Null for a path that is about no single batch. */
  answer(method: string, path: string, baseUrl: string): BatchAnswer | null {
    const [, id, verb] = PATH.exec(path) ?? [];
    if (id === undefined) return null;
    const batch = this.#batches.get(id);
    if (batch === undefined) return failed(404, "not_found_error", "Not Found");
    if (verb === "cancel" && method === "POST") {
      if (batch.status === "ended") return failed(400, "invalid_request_error", "The batch has ended");
      batch.status = "canceling";
      this.canceled.push(id);
      return { kind: "json", body: shapeOf(batch) };
    }
    if (method !== "GET" || verb === "cancel") return failed(404, "not_found_error", "Not Found");
    if (verb === undefined) return { kind: "json", body: shapeOf(batch, baseUrl) };
    if (batch.status !== "ended") return failed(400, "invalid_request_error", "The batch has not ended");
    return { kind: "lines", text: linesOf(batch) };
  }

  clear(): void {
    this.#batches.clear();
    this.canceled.length = 0;
  }
}

function failed(status: number, type: string, message: string): BatchAnswer {
  return { kind: "error", error: { status, type, message } };
}

function shapeOf({ id, status, models, results, createdAtMs }: Batch, baseUrl = ""): object {
  const succeeded = [...results.values()].filter((result) => result !== null).length;
  const hasEnded = status === "ended";
  return {
    id,
    type: "message_batch",
    processing_status: status,
    request_counts: {
      processing: hasEnded ? 0 : models.size,
      succeeded,
      errored: 0,
      canceled: hasEnded ? models.size - succeeded : 0,
      expired: 0,
    },
    created_at: new Date(createdAtMs).toISOString(),
    expires_at: new Date(createdAtMs + 86_400_000).toISOString(),
    ended_at: hasEnded ? new Date().toISOString() : null,
    archived_at: null,
    cancel_initiated_at: null,
    results_url: hasEnded ? `${baseUrl}/v1/messages/batches/${id}/results` : null,
  };
}

function linesOf({ models, results }: Batch): string {
  const lines = [...results].map(([custom_id, used]) => {
    if (used === null) return { custom_id, result: { type: "canceled" } };
    const usage = { input_tokens: used.input, output_tokens: used.output, service_tier: "batch" };
    const message = { id: `msg_${custom_id}`, type: "message", role: "assistant", model: models.get(custom_id) };
    return {
      custom_id,
      result: { type: "succeeded", message: { ...message, content: [], stop_reason: "end_turn", usage } },
    };
  });
  return lines.map((line) => JSON.stringify(line)).join("\n");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
