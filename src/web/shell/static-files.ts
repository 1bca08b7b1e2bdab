/**
 * The board's style sheet, script and icon, read and compressed once and served from memory under names that carry a
 * hash of their content: browsers may keep them for ever, and a new version is never mixed with an old one.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { Hono } from "hono";
import { type Encoding, encodingOf } from "./compress.ts";

const HASH_CHARS = 12;
const YEAR_SECONDS = 31_536_000;
const SOURCES = {
  "board.css": { type: "text/css; charset=utf-8", url: new URL("../assets/board.css", import.meta.url) },
  "board.js": { type: "text/javascript; charset=utf-8", url: new URL("../assets/board.js", import.meta.url) },
  "favicon.svg": { type: "image/svg+xml", url: new URL("../assets/favicon.svg", import.meta.url) },
} as const;
export type StaticFile = keyof typeof SOURCES;

interface Loaded {
  bodies: Readonly<Record<Encoding, Uint8Array<ArrayBuffer>>>;
  type: string;
  path: string;
}

let loaded: ReadonlyMap<string, Loaded> | undefined;

function load(): ReadonlyMap<string, Loaded> {
  return (loaded ??= new Map(
    Object.entries(SOURCES).map(([name, { type, url }]) => {
      const body = readFileSync(url);
      const hash = createHash("sha256").update(body).digest("hex").slice(0, HASH_CHARS);
      const dot = name.lastIndexOf(".");
      const bodies = {
        identity: new Uint8Array(body),
        gzip: new Uint8Array(gzipSync(body, { level: constants.Z_BEST_COMPRESSION })),
        br: new Uint8Array(brotliCompressSync(body)),
      };
      return [name, { bodies, type, path: `/assets/${name.slice(0, dot)}.${hash}${name.slice(dot)}` }];
    }),
  ));
}

/** The address of a file, with the hash of its content. */
export function assetPath(name: StaticFile): string {
  const file = load().get(name);
  if (file === undefined) throw new Error(`No such asset: ${name}`);
  return file.path;
}

/** `/assets/*` and `/favicon.ico`. */
export function staticFiles(): Hono {
  const app = new Hono();
  app.get("/assets/:file", (c) => {
    for (const file of load().values()) {
      if (file.path !== `/assets/${c.req.param("file")}`) continue;
      const encoding = encodingOf(c.req.header("Accept-Encoding"));
      return c.body(file.bodies[encoding], 200, {
        "Content-Type": file.type,
        ...(encoding !== "identity" && { "Content-Encoding": encoding }),
        Vary: "Accept-Encoding",
        "Cache-Control": `public, max-age=${YEAR_SECONDS}, immutable`,
        "X-Content-Type-Options": "nosniff",
      });
    }
    return c.text("Not found. Reload the page: its files have changed.", 404);
  });
  app.get("/favicon.ico", (c) => c.redirect(assetPath("favicon.svg"), 302));
  return app;
}
