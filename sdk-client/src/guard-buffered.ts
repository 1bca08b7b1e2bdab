/**
 * A response whose body has been read to its end, readable once more. It stays the same `Response`: building another
 * copies every header and costs more than the rest of a guarded call. Invariant: it can be read once, like any other.
 */
import { parseBody } from "./guard-request.ts";

/** A response that can be read again, and what it says. */
export interface Buffered {
  response: Response;
  text: string;
  /** The body as an object; null when it is not the text of a JSON object. */
  message: Record<string, unknown> | null;
}

/** Gives the response its body back. `bytes` is what was read from it. */
export function buffered(response: Response, bytes: ArrayBuffer): Buffered {
  const text = decoder.decode(bytes);
  const message = parseBody(text);
  const body = new BufferedBody(bytes, text, message);
  const { status, statusText, headers } = response;
  define(response, {
    bodyUsed: { get: () => body.isUsed },
    body: { get: () => body.stream },
    json: { value: async () => body.json() },
    text: { value: async () => body.text() },
    arrayBuffer: { value: async () => body.take() },
    bytes: { value: async () => new Uint8Array(body.take()) },
    blob: { value: async () => new Blob([body.take()], { type: headers.get("content-type") ?? "" }) },
    clone: {
      value: () => new Response(body.peek(), { status, statusText, headers }),
    },
  });
  return { response, text, message };
}

const decoder = new TextDecoder();

/** Configurable: of two guards on one client, the outer one gives back what the inner one gave back. */
function define(response: Response, properties: PropertyDescriptorMap): void {
  for (const property of Object.values(properties)) property.configurable = true;
  Object.defineProperties(response, properties);
}

class BufferedBody {
  readonly #bytes: ArrayBuffer;
  readonly #text: string;
  readonly #message: Record<string, unknown> | null;
  #stream: ReadableStream<Uint8Array> | null = null;
  #isTaken = false;

  constructor(bytes: ArrayBuffer, text: string, message: Record<string, unknown> | null) {
    this.#bytes = bytes;
    this.#text = text;
    this.#message = message;
  }

  get isUsed(): boolean {
    return this.#isTaken;
  }

  /** The bytes as a stream, the same at every call. */
  get stream(): ReadableStream<Uint8Array> {
    this.#stream ??= new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          if (!this.#isTaken) controller.enqueue(new Uint8Array(this.take()));
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return this.#stream;
  }

  peek(): ArrayBuffer {
    if (this.#isTaken || this.#stream?.locked === true) throw new TypeError("The body has already been read");
    return this.#bytes;
  }

  take(): ArrayBuffer {
    if (this.#isTaken) throw new TypeError("The body has already been read");
    this.#isTaken = true;
    return this.#bytes;
  }

  text(): string {
    this.take();
    return this.#text;
  }

  /** Parsed once: the guard has read it already. A body that is no object fails as it does without the guard. */
  json(): unknown {
    const text = this.text();
    return this.#message ?? JSON.parse(text);
  }
}
