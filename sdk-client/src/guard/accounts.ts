/**
 * Accounts of the provider that are out of money, or whose key is not accepted. While one is out of money its calls get
 * what the provider last said, without being sent; single ones probe it. Invariants: any answer that was asked for since
 * ends it; a key that is not accepted holds nothing back; no timer.
 */
import type { RequestLike } from "./types.ts";

/** Between probes; doubled by each. */
const FIRST_PAUSE_MS = 5_000;
const MAX_PAUSE_MS = 30_000;
/** A 400 tells it by its words alone: so many in a row are believed. */
const WORDS_TO_BELIEVE = 3;
/** A key that is not accepted is told of at once, and after this time again. */
const TOLD_AGAIN_MS = 60_000;
/** An application may call with a key of each of its customers: the one that failed longest ago is forgotten first. */
const MAX_ACCOUNTS = 1_000;

/** What the provider said. */
interface Said {
  status: number;
  headers: Headers;
  text: string;
}

interface Out {
  /** Without an answer between them. */
  refusals: number;
  /** Of the first of these. All times are monotonic, in milliseconds. */
  sinceMs: number;
  toldMs: number;
  /** Null while calls are sent: nothing is held back yet. */
  held: { said: Said; probeMs: number; pauseMs: number } | null;
}

/** Who pays for a request, for which flag: by the key it is sent with, where it is sent to. */
interface Payer {
  request: RequestLike;
  flag: string;
}

export class Accounts {
  readonly #out = new Map<string, Out>();

  /** Nothing need be asked while none has failed. */
  get hasOut(): boolean {
    return this.#out.size > 0;
  }

  /** What the call gets without being sent; null when it may be sent. */
  held(payer: Payer, nowMs: number): Response | null {
    const held = this.#out.get(keyOf(payer))?.held ?? null;
    if (held === null) return null;
    if (held.probeMs > nowMs) return responseOf(held.said);
    held.probeMs = nowMs + held.pauseMs;
    held.pauseMs = Math.min(held.pauseMs * 2, MAX_PAUSE_MS);
    return null;
  }

  /** The account is out of money. True when its calls are held back from now on. */
  outOfMoney(payer: Payer, said: Said, nowMs: number): boolean {
    const out = this.#failed(payer, nowMs);
    if (out.held !== null) {
      out.held.said = said;
      return false;
    }
    if (said.status === 400 && out.refusals < WORDS_TO_BELIEVE) return false;
    out.held = { said, probeMs: nowMs + FIRST_PAUSE_MS, pauseMs: 2 * FIRST_PAUSE_MS };
    return true;
  }

  /** The key is not accepted. True when Andon is to be told at once. */
  revoked(payer: Payer, nowMs: number): boolean {
    const out = this.#failed(payer, nowMs);
    if (nowMs - out.toldMs < TOLD_AGAIN_MS) return false;
    out.toldMs = nowMs;
    return true;
  }

  /** The account answers a call that was sent then: for every flag. */
  answered(request: RequestLike, startedMs: number): void {
    const account = accountOf(request);
    for (const [key, { sinceMs }] of this.#out) {
      if (key.startsWith(account) && sinceMs <= startedMs) this.#out.delete(key);
    }
  }

  #failed(payer: Payer, nowMs: number): Out {
    const key = keyOf(payer);
    const known = this.#out.get(key);
    const out = known ?? { refusals: 0, sinceMs: nowMs, toldMs: Number.NEGATIVE_INFINITY, held: null };
    out.refusals += 1;
    this.#out.delete(key);
    for (const oldest of this.#out.keys()) {
      if (this.#out.size < MAX_ACCOUNTS) break;
      this.#out.delete(oldest);
    }
    this.#out.set(key, out);
    return out;
  }
}

function keyOf({ request, flag }: Payer): string {
  return `${accountOf(request)}${flag}`;
}

/** Clouds sign after the guard: there the address alone tells. */
function accountOf({ url, headers }: RequestLike): string {
  const key = headers.get("x-api-key") ?? headers.get("authorization") ?? "";
  return `${new URL(url).origin}\n${key}\n`;
}

function responseOf({ status, headers, text }: Said): Response {
  const copy = new Response(text, { status, headers: new Headers(headers) });
  // It is of no request of its own.
  for (const name of ["request-id", "retry-after", "retry-after-ms", "content-length", "content-encoding"]) {
    copy.headers.delete(name);
  }
  copy.headers.set("x-should-retry", "false");
  return copy;
}

const byHost = new WeakMap<object, Accounts>();

/** What all guards of one host have learnt of accounts. */
export function accountsOf(host: object): Accounts {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new Accounts();
  byHost.set(host, made);
  return made;
}
