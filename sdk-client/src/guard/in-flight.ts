/**
 * The running calls of one host, and the kill in flight. Invariant: a call is ended only by its flag being
 * switched off (master, kill or trip) while `abortInFlight` is set; a rule or rollout never ends a running call.
 */
import type { GuardHost } from "../guard-host.ts";
import type { Decision, DecisionReason, EvaluationContext } from "../wire/protocol.ts";

const SWITCHED_OFF: ReadonlySet<DecisionReason> = new Set(["LOCAL", "MASTER", "KILLED", "TRIPPED"]);

export interface RunningCall {
  readonly flag: string;
  readonly context: EvaluationContext;
  /** Ends the call; its caller gets `FeatureDisabledError`. */
  kill(decision: Decision): void;
}

/** Calls by flag: running now, and ended by a kill since the process started. */
export interface GuardStats {
  running: Record<string, number>;
  aborted: Record<string, number>;
}

export class InFlight {
  readonly #host: GuardHost;
  readonly #running = new Set<RunningCall>();
  readonly #watches = new Map<RunningCall, ReturnType<typeof setInterval>>();
  /** Bounded by the flags of the snapshot: only a known flag can abort. */
  readonly #aborted = new Map<string, number>();

  constructor(host: GuardHost) {
    this.#host = host;
    if (host.watchEveryMs !== undefined) return;
    // Never unsubscribed: there is one listener per host, and it lives as long as the host.
    host.onApplied(() => this.#endThoseOff(this.#running));
  }

  enter(call: RunningCall): void {
    this.#running.add(call);
    const { watchEveryMs } = this.#host;
    if (watchEveryMs !== undefined) this.#watch(call, watchEveryMs);
  }

  leave(call: RunningCall): void {
    this.#running.delete(call);
    if (this.#host.watchEveryMs === undefined) return;
    clearInterval(this.#watches.get(call));
    this.#watches.delete(call);
  }

  [Symbol.iterator](): IterableIterator<RunningCall> {
    return this.#running[Symbol.iterator]();
  }

  stats(): GuardStats {
    const running: Record<string, number> = {};
    for (const { flag } of this.#running) running[flag] = (running[flag] ?? 0) + 1;
    return { running, aborted: Object.fromEntries(this.#aborted) };
  }

  /** Asks again and again, by a timer of the call's own request. */
  #watch(call: RunningCall, everyMs: number): void {
    const look = (): void => {
      void this.#host.fresh({ maxStaleMs: everyMs }).then(() => {
        if (this.#running.has(call)) this.#endThoseOff([call]);
      });
    };
    this.#watches.set(call, setInterval(look, everyMs));
  }

  #endThoseOff(calls: Iterable<RunningCall>): void {
    const ended = new Map<string, number>();
    for (const call of calls) {
      const { flag } = call;
      if (this.#host.flag(flag)?.abortInFlight !== true) continue;
      const decision = this.#host.decide(flag, call.context);
      if (decision.enabled || !SWITCHED_OFF.has(decision.reason)) continue;
      call.kill(decision);
      ended.set(flag, (ended.get(flag) ?? 0) + 1);
    }
    for (const [flag, aborted] of ended) {
      this.#aborted.set(flag, (this.#aborted.get(flag) ?? 0) + aborted);
      this.#host.logger.info({ flag, aborted }, "running calls ended: the flag was switched off");
    }
  }
}

const byHost = new WeakMap<GuardHost, InFlight>();

/** The registry of a host, made on first use. */
export function inFlightOf(host: GuardHost): InFlight {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new InFlight(host);
  byHost.set(host, made);
  return made;
}
