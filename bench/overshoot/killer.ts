/** SIGKILL to clients and to a server at random moments of a run; the server comes back, clients do not. */
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "../../src/demo/fleet/child.ts";
import type { ServerProcess } from "../../src/demo/story/server-process.ts";

/** Of ten clients, so many die. */
const CLIENTS_OF_TEN = 3;
const EVERY_MS = { min: 150, max: 700 };

export class Killer {
  readonly #clients: readonly Child[];
  readonly #servers: readonly ServerProcess[];
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #killed = 0;
  readonly #died: (client: number) => Promise<void>;

  /** @param died called for each client that was killed, by its number, a moment after its death */
  constructor({
    clients,
    servers,
    died,
  }: {
    clients: readonly Child[];
    servers: readonly ServerProcess[];
    died: (client: number) => Promise<void>;
  }) {
    this.#clients = clients;
    this.#servers = servers;
    this.#died = died;
  }

  start(): void {
    this.#work = this.#run();
  }

  /** Kills no more; every server runs again. Answers how many processes were killed. */
  async stop(): Promise<number> {
    this.#stop.abort();
    await this.#work;
    return this.#killed;
  }

  async #run(): Promise<void> {
    // The first server is asked about the budget meanwhile.
    const server = this.#servers.at(-1);
    const victims = [...this.#clients.entries()].filter(([client]) => client % 10 < CLIENTS_OF_TEN);
    await this.#pause();
    for (const [n, [client, victim]] of victims.entries()) {
      if (this.#stop.signal.aborted) return;
      await victim.stop("SIGKILL");
      this.#killed += 1;
      if (n === 0 && server !== undefined) {
        await server.killWithoutWarning();
        this.#killed += 1;
        await this.#pause();
        await server.start();
      }
      await this.#pause();
      await this.#died(client);
    }
  }

  async #pause(): Promise<void> {
    try {
      await sleep(randomInt(EVERY_MS.min, EVERY_MS.max), undefined, { signal: this.#stop.signal });
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }
}
