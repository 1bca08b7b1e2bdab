/**
 * The application processes of the demo and what they report. Invariant: what is kept is bounded; a process that ends
 * by itself is a failure that the next look at the fleet throws.
 */
import { type AppOrder, appReportSchema, type CallReport } from "./app-report.ts";
import { type Child, startChild } from "./child.ts";
import { waitUntil } from "../story/wait.ts";

const READY_TIMEOUT_MS = 10_000;
const MAX_CALLS_KEPT = 20_000;
const OUTPUT_SHOWN_CHARS = 2_000;

interface App {
  readonly name: string;
  readonly child: Child;
  isReady: boolean;
  /** Newest applied revision and when, Unix milliseconds. */
  revision: string | null;
  appliedAtMs: number;
  aborted: number;
}

export class Fleet {
  readonly #apps: App[];
  #calls: CallReport[] = [];
  #fault: Error | null = null;
  #isStopping = false;

  private constructor(names: readonly string[], env: Readonly<Record<string, string>>) {
    this.#apps = names.map((name) => this.#start(name, env));
  }

  /** Starts one process per name. Resolves when all of them are ready; throws with what one printed otherwise. */
  static async start(names: readonly string[], env: Readonly<Record<string, string>>): Promise<Fleet> {
    const fleet = new Fleet(names, env);
    const readyMs = await waitUntil(() => fleet.#all().every((app) => app.isReady), READY_TIMEOUT_MS);
    if (readyMs === null) throw new Error(`Not every application was ready within ${READY_TIMEOUT_MS} ms.`);
    return fleet;
  }

  get size(): number {
    return this.#apps.length;
  }

  /** Running calls ended by kills since the start, of all processes. */
  get aborted(): number {
    return this.#all().reduce((sum, app) => sum + app.aborted, 0);
  }

  /** The calls that were started at or after this moment (Unix milliseconds) and have ended. */
  callsSince(startedAtMs: number): CallReport[] {
    return this.#all().length === 0 ? [] : this.#calls.filter((call) => call.startedAtMs >= startedAtMs);
  }

  /** The calls that have ended at or after this moment (Unix milliseconds). */
  callsEndedSince(endedAtMs: number): CallReport[] {
    return this.#all().length === 0 ? [] : this.#calls.filter((call) => call.endedAtMs >= endedAtMs);
  }

  /**
   * Waits until every process has applied the revision. When the last of them did, Unix milliseconds; null when the
   * time was up first.
   */
  async applied(revision: string, timeoutMs: number): Promise<number | null> {
    const took = await waitUntil(() => this.#all().every((app) => app.revision === revision), timeoutMs);
    return took === null ? null : Math.max(...this.#apps.map((app) => app.appliedAtMs));
  }

  /** From now on so many agents work in each process. */
  setAgents(agents: number): void {
    const order: AppOrder = { agents };
    for (const app of this.#all()) app.child.process.send(order);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#apps.map((app) => app.child.stop("SIGKILL")));
  }

  /** The processes; throws when one of them has gone. */
  #all(): readonly App[] {
    if (this.#fault !== null) throw this.#fault;
    return this.#apps;
  }

  #start(name: string, env: Readonly<Record<string, string>>): App {
    const child = startChild("src/demo/fleet/app.js", { ...env, DEMO_APP: name });
    const app: App = { name, child, isReady: false, revision: null, appliedAtMs: 0, aborted: 0 };
    child.process.on("message", (message) => this.#take(app, message));
    void child.ended.then((how) => {
      if (this.#isStopping) return;
      this.#fault = new Error(`${name} ended with ${String(how)}:\n${child.output.slice(-OUTPUT_SHOWN_CHARS)}`);
    });
    return app;
  }

  #take(app: App, message: unknown): void {
    const report = appReportSchema.safeParse(message);
    if (!report.success) {
      this.#fault = new Error(`${app.name} sent a report of another shape: ${report.error.message}`);
      return;
    }
    switch (report.data.type) {
      case "ready":
        app.isReady = true;
        break;
      case "applied":
        app.revision = report.data.revision;
        app.appliedAtMs = report.data.atMs;
        app.aborted = report.data.aborted;
        break;
      case "call":
        this.#calls.push(report.data);
        if (this.#calls.length > MAX_CALLS_KEPT) this.#calls = this.#calls.slice(MAX_CALLS_KEPT / 2);
        break;
    }
  }
}
