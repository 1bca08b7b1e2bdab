/**
 * The ledger after a bill, table by table: minutes, roll-ups and the windows of budgets must hold what was recorded, to the
 * nano-USD, and nothing may stay set aside.
 */
import { z } from "zod";
import type { OperatorApi } from "../../src/demo/story/operator-api.ts";
import { waitUntil } from "../../src/demo/story/wait.ts";
import { ENVIRONMENT_PATH } from "../support/andon-server.ts";
import type { Sums } from "./bill-account.ts";

/** Runs one statement on the ledger's database. */
export type Query = (statement: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

const ROLL_UP_TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 500;
const EVERYTHING = "all flags";

const total = z.union([z.number(), z.string()]).transform(Number);
const usageSchema = z.object({
  items: z.array(z.object({ flag: z.string(), exactNanoUsd: total, estimatedNanoUsd: total })),
});

/** What of the books does not agree with what was recorded, by flag. `fromMs`, `untilMs`: by the server's clock. */
export async function faultsOfLedger(given: {
  api: OperatorApi;
  query: Query | null;
  recorded: ReadonlyMap<string, Sums>;
  span: { fromMs: number; untilMs: number };
}): Promise<{ faults: string[]; said: string[] }> {
  const { api, query, recorded, span } = given;
  const faults: string[] = [];
  const said: string[] = [];
  const check = (name: string, has: ReadonlyMap<string, Sums>): void => {
    for (const flag of new Set([...recorded.keys(), ...has.keys()])) {
      const [is, wanted] = [has.get(flag), recorded.get(flag)];
      if (is?.exactNanoUsd === wanted?.exactNanoUsd && is?.estimatedNanoUsd === wanted?.estimatedNanoUsd) continue;
      faults.push(`${name} of ${flag}: ${textOf(is)}, the records are ${textOf(wanted)}`);
    }
  };
  for (const bucket of [null, "hour", "day"] as const) {
    check(`usage by ${bucket ?? "nothing"}`, await readUsage(api, bucket, span));
  }
  if (query === null) return { faults, said };
  check("minutes", sumsOf(await query(MINUTES)));
  const rolled = await rollUps(query);
  faults.push(...rolled.faults);
  said.push(rolled.said);
  const windows = await readWindows(query);
  const all = sumOf([...recorded.values()]);
  for (const { name, enforcement, exact, spent, reserved, indeterminate, count } of windows) {
    const wanted = name === EVERYTHING ? all : recorded.get(name);
    const cost = (wanted?.exactNanoUsd ?? 0) + (wanted?.estimatedNanoUsd ?? 0);
    // What nobody knows settles at its worst case: a window of a lease holds that, beyond the estimate.
    const isSpent = enforcement === "reserve" ? spent >= cost : spent === cost;
    if (exact !== (wanted?.exactNanoUsd ?? 0) || !isSpent) {
      faults.push(`windows of ${name}: ${exact} exact of ${spent}, the records are ${textOf(wanted)}`);
    }
    if (reserved !== 0 || indeterminate !== 0) {
      const left = JSON.stringify(await query(LEFT));
      faults.push(
        `windows of ${name}: ${reserved} nano-USD reserved and ${indeterminate} indeterminate at rest: ${left}`,
      );
    }
    said.push(`${name} (${enforcement}): ${count} windows, ${(spent / 1e9).toFixed(2)} USD`);
  }
  return { faults, said };
}

/** The budgets under which everything goes: one for each flag, named as it, and one over all. */
export async function makeBudgets(api: OperatorApi, flags: Readonly<Record<string, object>>): Promise<void> {
  const budget = (name: string, fields: object): Promise<unknown> =>
    api.change("POST", `${ENVIRONMENT_PATH}/budgets`, { name, period: "hour", ...fields });
  for (const [flag, fields] of Object.entries(flags)) await budget(flag, { scope: { flag }, ...fields });
  await budget(EVERYTHING, {
    scope: {},
    limitUsd: 1,
    period: "day",
    timezone: "UTC",
    enforcement: "track",
    ladder: [{ atPercent: 100, action: "alert" }],
  });
}

async function readUsage(
  api: OperatorApi,
  bucket: "hour" | "day" | null,
  { fromMs, untilMs }: { fromMs: number; untilMs: number },
): Promise<Map<string, Sums>> {
  const query = new URLSearchParams({
    groupBy: "flag",
    from: new Date(fromMs).toISOString(),
    to: new Date(untilMs).toISOString(),
  });
  if (bucket !== null) query.set("bucket", bucket);
  const { items } = await api.call("GET", `${ENVIRONMENT_PATH}/usage?${query.toString()}`, null, usageSchema);
  const byFlag = new Map<string, Sums>();
  for (const { flag, ...sums } of items) byFlag.set(flag, sumOf([byFlag.get(flag), sums]));
  return byFlag;
}

const SUMS = "sum(exact_nano_usd)::text as exact, sum(estimated_nano_usd)::text as estimated";
const MINUTES = `select flag, ${SUMS} from usage_minutes group by flag`;
/** What is rolled up, and the minutes of the same time. */
const ROLLED = `
  select grain, ${SUMS}, (
    select (sum(m.exact_nano_usd) + sum(m.estimated_nano_usd))::text from usage_minutes m
    where m.minute >= min(s.from_at) and m.minute < case when grain = 86400 then date_trunc('day', min(s.until_at), 'UTC') else min(s.until_at) end
  ) as minutes
  from usage_rollups r join usage_rolled s on s.environment_id = r.environment_id
  where r.start >= s.from_at and r.start < case when grain = 86400 then date_trunc('day', s.until_at, 'UTC') else s.until_at end
  group by grain order by grain`;
const NEWEST = `select (select max(until_at) from usage_rolled) >= date_trunc('hour', max(minute)) as done from usage_minutes`;
const WINDOWS = `
  select b.name, b.enforcement, count(*)::int as count, sum(w.exact_nano_usd)::text as exact,
    sum(w.spent_nano_usd)::text as spent, sum(w.reserved_nano_usd)::text as reserved,
    sum(w.indeterminate_nano_usd)::text as indeterminate
  from budget_windows w join budgets b on b.id = w.budget_id group by b.name, b.enforcement order by b.name`;

/** The windows that hold something, with what their leases hold. */
const LEFT = `
  select w.starts_at, w.reserved_nano_usd::text as reserved, w.indeterminate_nano_usd::text as indeterminate,
    (select json_agg(json_build_object('id', l.id, 'state', l.state, 'recalled', l.recalled, 'granted', l.granted_nano_usd,
      'released', l.released_nano_usd, 'settled', l.settled_nano_usd, 'spent', l.spent_nano_usd,
      'inFlight', l.in_flight_nano_usd, 'grantedAt', l.granted_at, 'renewedAt', l.renewed_at, 'endedAt', l.ended_at))
      from leases l where l.budget_id = w.budget_id and l.window_starts_at = w.starts_at) as leases
  from budget_windows w where w.reserved_nano_usd <> 0 or w.indeterminate_nano_usd <> 0 limit 5`;

/** Waits until all but the last hour is rolled up. */
async function rollUps(query: Query): Promise<{ faults: string[]; said: string }> {
  const isDone = async () => (await query(NEWEST))[0]?.["done"] === true;
  if ((await waitUntil(isDone, ROLL_UP_TIMEOUT_MS, LOOK_EVERY_MS)) === null) {
    return { faults: ["usage is not rolled up"], said: "" };
  }
  const rows = await query(ROLLED);
  const faults = rows.flatMap(({ grain, exact, estimated, minutes }) =>
    Number(exact) + Number(estimated) === Number(minutes)
      ? []
      : [
          `rolled up by ${String(grain)} s: ${String(exact)} and ${String(estimated)}, the minutes are ${String(minutes)}`,
        ],
  );
  const said = rows.map(({ grain, minutes }) => `${Number(grain) / 3_600} h ${(Number(minutes) / 1e9).toFixed(2)} USD`);
  return { faults, said: `rolled up: ${said.join(", ") || "nothing"}` };
}

async function readWindows(query: Query) {
  return (await query(WINDOWS)).map((row) => ({
    name: String(row["name"]),
    enforcement: String(row["enforcement"]),
    count: Number(row["count"]),
    exact: Number(row["exact"]),
    spent: Number(row["spent"]),
    reserved: Number(row["reserved"]),
    indeterminate: Number(row["indeterminate"]),
  }));
}

function sumsOf(rows: readonly Readonly<Record<string, unknown>>[]): Map<string, Sums> {
  return new Map(
    rows.map((row) => [
      String(row["flag"]),
      { exactNanoUsd: Number(row["exact"]), estimatedNanoUsd: Number(row["estimated"]) },
    ]),
  );
}

function sumOf(all: readonly (Sums | undefined)[]): Sums {
  return all.reduce<Sums>(
    (sum, each) => ({
      exactNanoUsd: sum.exactNanoUsd + (each?.exactNanoUsd ?? 0),
      estimatedNanoUsd: sum.estimatedNanoUsd + (each?.estimatedNanoUsd ?? 0),
    }),
    { exactNanoUsd: 0, estimatedNanoUsd: 0 },
  );
}

function textOf(sums: Sums | undefined): string {
  return sums === undefined ? "nothing" : `${sums.exactNanoUsd} exact and ${sums.estimatedNanoUsd} estimated`;
}
