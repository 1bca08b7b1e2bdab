/**
 * A response whose body has been read to its end, readable once more. It stays the same `Response`: building another
 * copies every header and costs more than the rest of a guarded call. Invariant: it can be read once, like any other.
 */
import { parseObject } from "../wire/json.ts";

/** A response that was read and can be read again, and what it says. */
export interface Buffered {
  response: Response;
  text: string;
  /** The body as an object; null when it is not the text of a JSON object. */
  message: Record<string, unknown> | null;
}

/** Reads the response to its end, and gives it its body back. */
export async function buffered(response: Marked): Promise<Buffered> {
  // Of two guards on one client, the outer one gives back what the inner one gave back.
  const inner = response[BODY];
  if (inner !== undefined) return inner.answer(response);
  const body = new BufferedBody(await bytesOf(response));
  response[BODY] = body;
  Object.setPrototypeOf(response, rereadable(response));
  return body.answer(response);
}

/** As `arrayBuffer()`, for little more than half its price on Node. Other libraries answer with streams of their own. */
async function bytesOf(response: Response): Promise<Uint8Array> {
  const reader = response.body?.getReader?.();
  if (reader === undefined) return new Uint8Array(await response.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    chunks.push(read.value);
    bytes += read.value.byteLength;
  }
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : joined(chunks, bytes);
}

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

const decoder = new TextDecoder();

const BODY = Symbol("andon.body");

type Marked = Response & { [BODY]?: BufferedBody };

function bodyOf(response: object): BufferedBody {
  const body: unknown = Reflect.get(response, BODY);
  if (!(body instanceof BufferedBody)) throw new TypeError("Illegal invocation");
  return body;
}

/** By prototype of a response: `fetch` implementations have their own. One object each, so that calls stay fast. */
const prototypes = new WeakMap<object, object>();

/** The prototype of responses that were read: the response's own, with the body's readers replaced. */
function rereadable(response: Response): object {
  const prototype: object = Object.getPrototypeOf(response);
  const known = prototypes.get(prototype);
  if (known !== undefined) return known;
  const made: object = Object.create(prototype, Object.getOwnPropertyDescriptors(READERS));
  prototypes.set(prototype, made);
  return made;
}

const READERS = {
  get bodyUsed(): boolean {
    return bodyOf(this).isUsed;
  },
  get body(): ReadableStream<Uint8Array> {
    return bodyOf(this).stream;
  },
  async json(): Promise<unknown> {
    return bodyOf(this).json();
  },
  async text(): Promise<string> {
    return bodyOf(this).text();
  },
  async arrayBuffer(): Promise<ArrayBuffer> {
    return new Uint8Array(bodyOf(this).take()).buffer;
  },
  async bytes(): Promise<Uint8Array> {
    return bodyOf(this).take();
  },
  async blob(this: Response): Promise<Blob> {
    return new Blob([bodyOf(this).take()], { type: this.headers.get("content-type") ?? "" });
  },
  clone(this: Response): Response {
    const { status, statusText, headers } = this;
    return new Response(bodyOf(this).peek(), { status, statusText, headers });
  },
};

class BufferedBody {
  readonly #bytes: Uint8Array;
  readonly #text: string;
  readonly #message: Record<string, unknown> | null;
  #given: ReadableStream<Uint8Array> | null = null;
  #real: ReadableStream<Uint8Array> | null = null;
  #isTaken = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#text = decoder.decode(bytes);
    this.#message = parseObject(this.#text);
  }

  /** What it says, unless somebody has read it. */
  answer(response: Response): Buffered {
    this.peek();
    return { response, text: this.#text, message: this.#message };
  }

  get isUsed(): boolean {
    return this.#isTaken;
  }

  /**
   * The bytes as a stream, the same at every call. The SDK asks every answer whether its body is locked, and hardly
   * anybody reads one: the stream itself, dearer than all else here, is made when more than that is asked of it.
   */
  get stream(): ReadableStream<Uint8Array> {
    const shape: ReadableStream<Uint8Array> = Object.create(ReadableStream.prototype);
    this.#given ??= new Proxy(shape, {
      get: (_, property) => {
        if (property === "locked" && this.#real === null) return false;
        const stream = this.#stream();
        const value: unknown = Reflect.get(stream, property, stream);
        if (typeof value !== "function") return value;
        const method: unknown = value.bind(stream);
        return method;
      },
    });
    return this.#given;
  }

  peek(): Uint8Array {
    if (this.#isTaken || this.#real?.locked === true) throw new TypeError("The body has already been read");
    return this.#bytes;
  }

  take(): Uint8Array {
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

  #stream(): ReadableStream<Uint8Array> {
    this.#real ??= new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          if (!this.#isTaken) controller.enqueue(this.take());
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return this.#real;
  }
}
