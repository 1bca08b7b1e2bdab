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

/** Series of one family; a busy or hostile environment must not make a scrape that nobody can take. */
export const MAX_SERIES = 5_000;
