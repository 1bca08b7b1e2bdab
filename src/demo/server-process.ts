/**
 * The real server as a child process on the embedded database: started, killed without warning, started again on the
 * same folder and port. Used by the demo and the bench; loopback only.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { type Child, startChild } from "./child.ts";
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
  #child: Child | null = null;

  private constructor(port: number, dataDir: string) {
    this.url = `http://127.0.0.1:${port}`;
    this.adminToken = `andon_op_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
    this.#env = {
      PORT: String(port),
      ANDON_DATA_DIR: dataDir,
      ANDON_ADMIN_TOKEN: this.adminToken,
      ANDON_LOG_LEVEL: "warn",
    };
  }

  /** Prepares a server on a free port; `start` starts it. The folder is made when it is missing. */
  static async on(dataDir: string): Promise<ServerProcess> {
    return new ServerProcess(await freePort(), dataDir);
  }

  /** Starts it. Resolves, with the milliseconds it took, when it can serve; throws with what it printed otherwise. */
  async start(): Promise<number> {
    const child = startChild("src/main.js", this.#env);
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

/** Free when asked. A port, and not 0, because a server that starts again must be found where it was. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("the system gave no TCP port");
  return address.port;
}
