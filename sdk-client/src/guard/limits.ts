/**
 * The limits of a flag, of each of its users and of each session, as this process counts them. Invariants: never more
 * calls at a time than allowed, and never more begun in any 60 seconds; a call leaves once. Tokens are known when a call
 * ends: what runs when a day's limit is reached may pass it. Bounded: who was seen longest ago is forgotten first.
 */
import { type LimitRefusal, refusedByLimit } from "./limit-refusal.ts";
import { Oldest } from "./oldest.ts";
import { type CallLimits, type FlagLimits, LIMIT_SCOPES, type LimitScope } from "../wire/protocol.ts";
import { TOKEN_CLASSES, type TokenUsage } from "../wire/usage-protocol.ts";

const WINDOW_MS = 60_000;
const DAY_MS = 86_400_000;
/** Users and sessions of all flags that are remembered. Those with calls that run are never forgotten. */
const MAX_SUBJECTS = 20_000;
/** Oldest entries looked at to make room for a new one. */
const MAX_LOOKS = 8;
/** The API takes no longer `user_id`; a longer name counts as its beginning. */
const MAX_ID_CHARS = 256;
/** Starts that are over are let go of in lots. */
const COMPACT_AT = 64;

/** Two clocks: durations by the one that never goes back, days by the other. */
export interface LimitClock {
  monotonicMs(): number;
  nowMs(): number;
}

const SYSTEM_CLOCK: LimitClock = { monotonicMs: () => performance.now(), nowMs: () => Date.now() };

export interface LimitSubject {
  flag: string;
  limits: FlagLimits;
  /** Calls that name no user, or no session, are under the other limits alone. */
  user: unknown;
  session: unknown;
  /** The SDK sends the same call again: it was counted as a request before. */
  isRetry: boolean;
}

/** What is counted of one flag, user or session. */
interface Count {
  running: number;
  /** Monotonic times of calls begun, oldest first, from `first` on. */
  starts: number[];
  first: number;
  /** The day (UTC, since 1970) that `tokens` are of. */
  day: number;
  tokens: number;
}

/** A call that was let in. */
export class Place {
  readonly #limits: Limits;
  readonly #counts: readonly Count[];
  #hasLeft = false;

  constructor(limits: Limits, counts: readonly Count[]) {
    this.#limits = limits;
    this.#counts = counts;
  }

  /** Gives the place up; more than once is once. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    for (const count of this.#counts) count.running -= 1;
  }

  /** Counts what an attempt of the call used; all classes of tokens alike. */
  used(usage: TokenUsage): void {
    let tokens = 0;
    for (const name of TOKEN_CLASSES) tokens += usage[name];
    const day = this.#limits.today();
    for (const count of this.#counts) {
      if (count.day !== day) {
        count.day = day;
        count.tokens = 0;
      }
      count.tokens += tokens;
    }
  }
}

export class Limits {
  readonly #clock: LimitClock;
  readonly #maxSubjects: number;
  /** Bounded by the flags of the snapshot: no other has limits. */
  readonly #flags = new Map<string, Count>();
  /** Users and sessions, seen longest ago first. */
  readonly #subjects = new Map<string, Count>();
  readonly #oldest = new Oldest(this.#subjects);

  constructor(clock: LimitClock = SYSTEM_CLOCK, maxSubjects = MAX_SUBJECTS) {
    this.#clock = clock;
    this.#maxSubjects = maxSubjects;
  }

  /** Users and sessions that are remembered. */
  get size(): number {
    return this.#subjects.size;
  }

