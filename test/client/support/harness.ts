/** A client on a manual clock against a scripted server, and a way to follow its polls one by one. */
import { setImmediate as turn } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { Andon, type AndonLogger, type AndonOptions, type Snapshot } from "../../../sdk-client/src/index.ts";
import { ManualRuntime } from "./manual-runtime.ts";
import { SnapshotServer } from "./snapshot-server.ts";
import { makeSnapshot } from "./snapshots.ts";

export interface LogLine {
  readonly level: keyof AndonLogger;
  readonly fields: object;
  readonly message: string;
}

export interface Polled {
  readonly outcome: string;
  readonly delayMs: number;
}

const REAL_TIMEOUT_MS = 30_000;
export const TOKEN = "andon_sdk_0123456789abcdef";

export class Follower {
  readonly lines: LogLine[] = [];
  readonly #polled: Polled[] = [];
  #wake: () => void = () => undefined;

  readonly logger: AndonLogger = {
    debug: (fields, message) => this.#add("debug", fields, message),
    info: (fields, message) => this.#add("info", fields, message),
    warn: (fields, message) => this.#add("warn", fields, message),
    error: (fields, message) => this.#add("error", fields, message),
  };

  /** The next poll that ended, in order; none is skipped. */
  async nextPolled(): Promise<Polled> {
    const deadline = AbortSignal.timeout(REAL_TIMEOUT_MS);
    for (;;) {
      const polled = this.#polled.shift();
      if (polled !== undefined) {
        // The pause that follows is started in the same turn.
        await turn();
        return polled;
      }
      if (deadline.aborted) throw new Error(`no poll ended; log: ${JSON.stringify(this.lines.slice(-3))}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        deadline.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  #add(level: keyof AndonLogger, fields: object, message: string): void {
    this.lines.push({ level, fields, message });
    if ("delayMs" in fields && "outcome" in fields) {
      this.#polled.push({ outcome: String(fields.outcome), delayMs: Number(fields.delayMs) });
      this.#wake();
    }
  }
}

export interface Harness extends Follower {
  readonly runtime: ManualRuntime;
  readonly server: SnapshotServer;
  readonly andon: Andon;
  readonly url: string;
  /** Lets time pass, then what it set off start. */
  pass(ms: number): Promise<void>;
  /** The next poll that failed; polls before it are followed and their pauses pass. */
  nextFailure(): Promise<Polled>;
  /** Follows polls and lets their pauses pass until the condition holds; answers the virtual time it took. */
  passUntil(condition: () => boolean, limitMs: number): Promise<number>;
}

/** Starts both; ends them with the test. */
export async function startHarness(
  options: AndonOptions & { snapshot?: Snapshot; runtime?: ManualRuntime } = {},
): Promise<Harness> {
  const { snapshot = makeSnapshot("a.1"), runtime = new ManualRuntime(), ...clientOptions } = options;
  const server = new SnapshotServer(snapshot);
  const url = await server.listen();
  const follower = new Follower();
  const andon = startClient({ url, logger: follower.logger, ...clientOptions }, runtime);
  onTestFinished(() => server.close());
  const pass = async (ms: number): Promise<void> => {
    runtime.advance(ms);
    await turn();
  };
  const nextFailure = async (): Promise<Polled> => {
    for (;;) {
      const polled = await follower.nextPolled();
      if (polled.outcome === "failed") return polled;
      await pass(polled.delayMs);
    }
  };
  const passUntil = async (condition: () => boolean, limitMs: number): Promise<number> => {
    let passedMs = 0;
    while (!condition()) {
      const { delayMs } = await follower.nextPolled();
      if (condition()) break;
      passedMs += delayMs;
      if (passedMs > limitMs) throw new Error(`not reached within ${limitMs} ms`);
      await pass(delayMs);
    }
    return passedMs;
  };
  return Object.assign(follower, { runtime, server, andon, url, pass, nextFailure, passUntil });
}

/** A client that is closed with the test. */
export function startClient(options: AndonOptions, runtime: ManualRuntime, env: Record<string, string> = {}): Andon {
  const andon = new Andon({ token: TOKEN, instance: "instance-1", ...options }, { runtime, env });
  onTestFinished(async () => {
    const closed = andon.close();
    await turn();
    // A server that hangs is waited for no longer than this.
    runtime.advance(1_000);
    await closed;
  });
  return andon;
}
