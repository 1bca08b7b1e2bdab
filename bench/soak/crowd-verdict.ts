/** What did not hold of a crowd: memory and kills as at first, every table within its bound. */
import { median } from "../support/statistics.ts";
import { BOUNDS, FILLED } from "./crowd-bounds.ts";

/** The first generations fill caches; they do not count. */
const WARM_UP_SHARE = 0.25;
/** What may come on top of the beginning: noise of a garbage collector, of a checkpoint. */
const RSS_SLACK_MIB = 40;
const KILL_SLACK_MS = 30;
/** Of its bound; else the table was not full. */
const FULL_SHARE = 0.6;

export interface CrowdSample {
  killMs: number;
  rssMiB: number;
}

/** Rows by table. */
export type Rows = ReadonlyMap<string, number>;

/** @param counted the rows when the crowd came, and then from time to time; those in the end last */
export function faultsOf(samples: readonly CrowdSample[], counted: readonly Rows[]): string[] {
  return [...faultsOfSamples(samples), ...tablesOf(counted).flatMap((table) => faultsOfTable(table, counted))];
}

/** The most that each table that has a bound held, for people. */
export function wordsOfTables(counted: readonly Rows[]): string[] {
  return [...BOUNDS].map(([table, bound]) => `${table}: at most ${mostOf(table, counted)} rows, bound ${bound}`);
}

function faultsOfSamples(samples: readonly CrowdSample[]): string[] {
  const settled = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  const third = Math.max(1, Math.floor(settled.length / 3));
  const early = settled.slice(0, third);
  const late = settled.slice(-third);
  const grown = (
    what: string,
    pick: (sample: CrowdSample) => number,
    allowed: (before: number) => number,
  ): string[] => {
    const before = median(early.map(pick));
    const after = median(late.map(pick));
    return after > allowed(before) ? [`${what}: ${before.toFixed(0)} at first, ${after.toFixed(0)} in the end`] : [];
  };
  return [
    ...grown(
      "memory in MiB",
      ({ rssMiB }) => rssMiB,
      (before) => before + RSS_SLACK_MIB,
    ),
    ...grown(
      "a kill in ms",
      ({ killMs }) => killMs,
      (before) => 1.5 * before + KILL_SLACK_MS,
    ),
  ];
}

function faultsOfTable(table: string, counted: readonly Rows[]): string[] {
  const first = counted[0]?.get(table) ?? 0;
  const most = mostOf(table, counted);
  const bound = BOUNDS.get(table);
  if (bound === undefined) return most > first ? [`${table}: ${first} rows at first, later ${most}`] : [];
  if (most > bound) return [`${table}: ${most} rows, over its bound of ${bound}`];
  return FILLED.has(table) && most < FULL_SHARE * bound
    ? [`${table}: ${most} rows at most, so its bound of ${bound} was not tried`]
    : [];
}

function tablesOf(counted: readonly Rows[]): string[] {
  return [...new Set(counted.flatMap((rows) => [...rows.keys()]))];
}

function mostOf(table: string, counted: readonly Rows[]): number {
  return Math.max(...counted.map((rows) => rows.get(table) ?? 0));
}
