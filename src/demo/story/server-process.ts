/**
 * The real server as a child process, on the embedded database unless it is given another: started, killed without
 * warning, started again on the same data and port. Used by the demo, the bench and the soak; loopback only.
 */
import { randomBytes } from "node:crypto";
import { type Child, startChild } from "../fleet/child.ts";
import { freePort } from "./free-port.ts";
import { waitUntil } from "./wait.ts";

/** A start after a SIGKILL waits for the dead process's lock to grow stale. */
const START_TIMEOUT_MS = 60_000;
const READY_LOOK_EVERY_MS = 25;
const TOKEN_BYTES = 24;
const OUTPUT_SHOWN_CHARS = 2_000;

export class ServerProcess {
  readonly url: string;
  readonly adminToken: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #script: string;
  #child: Child | null = null;

  private constructor(port: number, dataDir: string, env: Readonly<Record<string, string>>, script: string) {
    this.#script = script;
    this.url = `http://127.0.0.1:${port}`;
    this.adminToken = `andon_op_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
    this.#env = {
      PORT: String(port),
      ANDON_DATA_DIR: dataDir,
      ANDON_ADMIN_TOKEN: this.adminToken,
      ANDON_LOG_LEVEL: "warn",
      ...env,
    };
  }

  /**
   * Prepares a server on a free port; `start` starts it. The folder is made when it is missing. `env` goes over its
   * settings, such as `DATABASE_URL` for another database than the embedded one. `script` starts the server in its own way.
   */
  static async on(
    dataDir: string,
    env: Readonly<Record<string, string>> = {},
    script = "src/main.js",
  ): Promise<ServerProcess> {
    return new ServerProcess(await freePort(), dataDir, env, script);
  }

  /**
   * Starts it, with `env` over its settings this time. Resolves, with the milliseconds it took, when it can serve; throws with
   * what it printed otherwise.
   */
  async start(env: Readonly<Record<string, string>> = {}): Promise<number> {
    const child = startChild(this.#script, { ...this.#env, ...env });
    this.#child = child;
    let end: number | string | null = null;
    void child.ended.then((how) => (end = how));
    const tookMs = await waitUntil(async () => end !== null || this.#isReady(), START_TIMEOUT_MS, READY_LOOK_EVERY_MS);
    if (tookMs !== null && end === null) return tookMs;
    const why = end === null ? `was not ready within ${START_TIMEOUT_MS} ms` : `ended with ${String(end)}`;
    throw new Error(`The server ${why}. It printed:\n${child.output.slice(-OUTPUT_SHOWN_CHARS)}`);
  }

  /** SIGKILL: it gets no chance to say goodbye. Resolves when it is gone. */
  async killWithoutWarning(): Promise<void> {
    await this.#child?.stop("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#child?.stop();
  }

  /** Its process id; null when it does not run. */
  get pid(): number | null {
    return this.#child?.process.pid ?? null;
  }

  /** The one-time sign-in link that it printed, null when it printed none. */
  get signInLink(): string | null {
    return /\S+\/sign-in\?link=\S+/.exec(this.#child?.output ?? "")?.[0] ?? null;
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/readyz`);
      await response.arrayBuffer();
      return response.ok;
    } catch {
      // Not listening yet; the caller looks again until its time is up.
      return false;
    }
  }
}
