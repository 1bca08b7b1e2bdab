/**
 * The options of a client, parsed once. A bad option never throws: it is named in `problems` and replaced by its default.
 * Without a usable `url` and `token` there is no `server`, and the client decides by bootstrap and `onUnknown`.
 */
import type { OnUnknown } from "./evaluate/evaluate.ts";
import { type LocalKill, parseLocalKill } from "./evaluate/local-override.ts";
import { type AndonLogger, isLogger } from "./logger.ts";
import { MAX_WAIT_SECONDS, type Snapshot } from "./wire/protocol.ts";
import { builtin } from "./builtin.ts";
import type { FetchLike } from "./sync/transport-fetch.ts";

export interface AndonOptions {
  /** Address of the Andon server; `ANDON_URL` when not given. */
  url?: string | undefined;
  /** An `sdk` token; `ANDON_TOKEN` when not given. */
  token?: string | undefined;
  /** Pause between polls when the server does not park them, in milliseconds (5,000). */
  pollIntervalMs?: number | undefined;
  /** How long the server may park a poll, in seconds (25); 0 turns parking off. */
  waitSeconds?: number | undefined;
  /** Path of a file that keeps the last known state across restarts; off by default. */
  cacheFile?: string | undefined;
  /** State to decide by until the server answers. */
  bootstrap?: Snapshot | undefined;
  /** Pause between reports of usage, in milliseconds (1,000). */
  flushIntervalMs?: number | undefined;
  /** A pino-shaped logger; warnings and errors go to the console when not given. */
  logger?: AndonLogger | undefined;
  /**
   * Replaces the HTTP client, for a proxy for one. Node's global `fetch` keeps the process alive while a poll is parked; the
   * default does not.
   */
  fetch?: FetchLike | undefined;
  /** Name of the application, shown on the board. */
  app?: string | undefined;
  /** Name of this process, unique among those that run; made up when not given. */
  instance?: string | undefined;
  /** What flags answer that no snapshot knows: `"on"` (default) or `"off"`. */
  onUnknown?: OnUnknown | undefined;
}

export interface ResolvedOptions {
  /** `url` has no trailing slash. Null: nothing to poll. */
  readonly server: { readonly url: string; readonly token: string } | null;
  readonly flushIntervalMs: number;
  readonly pollIntervalMs: number;
  readonly waitSeconds: number;
  readonly cacheFile: string | null;
  readonly bootstrap: unknown;
  readonly fetch: FetchLike | null;
  readonly app: string | null;
  readonly instance: string;
  readonly onUnknown: OnUnknown;
  readonly localKill: LocalKill | null;
  /** One sentence per bad option, naming it and what was expected, never its value. */
  readonly problems: readonly string[];
}

type Env = Readonly<Record<string, string | undefined>>;

