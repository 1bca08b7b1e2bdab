/** Answers that whoever asks within a while shares. A failure is not an answer to keep for those who ask next. */
import type { Ctx, Deps } from "../../deps.ts";

interface Kept<T> {
  atMs: number;
  /** What was asked: another question is not answered with this. */
  asked: string;
  value: Promise<T>;
}

/** Keeps the last answer about each subject for `keptMs`, for each server apart. */
export class Memo<T> {
  readonly #keptMs: number;
  readonly #servers = new WeakMap<Deps, Map<string, Kept<T>>>();

  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  async get({ deps }: Ctx, subject: string, asked: string, query: () => Promise<T>): Promise<T> {
    const kept = this.#servers.get(deps) ?? new Map<string, Kept<T>>();
    this.#servers.set(deps, kept);
    const known = kept.get(subject);
    const atMs = deps.clock.monotonicMs();
    if (known !== undefined && known.asked === asked && atMs - known.atMs < this.#keptMs) return known.value;
    const entry = { atMs, asked, value: query() };
    kept.set(subject, entry);
    try {
      return await entry.value;
    } catch (error) {
      if (kept.get(subject) === entry) kept.delete(subject);
      throw error;
    }
  }
}
