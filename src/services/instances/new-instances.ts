/**
 * Who may be counted as a new instance: one token that makes up names must not push out the instances of others. What is
 * refused is served all the same, and told: at least so many names of which token.
 */
import type { NotCountedBecause } from "../../domain/fleet.ts";

/** New names of one token that are believed at once: a fleet of 5,000 may be replaced twice. */
export const NEW_NAMES_MAX = 10_000;
/** In this time as many more are. A name that says goodbye gives its place back. */
const REFILL_MS = 3_600_000;
/** Refused names that are told apart per token; "at least" so many is what is said. */
const REFUSED_MAX = 10_000;
/** A refused name counts for so long after its last poll, as a live instance does. */
const REFUSED_MS = 90_000;

export interface Refused {
  environmentId: string;
  tokenId: string;
  because: NotCountedBecause;
  atLeast: number;
}

interface Token {
  environmentId: string;
  tokenId: string;
  places: number;
  atMs: number;
  because: NotCountedBecause;
  refused: Map<string, number>;
}

export class NewInstances {
  readonly #tokens = new Map<string, Token>();

  /** True when a name that is not known takes one of its token's places. */
  admit(environmentId: string, tokenId: string, nowMs: number): boolean {
    const token = this.#token(environmentId, tokenId, nowMs);
    if (token.places < 1) return false;
    token.places -= 1;
    return true;
  }

  /** The name has said goodbye. */
  giveBack(environmentId: string, tokenId: string, nowMs: number): void {
    const token = this.#token(environmentId, tokenId, nowMs);
    token.places = Math.min(NEW_NAMES_MAX, token.places + 1);
  }

  /** Notes a client that is served and not counted. */
  refuse(refused: Omit<Refused, "atLeast">, name: string, nowMs: number): void {
    const token = this.#token(refused.environmentId, refused.tokenId, nowMs);
    token.because = refused.because;
    if (token.refused.size < REFUSED_MAX || token.refused.has(name)) token.refused.set(name, nowMs);
  }

  /** What was refused of late. */
  refused(nowMs: number): Refused[] {
    const all: Refused[] = [];
    for (const { environmentId, tokenId, because, refused } of this.#tokens.values()) {
      for (const [name, atMs] of refused) if (nowMs - atMs > REFUSED_MS) refused.delete(name);
      if (refused.size > 0) all.push({ environmentId, tokenId, because, atLeast: refused.size });
    }
    return all;
  }

  #token(environmentId: string, tokenId: string, nowMs: number): Token {
    const key = `${environmentId} ${tokenId}`;
    let token = this.#tokens.get(key);
    if (token === undefined) {
      token = { environmentId, tokenId, places: NEW_NAMES_MAX, atMs: nowMs, because: "new names", refused: new Map() };
      this.#tokens.set(key, token);
    }
    token.places = Math.min(NEW_NAMES_MAX, token.places + ((nowMs - token.atMs) / REFILL_MS) * NEW_NAMES_MAX);
    token.atMs = nowMs;
    return token;
  }
}
