/**
 * How often each flag was evaluated since the last report. On the path of every decision: one comparison and one
 * addition for the flag that was asked last, one lookup for others. Bounded in flags.
 */
import { MAX_CHECKED_FLAGS, RECORD_FIELDS } from "../wire/usage-protocol.ts";

export interface Checks {
  on: number;
  off: number;
  /** A guard asked too: the version of the SDK whose calls it holds, `""` when that is not known. */
  sdk?: string;
  /** Calls that a limit of the flag refused; left out for none. */
  limited?: number;
}

export class CheckCounts {
  #counts = new Map<string, Checks>();
  #lastFlag: string | null = null;
  #last: Checks = { on: 0, off: 0 };

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  count(flag: string, enabled: boolean): void {
    const checks = flag === this.#lastFlag ? this.#last : this.#find(flag);
    if (enabled) checks.on += 1;
    else checks.off += 1;
  }

  /** Takes note that a guard holds calls of the flag. */
  guarded(flag: string, sdk: string): void {
    const checks = flag === this.#lastFlag ? this.#last : this.#find(flag);
    checks.sdk = sdk;
  }

  /** A call that the flag had let in was refused all the same: by one of its limits, or for want of a model. */
  refused(flag: string, isLimited: boolean): void {
    const checks = this.#find(flag);
    if (isLimited) checks.limited = (checks.limited ?? 0) + 1;
    if (checks.on === 0) return;
    checks.on -= 1;
    checks.off += 1;
  }

  /** Takes the counts out. */
  take(): Record<string, Checks> {
    const taken = Object.fromEntries(this.#counts);
    this.#counts = new Map();
    this.#lastFlag = null;
    return taken;
  }

  /** Adds counts that were taken and surely not counted. */
  putBack(taken: Readonly<Record<string, Checks>>): void {
    for (const [flag, { on, off, sdk, limited }] of Object.entries(taken)) {
      const checks = this.#find(flag);
      if (limited !== undefined) checks.limited = (checks.limited ?? 0) + limited;
      if (sdk !== undefined) checks.sdk ??= sdk;
      checks.on += on;
      checks.off += off;
    }
  }

  #find(flag: string): Checks {
    const known = this.#counts.get(flag);
    const checks = known ?? { on: 0, off: 0 };
    // Flags are few; a key made from data, or none at all, is not worth the memory.
    const fits =
      this.#counts.size < MAX_CHECKED_FLAGS && typeof flag === "string" && flag.length <= RECORD_FIELDS.flag.max;
    if (known === undefined && fits) this.#counts.set(flag, checks);
    this.#lastFlag = flag;
    this.#last = checks;
    return checks;
  }
}
