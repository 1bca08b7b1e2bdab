/**
 * Runs the jobs on one server at a time: the one that holds the lead in the database. A job that fails is logged and
 * tried again at its next turn; a lead lost with its connection goes to whichever server asks first. What reads or removes
 * much has a line of its own: the end of a kill or of a budget's window never waits for it.
 */
import type { Deps } from "../deps.ts";
import { isDatabaseAway } from "../database-away.ts";

export interface Job {
  name: string;
  everyMs: number;
  /** May take seconds: one of these at a time, beside the others. */
  isLong?: true;
  run(deps: Deps): Promise<void>;
}

const TICK_MS = 1000;

export class JobRunner {
  readonly #deps: Deps;
  readonly #lead: () => Promise<boolean>;
  readonly #jobs: readonly Job[];
  readonly #lastRunMs = new Map<string, number>();
  #timer: { cancel(): void } | null = null;
  #running: Promise<void> = Promise.resolve();
  #long: Promise<void> | null = null;
  #closed = false;

  constructor(options: { deps: Deps; lead: () => Promise<boolean>; jobs: readonly Job[] }) {
    this.#deps = options.deps;
    this.#lead = options.lead;
    this.#jobs = options.jobs;
    for (const { name, everyMs } of options.jobs) {
      options.deps.stats.jobs.set(name, { everyMs, succeededAtMs: null, failures: 0 });
    }
  }

  start(): void {
    if (this.#closed) return;
    this.#timer = this.#deps.clock.schedule(TICK_MS, () => {
      this.#running = this.#tick().finally(() => this.start());
    });
  }

  /** Resolves when the jobs under way have ended; none begins after them. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
    await this.#long;
    this.#deps.stats.leads = false;
  }

  async #tick(): Promise<void> {
    const { stats } = this.#deps;
    try {
      stats.leads = await this.#lead();
      if (!stats.leads) return;
    } catch (error) {
      stats.leads = false;
      this.#report("lead", error);
      return;
    }
    this.#long ??= this.#runDue(this.#jobs.filter((job) => job.isLong)).finally(() => {
      this.#long = null;
    });
    await this.#runDue(this.#jobs.filter((job) => !job.isLong));
  }

  async #runDue(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) {
      const nowMs = this.#deps.clock.monotonicMs();
      const lastMs = this.#lastRunMs.get(job.name);
      if (this.#closed || (lastMs !== undefined && nowMs - lastMs < job.everyMs)) continue;
      this.#lastRunMs.set(job.name, nowMs);
      try {
        await job.run(this.#deps);
        const stats = this.#deps.stats.jobs.get(job.name);
        if (stats !== undefined) stats.succeededAtMs = this.#deps.clock.nowMs();
      } catch (error) {
        this.#report(job.name, error);
      }
    }
  }

  #report(job: string, error: unknown): void {
    // That the database is away is said once, by the version check.
    if (isDatabaseAway(error)) {
      this.#deps.log.debug({ err: error, job }, "a job waits for the database");
      return;
    }
    const stats = this.#deps.stats.jobs.get(job);
    if (stats !== undefined) stats.failures += 1;
    this.#deps.log.error({ err: error, job }, "a job failed; it is tried again");
  }
}
