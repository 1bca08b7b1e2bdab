/** What a command may touch of the outside world, handed in so that tests need no process. */

export interface Io {
  env: Readonly<Record<string, string | undefined>>;
  out(line: string): void;
  err(line: string): void;
  /** Replaces the line that is being counted up; only on a terminal. */
  progress: ((line: string) => void) | null;
  /** Asks a question and waits for a line, null when none comes any more; null where nobody sits at a terminal. */
  ask: ((question: string) => Promise<string | null>) | null;
  /** As `ask`, and what is typed is not shown; absent where nobody sits at a terminal. */
  askHidden?(question: string): Promise<string | null>;
  /** All that is handed in, for `-f -`; absent where nothing can be. */
  stdin?(): Promise<string>;
  fetch: typeof fetch;
  /** Unix time in milliseconds. */
  nowMs(): number;
  monotonicMs(): number;
  sleep(delayMs: number): Promise<void>;
}

/** The command could not be done; the message is for the person at the keyboard. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;

  constructor(message: string, exitCode = EXIT_FAILED) {
    super(message);
    this.exitCode = exitCode;
  }
}

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** The change is made, and not confirmed by every live instance. */
export const EXIT_UNCONFIRMED = 3;
/** `diff`: the environment is not as the file has it. */
export const EXIT_DIFFERENT = 4;
