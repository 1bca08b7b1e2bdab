/** The PostgreSQL of tests: the one that the bench and the soak have too, on the day of the run (`npm run test:dates`). */
import { type Cluster, startCluster as startPlainCluster } from "../../bench/support/postgres.ts";
import { shiftMs } from "./shift-date.mjs";

export { freePort } from "../../src/demo/story/free-port.ts";
export type { Cluster };

export async function startCluster(options: Parameters<typeof startPlainCluster>[0] = {}): Promise<Cluster> {
  const cluster = await startPlainCluster(options);
  // A standby has all that its primary has, and may not write.
  if (shiftMs !== 0 && options.standbyOf === undefined) await shiftClock(cluster);
  return cluster;
}

/**
 * PostgreSQL takes the time from the machine, which a test may not move. Its databases get functions of the same names,
 * found first; what is no function (`current_timestamp`) would stay behind, and is not used.
 */
async function shiftClock(cluster: Cluster): Promise<void> {
  for (const database of ["template1", "postgres"]) {
    for (const [name, volatility] of [
      ["now", "stable"],
      ["clock_timestamp", "volatile"],
    ]) {
      const body = `select pg_catalog.${name}() + interval '${shiftMs} milliseconds'`;
      await cluster.execute(
        `create function public.${name}() returns timestamptz language sql ${volatility} as $$${body}$$`,
        database,
      );
    }
  }
  await cluster.execute("alter role postgres set search_path = public, pg_catalog");
}
