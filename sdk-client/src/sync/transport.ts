/**
 * What polling needs of HTTP: one request, one answer with a bounded body, redirects not followed (the token must not
 * travel to another host). Implementations: transport-node.ts and transport-fetch.ts.
 */

export interface TransportRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Of a POST: what is sent, as JSON. */
  readonly body?: string;
}

export interface TransportResponse {
  readonly status: number;
  /** By lower-case name. */
  header(name: string): string | undefined;
  /** The decoded body of a 200, `""` for any other status. */
  readonly body: string;
}

export interface Transport {
  /** Rejects with {@link BodyError}, or with whatever the network said. */
  send(request: TransportRequest): Promise<TransportResponse>;
  /** Lets go of idle connections. */
  close(): void;
}

/** Bound of a snapshot's body, decompressed. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** The answer arrived but its body cannot be used: too large, or not UTF-8. */
export class BodyError extends Error {
  override readonly name = "BodyError";
}

/** Decodes UTF-8; throws {@link BodyError} on bytes that are not. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new BodyError("body is not UTF-8", { cause });
  }
}

/** The refusal of a body beyond {@link MAX_BODY_BYTES}. */
export function tooLarge(): BodyError {
  return new BodyError(`body exceeds ${MAX_BODY_BYTES} bytes`);
}
