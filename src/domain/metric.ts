/** Metrics as data: what a family of Prometheus is made of, before it is written as text. */

export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
  /** `_bucket` or `_count`, of a histogram. */
  suffix?: "_bucket" | "_count";
}

export interface MetricFamily {
  /** With its unit; a counter ends in `_total`. */
  name: string;
  help: string;
  type: "gauge" | "counter" | "histogram";
  samples: readonly Sample[];
}

/**
 * Pairs of flag and model that the counters of one environment tell of beside those that operators defined: a busy or
 * hostile environment must not make a scrape that nobody can take. Each is five series of a family at most.
 */
export const MAX_OTHER_PAIRS = 1_000;
/** The same for the histogram by flag: 25 series each. */
export const MAX_OTHER_FLAGS = 200;
