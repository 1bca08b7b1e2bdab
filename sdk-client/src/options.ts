/**
 * The options of a client, parsed once. A bad option never throws: it is named in `problems` and replaced by its default.
 * Without a usable `url` and `token` there is no `server`, and the client decides by bootstrap and `onUnknown`.
 */
import type { OnUnknown } from "./evaluate/evaluate.ts";
import { type LocalKill, parseLocalKill } from "./evaluate/local-override.ts";
import { type AndonLogger, isLogger } from "./logger.ts";
import { MAX_WAIT_SECONDS, type Snapshot } from "./wire/protocol.ts";
import { isObject } from "./wire/json.ts";
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
  const options: AndonOptions = isObject(given) ? given : {};
  const problems: string[] = [];
  const pick = <T, F>(name: keyof AndonOptions, isFit: (value: unknown) => value is T, otherwise: F, must: string) => {
    const value: unknown = options[name];
    if (isFit(value)) return value;
    if (value !== undefined) problems.push(`Option "${name}" must ${must}.`);
    return otherwise;
  };
  const number = (name: keyof AndonOptions, otherwise: number, least: number, most: number): number => {
    const isFit = (value: unknown): value is number => typeof value === "number" && value >= least && value <= most;
    return pick(name, isFit, otherwise, `be a number from ${least} to ${most}; using ${otherwise}`);
  };
  const header = (name: keyof AndonOptions): string | null =>
    pick(name, isHeaderText, null, "be 1 to 128 printable ASCII characters; ignored");
  pick("logger", isLogger, null, "have the methods debug, info, warn and error; using the console");
  return {
    server: server(options, env, (problem) => problems.push(problem)),
    flushIntervalMs: number("flushIntervalMs", 1_000, 100, 60_000),
    pollIntervalMs: number("pollIntervalMs", 5_000, 100, 3_600_000),
    waitSeconds: Math.min(Math.floor(number("waitSeconds", 25, 0, 300)), MAX_WAIT_SECONDS),
    cacheFile: pick("cacheFile", isPath, null, "be a path; not caching"),
    bootstrap: options.bootstrap,
    fetch: pick("fetch", isFetch, null, "be a function; using the default"),
    app: header("app"),
    instance: header("instance") ?? defaultInstance(),
    onUnknown: pick("onUnknown", isOnUnknown, "on", 'be "on" or "off"; using "on"'),
    localKill: parseLocalKill(env["ANDON_KILL"]),
    problems,
  };
}

function isHeaderText(value: unknown): value is string {
  return typeof value === "string" && HEADER_TEXT.test(value);
}

function isPath(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isFetch(value: unknown): value is FetchLike {
  return typeof value === "function";
}

function isOnUnknown(value: unknown): value is OnUnknown {
  return value === "on" || value === "off";
}

type Complain = (problem: string) => unknown;

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