  /** Which day it is (UTC), since 1970. */
  today(): number {
    return Math.floor(this.#clock.nowMs() / DAY_MS);
  }

  /** Why the call may not begin now; null: it may, if {@link enter} follows in the same turn. */
  check(subject: LimitSubject): LimitRefusal | null {
    for (const scope of SPECIFIC_FIRST) {
      const limits = subject.limits[scope];
      const key = limits === undefined ? null : keyOf(subject, scope);
      if (limits === undefined || key === null) continue;
      const count = this.#mapOf(scope).get(key);
      const refusal = count === undefined ? null : this.#refusal(scope, limits, count, subject.isRetry);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  /** Lets the call in: it is counted from now on. */
  enter(subject: LimitSubject): Place {
    const counts: Count[] = [];
    for (const scope of LIMIT_SCOPES) {
      const limits = subject.limits[scope];
      const key = limits === undefined ? null : keyOf(subject, scope);
      if (limits === undefined || key === null) continue;
      const count = scope === "flag" ? this.#flagCount(key) : this.#subjectCount(key);
      count.running += 1;
      if (limits.requestsPerMinute !== undefined && !subject.isRetry) count.starts.push(this.#clock.monotonicMs());
      counts.push(count);
    }
    return new Place(this, counts);
  }

  #refusal(scope: LimitScope, limits: CallLimits, count: Count, isRetry: boolean): LimitRefusal | null {
    const { concurrent, requestsPerMinute, tokensPerDay } = limits;
    const nowMs = this.#clock.nowMs();
    if (!isRetry && tokensPerDay !== undefined && count.day === this.today() && count.tokens >= tokensPerDay) {
      const endsInMs = (count.day + 1) * DAY_MS - nowMs;
      return refusedByLimit("tokensPerDay", { scope, allowed: tokensPerDay, endsInMs, nowMs });
    }
    if (!isRetry && requestsPerMinute !== undefined) {
      const monotonicMs = this.#clock.monotonicMs();
      forgetStarts(count, monotonicMs - WINDOW_MS);
      // The one that has to leave the window before another may begin: not the oldest, when the limit was lowered.
      const blocking = count.starts[count.starts.length - requestsPerMinute];
      if (count.starts.length - count.first >= requestsPerMinute && blocking !== undefined) {
        const endsInMs = blocking + WINDOW_MS - monotonicMs;
        return refusedByLimit("requestsPerMinute", { scope, allowed: requestsPerMinute, endsInMs, nowMs });
      }
    }
    if (concurrent !== undefined && count.running >= concurrent) {
      return refusedByLimit("concurrent", { scope, allowed: concurrent, endsInMs: null, nowMs });
    }
    return null;
  }

  #mapOf(scope: LimitScope): Map<string, Count> {
    return scope === "flag" ? this.#flags : this.#subjects;
  }

  #flagCount(key: string): Count {
    const known = this.#flags.get(key);
    if (known !== undefined) return known;
    const made = newCount();
    this.#flags.set(key, made);
    return made;
  }

  #subjectCount(key: string): Count {
    const known = this.#subjects.get(key);
    const count = known ?? newCount();
    if (known === undefined && this.#subjects.size >= this.#maxSubjects) this.#forgetOne();
    else if (known !== undefined) this.#subjects.delete(key);
    this.#subjects.set(key, count);
    return count;
  }

  /** Forgets the one seen longest ago that has no call running; those that have go to the end of the line. */
  #forgetOne(): void {
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      const key = this.#oldest.next();
      const count = key === undefined ? undefined : this.#subjects.get(key);
      if (key === undefined || count === undefined) return;
      this.#subjects.delete(key);
      if (count.running === 0) return;
      this.#subjects.set(key, count);
    }
  }
}

/** A person is better told of their own limit than of everybody's. */
const SPECIFIC_FIRST: readonly LimitScope[] = ["user", "session", "flag"];

function newCount(): Count {
  return { running: 0, starts: [], first: 0, day: 0, tokens: 0 };
}

/** Forgets the starts at or before `untilMs`. */
function forgetStarts(count: Count, untilMs: number): void {
  const { starts } = count;
  for (let start = starts[count.first]; start !== undefined && start <= untilMs; start = starts[count.first]) {
    count.first += 1;
  }
  if (count.first < COMPACT_AT && count.first < starts.length) return;
  starts.splice(0, count.first);
  count.first = 0;
}

/** What it is counted under; null for a call that names none. Flag keys have no line breaks. */
function keyOf({ flag, user, session }: LimitSubject, scope: LimitScope): string | null {
  if (scope === "flag") return flag;
  const id = idOf(scope === "user" ? user : session);
  return id === null ? null : `${scope}\n${flag}\n${id.slice(0, MAX_ID_CHARS)}`;
}

function idOf(value: unknown): string | null {
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return typeof value === "string" && value !== "" ? value : null;
}

const byHost = new WeakMap<object, Limits>();

/** What all guards of one host count together, made on first use. */
export function limitsOf(host: object): Limits {
  const known = byHost.get(host);
  if (known !== undefined) return known;
  const made = new Limits();
  byHost.set(host, made);
  return made;
}