/** Text that is safe as the value of a header. */
const HEADER_TEXT = /^[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?$/;
const TOKEN_TEXT = /^[\x21-\x7e]{1,512}$/;
const MAX_HOST_LENGTH = 48;

/** Resolves what the constructor was given against the environment. Throws only when reading `options` itself throws. */
export function resolveOptions(given: AndonOptions | undefined, env: Env): ResolvedOptions {
  const options: AndonOptions = typeof given === "object" && given !== null ? given : {};
  const problems: string[] = [];
  const complain = (problem: string): void => {
    problems.push(problem);
  };
  const number = (
    name: "pollIntervalMs" | "waitSeconds" | "flushIntervalMs",
    fallback: number,
    range: [number, number],
  ) => {
    const value: unknown = options[name];
    if (value === undefined) return fallback;
    if (typeof value === "number" && value >= range[0] && value <= range[1]) return value;
    complain(`Option "${name}" must be a number from ${range[0]} to ${range[1]}; using ${fallback}.`);
    return fallback;
  };
  const header = (name: "app" | "instance"): string | null => {
    const value: unknown = options[name];
    if (value === undefined) return null;
    if (typeof value === "string" && HEADER_TEXT.test(value)) return value;
    complain(`Option "${name}" must be 1 to 128 printable ASCII characters; ignored.`);
    return null;
  };
  if (options.logger !== undefined && !isLogger(options.logger)) {
    complain('Option "logger" must have the methods debug, info, warn and error; using the console.');
  }
  return {
    server: server(options, env, complain),
    flushIntervalMs: number("flushIntervalMs", 1_000, [100, 60_000]),
    pollIntervalMs: number("pollIntervalMs", 5_000, [100, 3_600_000]),
    waitSeconds: Math.min(Math.floor(number("waitSeconds", 25, [0, 300])), MAX_WAIT_SECONDS),
    cacheFile: cacheFile(options.cacheFile, complain),
    bootstrap: options.bootstrap,
    fetch: fetchOption(options.fetch, complain),
    app: header("app"),
    instance: header("instance") ?? defaultInstance(),
    onUnknown: onUnknown(options.onUnknown, complain),
    localKill: parseLocalKill(env["ANDON_KILL"]),
    problems,
  };
}

type Complain = (problem: string) => void;

function server(options: AndonOptions, env: Env, complain: Complain): ResolvedOptions["server"] {
  const url = serverUrl(options.url ?? env["ANDON_URL"], complain);
  const token: unknown = options.token ?? env["ANDON_TOKEN"];
  const tokenIsFit = typeof token === "string" && TOKEN_TEXT.test(token);
  if (!tokenIsFit) {
    complain('Option "token" (or ANDON_TOKEN) must be an sdk token, without spaces; not polling.');
  }
  return url !== null && tokenIsFit ? { url, token } : null;
}

function serverUrl(value: unknown, complain: Complain): string | null {
  const parsed = typeof value === "string" ? parseUrl(value) : null;
  const isFit =
    parsed !== null &&
    (parsed.protocol === "http:" || parsed.protocol === "https:") &&
    parsed.username === "" &&
    parsed.password === "" &&
    parsed.search === "" &&
    parsed.hash === "";
  if (isFit) return parsed.href.replace(/\/+$/, "");
  complain('Option "url" (or ANDON_URL) must be an http(s) address without credentials or query; not polling.');
  return null;
}

function parseUrl(text: string): URL | null {
  try {
    return new URL(text.trim());
  } catch {
    // URL has no parser that answers "no" on Node 20; the caller names the option.
    return null;
  }
}

function cacheFile(value: unknown, complain: Complain): string | null {
  if (value === undefined || (typeof value === "string" && value !== "")) return value ?? null;
  complain('Option "cacheFile" must be a path; not caching.');
  return null;
}

function fetchOption(value: FetchLike | undefined, complain: Complain): FetchLike | null {
  if (value === undefined || typeof value === "function") return value ?? null;
  complain('Option "fetch" must be a function; using the default.');
  return null;
}

function onUnknown(value: unknown, complain: Complain): OnUnknown {
  if (value === "off" || value === "on") return value;
  if (value !== undefined) complain('Option "onUnknown" must be "on" or "off"; using "on".');
  return "on";
}

/** Readable first, unique wherever chance is to be had: `host-7-1b9d6bcd-…`. */
function defaultInstance(): string {
  const host = orEmpty(() => builtin("node:os")?.hostname())
    .replaceAll(/[^A-Za-z0-9.-]/g, "")
    .slice(0, MAX_HOST_LENGTH);
  // Cloudflare Workers have no chance outside of a request: there `Andon-Boot` alone tells instances apart.
  const id = orEmpty(() => globalThis.crypto.randomUUID());
  return [host, id].filter((part) => part !== "").join("-") || "isolate";
}

/** Some sandboxes forbid asking, by throwing. */
function orEmpty(ask: () => string | undefined): string {
  try {
    return ask() ?? "";
  } catch {
    return "";
  }
}
