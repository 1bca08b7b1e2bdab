/**
 * What must be true after the soak, looked up through the API and at the receiver of alerts: every record counted once,
 * every step of every ladder acted once, alerted once. Each fault is a sentence; none is a pass.
 */
import { z } from "zod";
import type { AlertReceiver } from "../../src/demo/story/alert-receiver.ts";
import { budgetsSchema, incidentsSchema, type OperatorApi } from "../../src/demo/story/operator-api.ts";
import { waitUntil } from "../../src/demo/story/wait.ts";
import { ENVIRONMENT_PATH } from "../support/andon-server.ts";
import type { Expected } from "./traffic.ts";

/** The ladder of every budget of the soak. */
export const LADDER = [
  { atPercent: 50, action: "alert" },
  { atPercent: 80, action: "downgrade" },
  { atPercent: 100, action: "kill" },
] as const;
const STEPS = LADDER.map(({ atPercent, action }) => `${action} ${atPercent}`);

/** An alert whose delivery was broken off by a kill goes out again after its lease of 30 s. */
const ALERTS_TIMEOUT_MS = 75_000;
const LOOK_EVERY_MS = 250;
const PAGE = 100;
const MAX_PAGES = 200;

const usageSchema = z.object({
  items: z.array(
    z.object({ flag: z.string(), attempts: z.number(), exactNanoUsd: z.number(), estimatedNanoUsd: z.number() }),
  ),
});
const auditSchema = z.object({
  items: z.array(z.object({ action: z.string(), target: z.object({ key: z.string() }) })),
  nextCursor: z.string().nullable(),
});

/** The faults of the ledger, of trips and of incidents; `expected` by flag, each with a budget of the flag's name. */
export async function faultsOfBooks(api: OperatorApi, expected: ReadonlyMap<string, Expected>): Promise<string[]> {
  const faults: string[] = [];
  const usage = await api.call("GET", `${ENVIRONMENT_PATH}/usage?groupBy=flag`, null, usageSchema);
  const budgets = await api.call("GET", `${ENVIRONMENT_PATH}/budgets`, null, budgetsSchema);
  const incidents = await pagesOf(api, "incidents", incidentsSchema);
  const audit = await pagesOf(api, "audit", auditSchema);
  for (const [flag, sum] of expected) {
    const row = usage.items.find((item) => item.flag === flag);
    const ledger = `${row?.attempts} records, ${row?.exactNanoUsd} + ${row?.estimatedNanoUsd} nano-USD`;
    const wanted = `${sum.records} records, ${sum.exactNanoUsd} + ${sum.estimatedNanoUsd} nano-USD`;
    if (ledger !== wanted) faults.push(`${flag}: the ledger has ${ledger}; reported were ${wanted}`);
    const now = budgets.items.find(({ name }) => name === flag)?.now;
    const spent = `${now?.spentNanoUsd} (${now?.exactNanoUsd} exact)`;
    const wantedSpent = `${sum.exactNanoUsd + sum.estimatedNanoUsd} (${sum.exactNanoUsd} exact)`;
    if (spent !== wantedSpent) faults.push(`${flag}: the budget has ${spent} nano-USD; reported were ${wantedSpent}`);
    const trips = (now?.trips ?? []).map(({ action, atPercent }) => `${action} ${atPercent}`);
    faults.push(...differences(`${flag}: trips in force`, trips, STEPS.slice(1)));
    const own = incidents.filter(({ budget }) => budget?.name === flag);
    if (own.length !== 1) faults.push(`${flag}: ${own.length} incidents`);
    const steps = own.flatMap((incident) => incident.steps).map(({ action, atPercent }) => `${action} ${atPercent}`);
    faults.push(...differences(`${flag}: steps of its incident`, steps, STEPS));
    const acts = audit.filter(({ target }) => target.key === flag).map(({ action }) => action);
    const count = (action: string): number => acts.filter((each) => each === action).length;
    if (count("flag.tripped") !== 2) faults.push(`${flag}: tripped ${count("flag.tripped")} times by the audit, not 2`);
    if (count("budget.step") !== 3) faults.push(`${flag}: ${count("budget.step")} budget steps in the audit, not 3`);
  }
  return faults;
}

/**
 * Waits for the alerts of these budgets and names what is wrong with them. A repeat of one alert under the same id is
 * allowed, because a kill may come between its delivery and the note of it; how many there were is told beside.
 */
export async function faultsOfAlerts(
  receiver: AlertReceiver,
  budgets: readonly string[],
): Promise<{ faults: string[]; repeats: number }> {
  const ids = (): Set<string> => new Set(receiver.deliveries.map(({ id }) => id));
  await waitUntil(() => ids().size >= budgets.length * STEPS.length, ALERTS_TIMEOUT_MS, LOOK_EVERY_MS);
  const faults: string[] = [];
  for (const name of budgets) {
    const own = new Map(
      receiver.deliveries.filter(({ budget }) => budget?.name === name).map((each) => [each.id, each]),
    );
    const steps = [...own.values()].map(({ step }) => `${step?.action} ${step?.atPercent}`);
    faults.push(...differences(`${name}: alerts`, steps, STEPS));
  }
  const known = ids().size;
  if (known !== budgets.length * STEPS.length) {
    const others = receiver.deliveries.filter(({ budget }) => !budgets.includes(budget?.name ?? ""));
    const titles = others.map(({ type, title, text }) => `${type}: ${title}: ${text}`).join("; ");
    faults.push(`${known} different alerts arrived in all: ${titles}`);
  }
  if (receiver.forged > 0) faults.push(`${receiver.forged} alerts could not be verified`);
  return { faults, repeats: receiver.deliveries.length - known };
}

/** In any order: two steps that are crossed at once may be told apart by nothing but their names. */
function differences(what: string, seen: readonly string[], wanted: readonly string[]): string[] {
  const isSame = seen.toSorted().join() === wanted.toSorted().join();
  return isSame ? [] : [`${what}: ${seen.join(", ") || "none"}; expected ${wanted.join(", ")}`];
}

async function pagesOf<T>(
  api: OperatorApi,
  list: string,
  schema: z.ZodType<{ items: T[]; nextCursor: string | null }>,
): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = "";
  for (let page = 0; cursor !== null; page += 1) {
    if (page >= MAX_PAGES) throw new Error(`${list} has more than ${MAX_PAGES} pages`);
    const from = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const answer: { items: T[]; nextCursor: string | null } = await api.call(
      "GET",
      `${ENVIRONMENT_PATH}/${list}?limit=${PAGE}${from}`,
      null,
      schema,
    );
    items.push(...answer.items);
    cursor = answer.nextCursor;
  }
  return items;
}
