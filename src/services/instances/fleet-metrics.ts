/**
 * What `/metrics` says of who runs. Made for alerts that do not heal themselves: an instance that was lost, or stands
 * still, is behind until it comes back, says goodbye, is replaced, or an hour is over.
 */
import { requireEnvironment } from "../../authorize.ts";
import type { Ctx } from "../../deps.ts";
import type { MetricFamily, Sample } from "../../domain/metric.ts";
import { countOf, type Fleet, hasApplied, someIn } from "../../domain/fleet.ts";
import { fleetOf, lineageOf } from "./fleet.ts";
import { quantile, receiptDelaysMs } from "./receipts.ts";

export async function fleetFamilies(ctx: Ctx, environmentKey: string): Promise<MetricFamily[]> {
  const environment = await requireEnvironment(ctx, environmentKey, "viewer");
  const fleet = await fleetOf(ctx, environmentKey);
  const n = environment.revision;
  const { committedAt } = environment;
  const delaysMs = await receiptDelaysMs(ctx, environment.id, {
    lineage: lineageOf(ctx, environment.id),
    n,
    committedAt,
  });
  return familiesOf(environmentKey, fleet, { n, delaysMs, ageMs: ctx.deps.clock.nowMs() - committedAt.getTime() });
}

/** `ageMs` since the newest revision `n` was committed; `delaysMs` of those that have applied it, ascending. */
export function familiesOf(
  environment: string,
  fleet: Fleet,
  { n, delaysMs, ageMs }: { n: number; delaysMs: readonly number[]; ageMs: number },
): MetricFamily[] {
  const applied = hasApplied(n);
  const labels = { environment };
  // Whoever has not applied it has waited since the commit, and goes on waiting.
  const waiting = countOf(fleet, (one) => one.state !== "silent" && one.n !== null && !applied(one));
  const lagsMs = [...delaysMs, ...Array.from({ length: waiting }, () => Math.max(0, ageMs))].toSorted((a, b) => a - b);
  return [
    gauge(
      "andon_instances",
      "Clients: live, lost (connection gone, may still be serving), or silent for long.",
      (["live", "lost", "silent"] as const).map((state) => ({
        labels: { environment, state },
        value: someIn(fleet, state).count,
      })),
    ),
    gauge("andon_instances_current", "Live clients that decide by the newest revision.", [
      { labels, value: countOf(fleet, (one) => one.state === "live" && applied(one)) },
    ]),
    gauge(
      "andon_instances_behind",
      "Clients that run, or were lost or fell silent less than an hour ago, and do not decide by the newest revision.",
      [{ labels, value: countOf(fleet, (one) => one.isRecent && !applied(one)) }],
    ),
    gauge("andon_instances_held_off", "Clients that hold flags off by ANDON_KILL.", [
      { labels, value: countOf(fleet, (one) => one.state !== "silent" && one.local !== null) },
    ]),
    gauge("andon_instances_not_counted", "Clients that are served and not counted, at least so many.", [
      { labels, value: fleet.notCounted.reduce((sum, { atLeast }) => sum + atLeast, 0) },
    ]),
    gauge(
      "andon_receipt_lag_seconds",
      "From the commit of the newest revision to its receipts; of a client without one, until now.",
      (["0.5", "0.99", "1"] as const).flatMap((share) => {
        const lagMs = quantile(lagsMs, Number(share));
        return lagMs === null ? [] : [{ labels: { environment, quantile: share }, value: lagMs / 1000 }];
      }),
    ),
  ];
}

function gauge(name: string, help: string, samples: Sample[]): MetricFamily {
  return { name, help, type: "gauge", samples };
}
