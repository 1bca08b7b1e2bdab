/** Says which flags the application asks for and Andon does not have: a misspelt key looks guarded, and nothing guards it. */
import type { GuardLogger } from "../guard-host.ts";

/** More names than this are made up while the application runs, which is worth no further line. */
const MAX_TOLD = 100;

export class UnknownFlags {
  readonly #logger: GuardLogger;
  readonly #told = new Set<string>();

  constructor(logger: GuardLogger) {
    this.#logger = logger;
  }

  /** Warns of `flag`, once. Never throws. */
  tell(flag: string): void {
    if (typeof flag !== "string" || this.#told.has(flag) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(flag);
    const unknown = `Andon has no flag "${flag.slice(0, 128)}" in this environment`;
    const meanwhile = "onUnknown decides, and only the master switch can turn it off";
    this.#logger.warn({ flag }, `${unknown}: ${meanwhile}. Create the flag, or correct its key`);
  }
}
