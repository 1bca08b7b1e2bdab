/**
 * HTTP by a `fetch`: for runtimes other than Node, and for applications that bring their own. A parked poll on Node's
 * global `fetch` keeps the process alive, which is why it is not the default there.
 */
import { decodeUtf8, MAX_BODY_BYTES, tooLarge } from "./transport.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

/** The part of `fetch` that is used. */
export type FetchLike = (
  url: string,
  init: {
    method: string;
    headers: Record<string, string>;
    signal: AbortSignal;
    redirect: "manual";
    cache?: "no-store";
    body?: string;
  },
) => Promise<FetchLikeResponse>;

export interface FetchLikeResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: FetchLikeBody | null;
}

export interface FetchLikeBody {
  getReader(): {
    read(): Promise<{ done: boolean; value?: unknown }>;
    cancel(): Promise<void>;
  };
  cancel(): Promise<void>;
}

export function fetchTransport(fetchLike: FetchLike): Transport {
  const noStore = takesCache() ? ({ cache: "no-store" } as const) : {};
  return {
    async send(request: TransportRequest): Promise<TransportResponse> {
      const response = await fetchLike(request.url, {
        method: request.method,
        headers: { ...request.headers },
        signal: request.signal,
        redirect: "manual",
        ...noStore,
        ...(request.body === undefined ? {} : { body: request.body }),
      });
      const header = (name: string): string | undefined => response.headers.get(name) ?? undefined;
      if (response.status === 200 && response.body !== null) {
        return { status: 200, header, body: decodeUtf8(await readBounded(response.body)) };
      }
      await response.body?.cancel();
      return { status: response.status, header, body: "" };
    },
    close() {
      // Connections belong to the fetch that made them.
    },
  };
}

/**
 * Frameworks keep answers of a `fetch` (Next.js up to 14 does so unless told not to), and a kept answer is an old state.
 * Cloudflare Workers with a compatibility date before 2024-11-11 throw at the option, and keep nothing of a client's.
 */
function takesCache(): boolean {
  try {
    const init = { method: "GET", cache: "no-store" };
    return new Request("http://localhost/", init) instanceof Request;
  } catch {
    return false;
  }
}

async function readBounded(body: FetchLikeBody): Promise<Uint8Array> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concat(chunks, sizeBytes);
    if (!(value instanceof Uint8Array)) continue;
    sizeBytes += value.byteLength;
    if (sizeBytes > MAX_BODY_BYTES) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(value);
  }
}

function concat(chunks: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}
