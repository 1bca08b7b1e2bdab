/**
 * The running calls of one host, per flag, and the kill in flight. Invariant: a call is ended only by its flag being
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
  readonly #running = new Map<string, Set<RunningCall>>();
  /** Bounded by the flags of the snapshot: only a known flag can abort. */
  readonly #aborted = new Map<string, number>();

  constructor(host: GuardHost) {
    this.#host = host;
    // Never unsubscribed: there is one listener per host, and it lives as long as the host.
    host.onApplied(() => this.#applied());
  }

  enter(call: RunningCall): void {
    const calls = this.#running.get(call.flag);
    if (calls === undefined) this.#running.set(call.flag, new Set([call]));
    else calls.add(call);
  }

  leave(call: RunningCall): void {
    const calls = this.#running.get(call.flag);
    if (calls?.delete(call) === true && calls.size === 0) this.#running.delete(call.flag);
  }

  stats(): GuardStats {
    const running: Record<string, number> = {};
    for (const [flag, calls] of this.#running) running[flag] = calls.size;
    return { running, aborted: Object.fromEntries(this.#aborted) };
  }

  #applied(): void {
    for (const [flag, calls] of this.#running) {
      if (this.#host.flag(flag)?.abortInFlight !== true) continue;
      let aborted = 0;
      for (const call of calls) {
        const decision = this.#host.decide(flag, call.context);
        if (decision.enabled || !SWITCHED_OFF.has(decision.reason)) continue;
        call.kill(decision);
        aborted += 1;
      }
      if (aborted === 0) continue;
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
