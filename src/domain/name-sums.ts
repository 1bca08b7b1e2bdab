/**
 * What users, sessions and instances used, by the hour, flag and model: what a transaction of the ledger stages for the sums
 * of names. Pure. Apps and versions are those of the instances, which the database knows.
 */
import type { PricedRecord } from "./ledger.ts";
import { isEstimate } from "./message-batch.ts";

/** By what names are kept apart. */
export const TOP_BYS = ["user", "session", "app", "version"] as const;
export type TopBy = (typeof TOP_BYS)[number];

/** Nano-USD: a number, or its digits where no number holds it. */
export type Money = number | string;

/** What one name used of one flag and model. */
export interface NameSum {
  name: string;
  flag: string;
  model: string;
  calls: number;
  attempts: number;
  errors: number;
  aborted: number;
  refused: number;
  prompt: number;
  output: number;
  exact: Money;
  estimated: Money;
}

const STAGED_BYS = ["user", "session", "instance"] as const;
type StagedBy = (typeof STAGED_BYS)[number];
type Sums = Map<string, NameSum>;

/** What names used in one hour. */
export class NameHour {
  /** What all of the records cost, those without a name among them. */
  nanoUsd: Money = 0;
  readonly sums: Readonly<Record<StagedBy, Sums>> = { user: new Map(), session: new Map(), instance: new Map() };

  get size(): number {
    return STAGED_BYS.reduce((n, by) => n + this.sums[by].size, 0);
  }

  count(priced: PricedRecord): void {
    const { record, instance, costNanoUsd } = priced;
    this.nanoUsd = plus(this.nanoUsd, costNanoUsd);
    // Nobody's, until its results tell whose each was.
    if (isEstimate(record)) return;
    if (record.user) addRecord(sumOf(this.sums.user, record.user, record), priced);
    if (record.session) addRecord(sumOf(this.sums.session, record.session, record), priced);
    addRecord(sumOf(this.sums.instance, instance, record), priced);
  }

  /**
   * As JSON: by what, then an array for each sum. By hand, and of short arrays, because every transaction of the ledger writes
   * it, and what reads it reads many.
   */
  encode(): string {
    return `{${STAGED_BYS.map((by) => `"${by}":[${Array.from(this.sums[by].values(), encoded).join(",")}]`).join(",")}}`;
  }

  /** Adds what was encoded. */
  add(text: string): void {
    const parts: Record<StagedBy, Encoded[]> = JSON.parse(text);
    for (const by of STAGED_BYS) for (const row of parts[by]) addEncoded(this.sums[by], row);
  }
}

const HOUR_MS = 3_600_000;

/** What these records add, by the hour they are of, in Unix milliseconds. */
export function tallyNames(records: readonly PricedRecord[]): Map<number, NameHour> {
  const hours = new Map<number, NameHour>();
  for (const priced of records) {
    const hourMs = Math.floor(priced.atMs / HOUR_MS) * HOUR_MS;
    let hour = hours.get(hourMs);
    if (hour === undefined) hours.set(hourMs, (hour = new NameHour()));
    hour.count(priced);
  }
  return hours;
}

type Encoded = [string, string, string, number, number, number, number, number, number, number, Money, Money];

function encoded(sum: NameSum): string {
  const { calls, attempts, errors, aborted, refused, prompt, output } = sum;
  const of = `${quoted(sum.name)},${quoted(sum.flag)},${quoted(sum.model)}`;
  return `[${of},${calls},${attempts},${errors},${aborted},${refused},${prompt},${output},${digits(sum.exact)},${digits(sum.estimated)}]`;
}

function addEncoded(sums: Sums, row: Encoded): void {
  const [name, flag, model, calls, attempts, errors, aborted, refused, prompt, output, exact, estimated] = row;
  const sum = sumOf(sums, name, { flag, model });
  sum.calls += calls;
  sum.attempts += attempts;
  sum.errors += errors;
  sum.aborted += aborted;
  sum.refused += refused;
  sum.prompt += prompt;
  sum.output += output;
  sum.exact = plus(sum.exact, exact);
  sum.estimated = plus(sum.estimated, estimated);
}

function addRecord(sum: NameSum, { record, costNanoUsd }: PricedRecord): void {
  // What an attempt used beside its answer is tokens and money, not another attempt.
  const count = record.part === undefined ? (record.count ?? 1) : 0;
  const { usage, outcome } = record;
  sum.attempts += count;
  if (record.attempt === 1) sum.calls += count;
  if (outcome === "error") sum.errors += count;
  if (outcome === "aborted") sum.aborted += count;
  if (outcome === "refused") sum.refused += count;
  sum.prompt += usage.input + usage.cacheWrite5m + usage.cacheWrite1h + usage.cacheRead;
  sum.output += usage.output;
  if (record.exact) sum.exact = plus(sum.exact, costNanoUsd);
  else sum.estimated = plus(sum.estimated, costNanoUsd);
}

function sumOf(sums: Sums, name: string, { flag, model }: { flag: string; model: string }): NameSum {
  const key = `${name}\n${flag}\n${model}`;
  const known = sums.get(key);
  if (known !== undefined) return known;
  const none = {
    calls: 0,
    attempts: 0,
    errors: 0,
    aborted: 0,
    refused: 0,
    prompt: 0,
    output: 0,
    exact: 0,
    estimated: 0,
  };
  const made: NameSum = { name, flag, model, ...none };
  sums.set(key, made);
  return made;
}

/** Their sum, to the last nano-USD. */
export function plus(a: Money, b: Money): Money {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return String(BigInt(a) + BigInt(b));
}

/** As a JSON value. */
const digits = (money: Money): string => (typeof money === "number" ? String(money) : `"${money}"`);

/** As JSON that the database can read: what is read later must not fail for one name. */
function quoted(name: string): string {
  return JSON.stringify(UNSTORABLE.test(name) ? name.replaceAll(UNSTORABLE_ALL, "\u{FFFD}") : name);
}

const UNSTORABLE = /[\p{Cs}\p{Cc}]/u;
const UNSTORABLE_ALL = /[\p{Cs}\p{Cc}]/gu;
