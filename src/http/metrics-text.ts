/**
 * Metric families as the Prometheus text format, version 0.0.4. For what is read from the database at each scrape: a
 * registry of counters can only count up by itself.
 */
import type { MetricFamily, Sample } from "../domain/metric.ts";

/** One `# HELP`, one `# TYPE` and a line a sample; families without samples are left out. */
export function metricsText(families: readonly MetricFamily[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, help, type, samples }) =>
      [
        `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
        `# TYPE ${name} ${type}`,
        ...samples.map((sample) => `${name}${line(sample)}`),
        "",
      ].join("\n"),
    )
    .join("\n");
}

function line({ labels, value, suffix }: Sample): string {
  const pairs = Object.entries(labels).map(([name, text]) => `${name}="${escaped(text)}"`);
  return `${suffix ?? ""}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value === Number.POSITIVE_INFINITY ? "+Inf" : String(value)}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
