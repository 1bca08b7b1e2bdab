/** What all requests through one guard share. */
import { type Accounts, accountsOf } from "./accounts.ts";
import { Breakers } from "./breaker.ts";
import { FIRST_STATE_TIMEOUT_MS } from "./first-state.ts";
import type { GuardHost } from "../guard-host.ts";
import { TokenCounter } from "./leases/count.ts";
import { type Leases, leasesOf } from "./leases/leases.ts";
import { type Limits, limitsOf } from "./limits.ts";
import { paceBy } from "./pacing.ts";
import type { Passes } from "./pass.ts";
import { Plans } from "./plans.ts";
import { type Starts, startsOf } from "./starts.ts";
import type { GuardOptions } from "./types.ts";
import { type Verdicts, verdictsOf } from "./verdicts.ts";
import { Writers } from "./writers.ts";

/** The version of an Anthropic SDK, on each of its requests. */
const VERSION_HEADER = "x-stainless-package-version";

export class Guarding {
  readonly host: GuardHost;
  readonly options: GuardOptions;
  readonly unknown: { readonly onUnknown: "on" | "off" };
  readonly freshness: { readonly maxStaleMs: number | undefined; readonly timeoutMs: number };
  readonly passes: Passes = new WeakMap();
  readonly breakers: Breakers;
  readonly accounts: Accounts;
  /** The guard looks at answers, or has something to give in their place. */
  readonly hasStandIn: boolean;
  readonly writers: Writers;
  readonly limits: Limits;
  readonly leases: Leases;
  readonly verdicts: Verdicts;
  readonly counter = new TokenCounter();
  readonly plans: Plans;
  readonly starts: Starts;
  /** The version of the SDK whose calls these are; null before the first. */
  #sdk: string | null = null;

  constructor(host: GuardHost, options: GuardOptions) {
    this.host = host;
    this.options = options;
    this.unknown = { onUnknown: options.onUnknown === "off" ? "off" : "on" };
    const timeoutMs = Math.min(FIRST_STATE_TIMEOUT_MS, options.deadlineMs ?? Number.POSITIVE_INFINITY);
    this.freshness = { maxStaleMs: options.maxStaleMs, timeoutMs };
    this.writers = writersOf(host);
    this.limits = limitsOf(host);
    this.breakers = new Breakers(options.breaker !== false);
    this.accounts = accountsOf(host);
    this.leases = leasesOf(host);
    this.plans = new Plans(host);
    const { checkOutput, cache, fallbackMessage } = options;
    this.hasStandIn = checkOutput !== undefined || cache !== undefined || fallbackMessage !== undefined;
    this.verdicts = verdictsOf(host);
    this.verdicts.watch(options.flag);
    this.starts = startsOf(host);
    this.starts.expect(options.flag);
    if (options.pace === true) paceBy(host);
  }

  /** The version of the SDK, as the first request tells it; `""` when it does not. */
  sdkOf(headers: Headers): string {
    this.#sdk ??= headers.get(VERSION_HEADER) ?? "";
    return this.#sdk;
  }
}

const allWriters = new WeakMap<GuardHost, Writers>();

/** What all guards of one host have seen being written. */
function writersOf(host: GuardHost): Writers {
  const known = allWriters.get(host);
  if (known !== undefined) return known;
  const made = new Writers();
  allWriters.set(host, made);
  return made;
}
