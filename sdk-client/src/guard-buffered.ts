/**
 * A response whose body has been read to its end, readable once more. It stays the same `Response`: building another
 * copies every header and costs more than the rest of a guarded call. Invariant: it can be read once, like any other.
 */

/** Gives the response its body back. `bytes` is what was read from it. */
export function buffered(response: Response, bytes: ArrayBuffer): Response {
  const body = new BufferedBody(bytes);
  const { status, statusText, headers } = response;
  return Object.defineProperties(response, {
    bodyUsed: { get: () => body.isUsed },
    body: { get: () => body.stream },
    json: { value: async (): Promise<unknown> => JSON.parse(body.text()) },
    text: { value: async () => body.text() },
    arrayBuffer: { value: async () => body.take() },
    bytes: { value: async () => new Uint8Array(body.take()) },
    blob: { value: async () => new Blob([body.take()], { type: headers.get("content-type") ?? "" }) },
    clone: {
      value: () => new Response(body.peek(), { status, statusText, headers }),
    },
  });
}

const decoder = new TextDecoder();

class BufferedBody {
  readonly #bytes: ArrayBuffer;
  #stream: ReadableStream<Uint8Array> | null = null;
  #isTaken = false;

  constructor(bytes: ArrayBuffer) {
    this.#bytes = bytes;
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
    return decoder.decode(this.take());
  }
}
