/** A snapshot server on a real socket: serves and parks as the protocol says, until a fault is injected. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Snapshot } from "../../../sdk-client/src/wire/protocol.ts";

export type Fault = (request: IncomingMessage, response: ServerResponse) => void;

export interface SeenRequest {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

export class SnapshotServer {
  readonly requests: SeenRequest[] = [];
  /** Headers added to every snapshot answer. */
  headers: Record<string, string> = {};
  /** False: answers at once in spite of `Prefer`. */
  parks = true;
  #snapshot: Snapshot;
  #fault: Fault | null = null;
  readonly #parked = new Map<ServerResponse, IncomingMessage>();
  readonly #arrivals = new Set<() => void>();
  readonly #server = createServer((request, response) => this.#handle(request, response));

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  /** Listens; `port` 0 is any free one. Returns the url. */
  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => {
      this.#server.listen(port, "127.0.0.1", resolve);
    });
    return `http://127.0.0.1:${this.port}`;
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return address.port;
  }

  get parkedCount(): number {
    return this.#parked.size;
  }

  get polls(): readonly SeenRequest[] {
    return this.requests.filter((request) => request.method === "GET");
  }

  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#answerParked();
  }

  /** From now on, for parked polls too. */
  inject(fault: Fault): void {
    this.#fault = fault;
    this.#answerParked();
  }

  recover(): void {
    this.#fault = null;
  }

  /** Answers parked polls as a server does whose waiting time is up. */
  expireParked(): void {
    for (const response of this.#parked.keys()) response.writeHead(304, this.headers).end();
    this.#parked.clear();
  }

  /** Resolves when the condition holds after some request, at once if it does already. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(30_000);
    while (!condition()) {
      if (deadline.aborted) throw new Error(`not reached after ${this.requests.length} requests`);
      await new Promise<void>((resolve) => {
        this.#arrivals.add(resolve);
        deadline.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  closeIdleConnections(): void {
    this.#server.closeIdleConnections();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push({ method: request.method, path: request.url, headers: request.headers });
    response.on("close", () => this.#parked.delete(response));
    this.#answer(request, response);
    for (const wake of this.#arrivals) wake();
    this.#arrivals.clear();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (this.#fault !== null) {
      this.#fault(request, response);
    } else if (request.method === "DELETE") {
      response.writeHead(204).end();
    } else if (request.headers["if-none-match"] !== `"${this.#snapshot.revision}"`) {
      const headers = { "content-type": "application/json", etag: `"${this.#snapshot.revision}"`, ...this.headers };
      response.writeHead(200, headers).end(JSON.stringify(this.#snapshot));
    } else if (this.parks && request.headers["prefer"] !== undefined) {
      this.#parked.set(response, request);
    } else {
      response.writeHead(304, this.headers).end();
    }
  }

  #answerParked(): void {
    for (const [response, request] of Array.from(this.#parked)) {
      this.#parked.delete(response);
      this.#answer(request, response);
    }
  }
}
