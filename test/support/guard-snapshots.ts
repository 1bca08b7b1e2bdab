/**
 * A snapshot server that says what a test tells it: it parks polls and answers them on every change. It speaks only the
 * part of the protocol that a client in good weather needs.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Rule, Snapshot, SnapshotFlag } from "../../sdk-client/src/wire/protocol.ts";

export const FLAG = "support-chat";
export const OPUS = "claude-opus-5-5";
export const SONNET = "claude-sonnet-5-5";
export const HAIKU = "claude-haiku-4-5";

export function flagOf(changes: Partial<SnapshotFlag> = {}): SnapshotFlag {
  return {
    state: "on",
    level: 0,
    chain: "default",
    rollout: 100,
    ramp: null,
    salt: "salt",
    rules: [],
    offMode: "error",
    offMessage: null,
    abortInFlight: true,
    clampMaxTokens: false,
    chainOnly: false,
    ...changes,
  };
}

/** A rule that refuses one user. */
export function offFor(user: string): Rule {
  const when = [{ attribute: "targetingKey", operator: "equals" as const, value: user }];
  return JSON.parse(JSON.stringify({ when }).replace(/}$/, ',"then":"off"}'));
}

export function snapshotOf(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    version: 1,
    environment: "test",
    revision: "a.1",
    committedAtMs: 0,
    master: { state: "on" },
    flags: { [FLAG]: flagOf() },
    chains: { default: { steps: [{ model: OPUS }, { model: SONNET }, { model: HAIKU }] } },
    blockedModels: [],
    ...changes,
  };
}

export class SnapshotServer {
  readonly #server = createServer((req, res) => this.#serve(req, res));
  readonly #parked = new Set<ServerResponse>();
  #snapshot: Snapshot;
  #n = 1;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `http://127.0.0.1:${address.port}`;
  }

  /** Publishes the next revision and returns it. */
  change(changes: Partial<Snapshot>): string {
    this.#n += 1;
    this.#snapshot = { ...this.#snapshot, ...changes, revision: `a.${this.#n}` };
    for (const res of this.#parked) this.#send(res);
    this.#parked.clear();
    return this.#snapshot.revision;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    req.resume();
    if (req.method !== "GET") {
      res.writeHead(204).end();
    } else if (req.headers["if-none-match"] === `"${this.#snapshot.revision}"`) {
      this.#parked.add(res);
      res.once("close", () => this.#parked.delete(res));
    } else {
      this.#send(res);
    }
  }

  #send(res: ServerResponse): void {
    res.writeHead(200, { "content-type": "application/json", etag: `"${this.#snapshot.revision}"` });
    res.end(JSON.stringify(this.#snapshot));
  }
}
