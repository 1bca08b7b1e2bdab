/** What one client reports to its server: the usage of calls, and how often each flag was evaluated. */
import type { ReportPart } from "../guard-host.ts";
import type { AndonLogger } from "../logger.ts";
import type { ResolvedOptions } from "../options.ts";
import { atMost } from "../sync/inquiry.ts";
import type { ServerLink } from "../sync/request.ts";
import type { Revision } from "../wire/revision.ts";
import type { CheckCounts } from "./evaluations.ts";
import { addExitFlush, dropExitFlush, EXIT_FLUSH_MS } from "./exit-flush.ts";
import { UsageReporter, type UsageStats } from "./reporter.ts";
import type { PromptThresholds } from "./sums.ts";
import type { UsageRecord } from "../wire/usage-protocol.ts";

export interface ReportsOptions {
  readonly flushIntervalMs: ResolvedOptions["flushIntervalMs"];
  readonly checks: CheckCounts;
  readonly promptThresholds: PromptThresholds;
  /** The server's newest revision, as an acknowledgement told it. */
  readonly sawRevision: (revision: Revision) => void;
  /** All of an acknowledgement. */
  readonly answered: (answer: Readonly<Record<string, unknown>>) => void;
}

export class Reports {
  readonly #link: ServerLink;
  readonly #reporter: UsageReporter;

  constructor(link: ServerLink, options: ReportsOptions, logger: AndonLogger) {
    const flush = (): Promise<unknown> => this.#reporter.flush();
    const { sawRevision, answered } = options;
    const waiting = (isWaiting: boolean): void => (isWaiting ? addExitFlush(flush) : dropExitFlush(flush));
    this.#link = link;
    this.#reporter = new UsageReporter(link, options, { sawRevision, answered, waiting }, logger);
  }

  get stats(): UsageStats {
    return this.#reporter.stats;
  }

  add(record: UsageRecord): void {
    this.#reporter.add(record);
  }

  start(): void {
    this.#reporter.start();
  }

  carry(part: ReportPart): void {
    this.#reporter.part = part;
  }

  now(): void {
    this.#reporter.now();
  }

  regained(): void {
    this.#reporter.contactRegained();
  }

  /** Sends what waits, for so long. True when the server has taken all. Never rejects. */
  async flush(timeoutMs = EXIT_FLUSH_MS): Promise<boolean> {
    let isDone = false;
    const flushed = this.#reporter.flush().then((isSent) => {
      isDone = isSent;
    });
    await atMost(this.#link.runtime, flushed, Number.isNaN(timeoutMs) ? EXIT_FLUSH_MS : timeoutMs);
    return isDone;
  }

  /** The last report. Never rejects. */
  async stop(): Promise<void> {
    await this.flush();
    this.#reporter.stop();
  }
}
