/** Bodies of pages, compressed off the event loop by what the browser takes. */
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

export type Encoding = "br" | "gzip" | "identity";

export interface Encoded {
  body: Uint8Array<ArrayBuffer>;
  headers: Readonly<{ Vary: string; "Content-Encoding"?: string }>;
}

/** Below it the frame of a compressed body costs as much as it saves. */
const MIN_BYTES = 512;
/** As fast as gzip's own default, and a fifth smaller. */
const BROTLI_QUALITY = 5;

const toBrotli = promisify(brotliCompress);
const toGzip = promisify(gzip);

/** What the `Accept-Encoding` of a request allows. */
export function encodingOf(accepted: string | undefined): Encoding {
  const names = (accepted ?? "").split(",").map((one) => one.trim().toLowerCase());
  for (const name of ["br", "gzip"] as const) {
    if (names.some((one) => one === name || (one.startsWith(`${name};`) && !/;\s*q=0(?:\.0+)?$/.test(one))))
      return name;
  }
  return "identity";
}

export async function encode(text: string | Buffer, encoding: Encoding): Promise<Encoded> {
  const plain = Buffer.from(text);
  if (encoding === "identity" || plain.byteLength < MIN_BYTES) {
    return { body: new Uint8Array(plain), headers: { Vary: "Accept-Encoding" } };
  }
  const packed = encoding === "br" ? await toBrotli(plain, brotliOptions(plain)) : await toGzip(plain);
  return { body: new Uint8Array(packed), headers: { Vary: "Accept-Encoding", "Content-Encoding": encoding } };
}

function brotliOptions(plain: Buffer) {
  return {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.byteLength,
    },
  };
}
