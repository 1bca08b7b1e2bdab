/**
 * How the server is told what `ANDON_KILL` holds off in this process: an instance that refuses by itself must not look as
 * if it had applied a restore. And how the application is told of a name in it that no flag has.
 */
import type { LocalKill } from "../evaluate/local-override.ts";
import type { AndonLogger } from "../logger.ts";
import { LOCAL_MAX_CHARS } from "../wire/protocol.ts";

/** What a key of a flag can be made of, and a header can carry. */
const FIT = /^[\x21-\x2b\x2d-\x7e]+$/;

/** The value of `Andon-Local`; null when nothing is held off. `*` also when the names do not fit. */
export function localHeader(kill: LocalKill | null): string | null {
  if (kill === null) return null;
  if (kill.all) return "*";
  // A name that no header can carry is no flag's.
  const names = Array.from(kill.flags).filter((name) => FIT.test(name));
  if (names.length === 0) return null;
  const value = names.join(",");
  return value.length > LOCAL_MAX_CHARS ? "*" : value;
}

/** Says at the start what the override does, and later, once for each, which of its names no flag has. */
export class LocalNames {
  readonly #names: Set<string>;
  readonly #logger: AndonLogger;

  constructor(kill: LocalKill | null, logger: AndonLogger) {
    this.#names = new Set(kill?.flags);
    this.#names.delete("*");
    this.#logger = logger;
    if (kill !== null && !kill.all && localHeader(kill) === "*") {
      logger.warn(
        {},
        `ANDON_KILL names more than ${LOCAL_MAX_CHARS} characters of flags: Andon shows it as all of them`,
      );
    }
  }

  /** The flags of a snapshot that decides now. */
  check(flags: { has(key: string): boolean }): void {
    for (const name of this.#names) {
      this.#names.delete(name);
      if (flags.has(name)) continue;
      const shown = name.slice(0, 128);
      this.#logger.warn(
        { flag: shown },
        `ANDON_KILL names "${shown}", and Andon has no flag of that name: nothing is held off by it`,
      );
    }
  }
}
