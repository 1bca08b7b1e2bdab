/**
 * A client that polls and evaluates, and reports nothing: for where no call to Claude is made and every byte counts. The
 * constructor never throws and never keeps the process alive; evaluating never throws and never waits.
 */
import { evaluate, type EvaluationSettings, type OnUnknown } from "./evaluate/evaluate.ts";
import { type AndonEvent, type AndonListener, Emitter } from "./events.ts";
import { type AndonLogger, consoleLogger, isLogger, safeLogger } from "./logger.ts";
import { type AndonOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { processEnv, type Runtime, systemRuntime } from "./runtime.ts";
import { Environment, type StateCache } from "./sync/environment.ts";
import type { Origin } from "./sync/snapshot-store.ts";
import { UnknownFlags } from "./sync/unknown-flags.ts";
import type { Decision, EvaluationContext } from "./wire/protocol.ts";

/** How `ready` found the client: by the server's state, by older state, or by none. */
export type Readiness = Origin;

/** Seams for tests. @internal */
export interface AndonInternals {
  runtime?: Runtime;
  env?: Readonly<Record<string, string | undefined>>;
}

type OpenCache = (options: ResolvedOptions, logger: AndonLogger) => StateCache | null;

export class FlagClient {
  /** The name under which the server knows this process. */
  readonly instance: string;
  readonly logger: AndonLogger;
  /** @internal */
  protected readonly runtime: Runtime;
  /** @internal */
  protected readonly options: ResolvedOptions;
  /** @internal */
  protected readonly environment: Environment;
  readonly #settings: EvaluationSettings;
  protected readonly events: Emitter;
  readonly #unknownFlags: UnknownFlags;

  /** Starts polling. Bad options are logged by name; without a usable `url` and `token` nothing is polled. */
  constructor(options?: AndonOptions, internals: AndonInternals = {}, openCache: OpenCache = noCache) {
    const runtime = internals.runtime ?? systemRuntime;
    this.runtime = runtime;
    const given = readable(options);
    const logger = safeLogger(isLogger(given?.logger) ? given.logger : consoleLogger(() => runtime.monotonicMs()));
    this.logger = logger;
    this.options = resolveOptions(given, internals.env ?? processEnv());
    for (const problem of this.options.problems) logger.error({}, problem);
    if (options !== undefined && given === undefined) logger.error({}, "The options of Andon cannot be read");
    this.instance = this.options.instance;
    this.#settings = this.options;
    this.#unknownFlags = new UnknownFlags(logger);
    this.events = new Emitter(logger);
    const parts = { runtime, logger, events: this.events, cache: openCache(this.options, logger) };
    this.environment = new Environment(this.options, parts);
  }

  /**
   * Resolves `"live"` once the server has answered since this process ran: one that was frozen and runs again, or a client
   * that was closed, asks anew. When `timeoutMs` (2,000) is up, or there is no server to ask, with what there is instead:
   * `"cache"` (older state of the server, from the file or of this process), `"bootstrap"` or `"none"`. Never rejects.
   */
  ready(options?: { timeoutMs?: number }): Promise<Readiness> {
    return this.environment.ready(options?.timeoutMs);
  }

  /**
   * Asks the server first when the last contact is more than `maxStaleMs` (0) ago, by either clock, and waits for the
   * answer, `timeoutMs` (1,000) at most; in an outage only the first to ask waits. True when the state is as fresh as that
   * now; else the last known state goes on deciding. For processes that are frozen between requests. Never rejects.
   */
  fresh(options?: { maxStaleMs?: number | undefined; timeoutMs?: number | undefined }): Promise<boolean> {
    return this.environment.fresh(options?.maxStaleMs, options?.timeoutMs);
  }

  /** True when the feature may run for this context. Never throws. */
  isEnabled(flag: string, context?: EvaluationContext, options?: { onUnknown?: OnUnknown }): boolean {
    return this.evaluate(flag, context, options).enabled;
  }

  /** The decision for one flag and context. Never throws. `onUnknown` answers for flags that no snapshot knows. */
  evaluate(flag: string, context?: EvaluationContext, options?: { onUnknown?: OnUnknown }): Decision {
    this.environment.wake();
    const decision = this.decide(flag, context, options?.onUnknown);
    if (decision.reason === "UNKNOWN" && this.environment.isLive) this.#unknownFlags.tell(flag);
    return decision;
  }

  /** As `evaluate`, without counting as an evaluation of the flag. */
  decide(flag: string, context?: EvaluationContext, onUnknown: OnUnknown = this.options.onUnknown): Decision {
    const { compiled, staleMs } = this.environment;
    return evaluate(compiled, flag, context, this.#settings, onUnknown, staleMs);
  }

  on<Event extends AndonEvent>(event: Event, listener: AndonListener<Event>): this {
    this.events.on(event, listener);
    return this;
  }

  off<Event extends AndonEvent>(event: Event, listener: AndonListener<Event>): this {
    this.events.off(event, listener);
    return this;
  }

  /** Stops polling, tells the server and lets go of everything. Never rejects. Used after it, a client wakes up. */
  close(): Promise<void> {
    return this.environment.close();
  }
}

function noCache({ cacheFile }: ResolvedOptions, logger: AndonLogger): null {
  if (cacheFile !== null) logger.error({}, 'Option "cacheFile" needs an Andon; not caching');
  return null;
}

/** A plain copy of the options; undefined when reading them throws. */
function readable(options: AndonOptions | undefined): AndonOptions | undefined {
  try {
    return options === undefined ? undefined : { ...options };
  } catch {
    // A getter or proxy of the caller threw; the constructor says so in the log.
    return undefined;
  }
}
