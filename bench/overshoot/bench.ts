/**
 * `overshoot.track|trip|reserve`: how far a budget is overspent, by the bill of the endpoint itself. 200 callers in ten
 * processes, two servers on PostgreSQL. Fails when a promise is broken: `trip` beyond the bound that was shown at the trip,
 * `reserve` beyond the limit.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Child } from "../../src/demo/fleet/child.ts";
import { noonZone } from "../../src/demo/story/noon-zone.ts";
import { OperatorApi, tokenSchema } from "../../src/demo/story/operator-api.ts";
import { ServerProcess } from "../../src/demo/story/server-process.ts";
import { waitUntil } from "../../src/demo/story/wait.ts";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { startCluster } from "../support/postgres.ts";
import { quantile } from "../support/statistics.ts";
import { nextMessage, startWorker } from "../support/worker.ts";
import {
  type Bill,
  BILL_PATH,
  billSchema,
  type ClientResult,
  type ClientTask,
  FLAG,
  readySchema,
  resultSchema,
  type Workload,
  WORKLOADS,
} from "./protocol.ts";
import { Killer } from "./killer.ts";

export type Enforcement = "track" | "trip" | "reserve";

const NANO_PER_USD = 1e9;
const PROCESSES = 10;
const CALLERS = 200;
const SERVERS = 2;
const START_TIMEOUT_MS = 60_000;
/** One workload is over after so long, whatever has been spent. */
const RUN_MS = 20_000;
/** `track` stops nothing: so long is looked at. */
const TRACK_MS = 5_000;
const QUIET_AFTER_MS = 1_000;
const SETTLE_TIMEOUT_MS = 8_000;
const LOOK_EVERY_MS = 100;
/** A lease of a client that is gone lives on for 30 s; then all it held is indeterminate. */
const EXPIRED_TIMEOUT_MS = 45_000;
const CLOSE_TIMEOUT_MS = 10_000;
const LIMIT_USD: Readonly<Record<Workload, number>> = { chat: 20, agent: 25, worst: 20, step: 20, quiet: 20 };

const nowSchema = z.object({
  spentNanoUsd: z.number(),
  limitNanoUsd: z.number(),
  overshootBoundNanoUsd: z.number().nullable(),
  bound: z.object({ kind: z.string(), notReporting: z.number() }),
  trips: z.array(z.unknown()),
});
const budgetsSchema = z.object({ items: z.array(z.object({ id: z.string(), now: nowSchema })) });
type Now = z.infer<typeof nowSchema>;
const leasesSchema = z.object({
  items: z.array(z.object({ instance: z.string(), state: z.string(), heldNanoUsd: z.number() })),
});

interface World {
  servers: readonly ServerProcess[];
  endpointUrl: string;
  adminToken: string;
  effort: Effort;
}

interface Run {
  workload: Workload;
  bill: Bill;
  now: Now;
  results: readonly ClientResult[];
  killed: number;
  dead: Dead | null;
}

/** Clients that were killed under a budget that reserves: what they held when they died, and what became of it. */
interface Dead {
  heldNanoUsd: number;
  indeterminateNanoUsd: number;
  /** Of clients that live, and have closed. */
  reservedNanoUsd: number;
}

export async function benchOvershoot(enforcement: Enforcement, effort: Effort): Promise<Figure> {
  const folder = await mkdtemp(join(tmpdir(), "andon-bench-"));
  const cluster = await startCluster();
  const endpoint = startWorker("bench/overshoot/endpoint.js", {});
  const servers: ServerProcess[] = [];
  try {
    const adminToken = `andon_op_${randomBytes(24).toString("base64url")}`;
    const env = {
      DATABASE_URL: await cluster.createDatabase(),
      ANDON_SECRET: randomBytes(32).toString("base64url"),
      ANDON_ADMIN_TOKEN: adminToken,
    };
    for (let n = 0; n < SERVERS; n += 1) {
      const server = await ServerProcess.on(join(folder, `data-${n}`), env);
      servers.push(server);
      await server.start();
    }
    const { url: endpointUrl } = await nextMessage(endpoint, z.object({ url: z.string() }), START_TIMEOUT_MS);
    const world = { servers, endpointUrl, adminToken, effort };
    const runs: Run[] = [];
    for (const workload of effort.workloads ?? by<readonly Workload[]>(effort, WORKLOADS, ["chat"])) {
      const run = await measure(world, enforcement, workload);
      runs.push(run);
      effort.say(`  ${told(run)}`);
    }
    for (const run of runs) claimPromise(enforcement, run);
    return {
      name: `overshoot.${enforcement}`,
      unit: "USD",
      ours: Math.max(...runs.map(overshootUsd)),
      note: runs.map(told).join("; "),
    };
  } finally {
    await endpoint.stop("SIGKILL");
    for (const server of servers) await server.stop();
    await cluster.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function measure(world: World, enforcement: Enforcement, workload: Workload): Promise<Run> {
  const { effort, endpointUrl } = world;
  const limitNanoUsd = LIMIT_USD[workload] * NANO_PER_USD * by(effort, 1, 0.1);
  const { token, path } = await prepare(world, enforcement, workload, limitNanoUsd);
  await call(endpointUrl, { limitNanoUsd });
  const clients = await startClients(world, workload, token);
  const held = new Map<string, number>();
  const died = async (client: number): Promise<void> => {
    const instance = instanceOf(client);
    held.set(
      instance,
      sumHeld(await readLeases(world, path), (lease) => lease.instance === instance),
    );
  };
  const killer = effort.kills ? new Killer({ clients, servers: world.servers, died }) : null;
  try {
    for (const client of clients) client.process.send({ go: true });
    killer?.start();
    const results = await until(world, enforcement, clients, path);
    const killed = (await killer?.stop()) ?? 0;
    const bill = await settled(endpointUrl);
    const now = await settledBudget(world, path, bill);
    const dead = killed > 0 && enforcement === "reserve" ? await deadOf(world, path, clients, held) : null;
    return { workload, bill, now, results, killed, dead };
  } finally {
    await killer?.stop();
    for (const client of clients) await client.stop("SIGKILL");
  }
}

/** An environment of its own, with a flag and its budget. */
async function prepare(
  world: World,
  enforcement: Enforcement,
  workload: Workload,
  limitNanoUsd: number,
): Promise<{ token: string; path: string }> {
  const api = apiOf(world);
  const name = `${workload}-${randomBytes(3).toString("hex")}`;
  const path = `/v1/environments/${name}`;
  await api.call("POST", "/v1/environments", { key: name, name }, z.unknown());
  await api.change("POST", `${path}/flags`, { key: FLAG, name: "Assistant", owner: "a team" });
  await api.change("POST", `${path}/budgets`, {
    name: "Daily",
    scope: { flag: FLAG },
    limitUsd: limitNanoUsd / NANO_PER_USD,
    timezone: noonZone(Date.now()),
    enforcement,
    // Without a server `allow` lets calls through: what is promised then is not a limit.
    onUnavailable: "deny",
    ladder: enforcement === "reserve" ? [] : [{ atPercent: 100, action: "kill" }],
  });
  const body = { kind: "sdk", name: "bench", environments: [name] };
  const { secret } = await api.call("POST", "/v1/tokens", body, tokenSchema);
  return { token: secret, path };
}

async function startClients(world: World, workload: Workload, token: string): Promise<Child[]> {
  const { effort, servers, endpointUrl } = world;
  const processes = by(effort, PROCESSES, 2);
  const clients = Array.from({ length: processes }, (_, n) => {
    const given: ClientTask = {
      url: servers[n % servers.length]?.url ?? "",
      token,
      endpointUrl,
      instance: instanceOf(n),
      workload,
      callers: CALLERS / PROCESSES,
      seed: n + 1,
      traceFile: effort.trace,
      quietAfterMs: workload === "quiet" && n % 2 === 1 ? QUIET_AFTER_MS : null,
      isStep: workload === "step",
    };
    return startWorker("bench/overshoot/client.js", given);
  });
  await Promise.all(clients.map((client) => nextMessage(client, readySchema, START_TIMEOUT_MS)));
  return clients;
}

/** Until every caller has been refused for good, or the time is up. */
async function until(
  world: World,
  enforcement: Enforcement,
  clients: readonly Child[],
  path: string,
): Promise<ClientResult[]> {
  const runMs = by(world.effort, enforcement === "track" ? TRACK_MS : RUN_MS, 3_000);
  const ends = clients.map((client) =>
    nextMessage(client, resultSchema, runMs + START_TIMEOUT_MS).catch((error: unknown) => {
      // One that was killed has nothing to tell.
      if (client.process.signalCode === "SIGKILL") return null;
      throw error;
    }),
  );
  const all = Promise.all(ends);
  await Promise.race([all, sleep(runMs)]);
  for (const client of clients) if (client.process.connected) client.process.send({ over: true });
  const results = (await all).filter((result) => result !== null);
  if (results.length === 0) throw new Error(`no client of ${path} lives to tell`);
  return results;
}

const instanceOf = (client: number): string => `caller-${client}`;

type Lease = z.infer<typeof leasesSchema>["items"][number];

async function readLeases(world: World, path: string): Promise<Lease[]> {
  const [budget] = (await apiOf(world).call("GET", `${path}/budgets`, null, budgetsSchema)).items;
  if (budget === undefined) throw new Error("the budget is gone");
  return (await apiOf(world).call("GET", `${path}/budgets/${budget.id}/leases`, null, leasesSchema)).items;
}

function sumHeld(leases: readonly Lease[], isOne: (lease: Lease) => boolean): number {
  return leases.filter(isOne).reduce((sum, { heldNanoUsd }) => sum + heldNanoUsd, 0);
}

/** What is left of all clients when those that live have closed, and the leases of the dead have expired. */
async function deadOf(
  world: World,
  path: string,
  clients: readonly Child[],
  held: ReadonlyMap<string, number>,
): Promise<Dead> {
  for (const client of clients) if (client.process.connected) client.process.send({ over: true });
  const areGone = () => clients.every(({ process }) => process.exitCode !== null || process.signalCode !== null);
  if ((await waitUntil(areGone, CLOSE_TIMEOUT_MS, LOOK_EVERY_MS)) === null) throw new Error("clients do not close");
  const isExpired = async () =>
    (await readLeases(world, path)).every(({ state, heldNanoUsd }) => state !== "open" || heldNanoUsd === 0);
  if ((await waitUntil(isExpired, EXPIRED_TIMEOUT_MS, LOOK_EVERY_MS)) === null) throw new Error("leases do not expire");
  const leases = await readLeases(world, path);
  return {
    heldNanoUsd: [...held.values()].reduce((sum, nanoUsd) => sum + nanoUsd, 0),
    indeterminateNanoUsd: sumHeld(leases, ({ state, instance }) => state === "indeterminate" && held.has(instance)),
    reservedNanoUsd: sumHeld(leases, ({ instance }) => !held.has(instance)),
  };
}

/** The bill when nothing runs any more. */
async function settled(endpointUrl: string): Promise<Bill> {
  const isQuiet = async () => (await call(endpointUrl, null)).running === 0;
  if ((await waitUntil(isQuiet, SETTLE_TIMEOUT_MS, LOOK_EVERY_MS)) === null) throw new Error("calls do not end");
  return call(endpointUrl, null);
}

/** The budget when all that was billed has been reported, or what is missing will not be any more. */
async function settledBudget(world: World, path: string, bill: Bill): Promise<Now> {
  const read = async () => {
    const [budget] = (await apiOf(world).call("GET", `${path}/budgets`, null, budgetsSchema)).items;
    if (budget === undefined) throw new Error("the budget is gone");
    return budget.now;
  };
  await waitUntil(async () => (await read()).spentNanoUsd >= bill.nanoUsd, SETTLE_TIMEOUT_MS / 4, LOOK_EVERY_MS);
  return read();
}

async function call(endpointUrl: string, body: object | null): Promise<Bill> {
  const init = body === null ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(`${endpointUrl}${BILL_PATH}`, init);
  return billSchema.parse(await response.json());
}

function apiOf({ servers, adminToken }: World): OperatorApi {
  return new OperatorApi(servers[0]?.url ?? "", adminToken);
}

function overshootUsd({ bill, now }: Run): number {
  return Math.max(0, bill.nanoUsd - now.limitNanoUsd) / NANO_PER_USD;
}

function claimPromise(enforcement: Enforcement, run: Run): void {
  const { bill, now, workload } = run;
  if (enforcement === "reserve" && bill.nanoUsd > now.limitNanoUsd) {
    throw new Error(`${workload}: ${usd(bill.nanoUsd)} were billed under a limit of ${usd(now.limitNanoUsd)}`);
  }
  claimDead(run);
  const bound = now.overshootBoundNanoUsd;
  // A machine too busy to answer clients within 300 ms cannot keep it: that has to be said, and is no broken promise.
  const isKnown = now.bound.kind === "atTrip" && now.bound.notReporting === 0;
  if (enforcement === "trip" && isKnown && bound !== null && bill.nanoUsd > now.limitNanoUsd + bound) {
    throw new Error(
      `${workload}: ${usd(bill.nanoUsd)} were billed; the bound shown was ${usd(now.limitNanoUsd + bound)}`,
    );
  }
}

/** What nobody knows is at most what the dead held, and nothing of those that live. */
function claimDead({ workload, dead }: Run): void {
  if (dead === null) return;
  const { heldNanoUsd, indeterminateNanoUsd, reservedNanoUsd } = dead;
  if (indeterminateNanoUsd > heldNanoUsd) {
    throw new Error(`${workload}: ${usd(indeterminateNanoUsd)} are indeterminate; the dead held ${usd(heldNanoUsd)}`);
  }
  if (reservedNanoUsd > 0) {
    throw new Error(`${workload}: clients that live have closed, and ${usd(reservedNanoUsd)} of theirs stay held`);
  }
}

/** One run in a line. */
function told(run: Run): string {
  const { workload, bill, now, results, killed, dead } = run;
  const bound = now.overshootBoundNanoUsd;
  const over = results.flatMap(({ overMs }) => overMs);
  const refused = summed(results.map((result) => result.refused));
  const failed = summed(results.map((result) => result.failed));
  const parts = [
    `${workload}: billed ${usd(bill.nanoUsd)} of ${usd(now.limitNanoUsd)}`,
    `overshoot ${usd(overshootUsd(run) * NANO_PER_USD)}`,
    `bound ${bound === null ? "none" : usd(now.limitNanoUsd + bound)}`,
    ...(now.bound.notReporting > 0 ? [`unknown: ${now.bound.notReporting} instances not reporting`] : []),
    `unused ${usd(Math.max(0, now.limitNanoUsd - bill.nanoUsd))}`,
    `ledger ${usd(now.spentNanoUsd)}`,
    `${bill.calls} calls`,
    `refused ${refused}`,
    ...(failed === "none" ? [] : [`failed ${failed}`]),
    `a call's time beyond the endpoint's p50 ${ms(over, 0.5)}, p99 ${ms(over, 0.99)}, most ${ms(over, 1)}`,
    `after the breach ${bill.lateMs.length} calls, p99 ${ms(bill.lateMs, 0.99)}, last ${ms(bill.lateMs, 1)}`,
    ...(killed > 0 ? [`${killed} processes killed`] : []),
    ...(dead === null
      ? []
      : [`${usd(dead.indeterminateNanoUsd)} indeterminate of ${usd(dead.heldNanoUsd)} that the dead clients held`]),
  ];
  return parts.join(", ");
}

function summed(counts: readonly Readonly<Record<string, number>>[]): string {
  const sums = new Map<string, number>();
  for (const each of counts) for (const [key, n] of Object.entries(each)) sums.set(key, (sums.get(key) ?? 0) + n);
  return sums.size === 0 ? "none" : [...sums].map(([key, n]) => `${n} ${key}`).join(" + ");
}

function ms(samples: readonly number[], q: number): string {
  return samples.length === 0 ? "-" : `${quantile(samples, q).toFixed(0)} ms`;
}

function usd(nanoUsd: number): string {
  return `$${(nanoUsd / NANO_PER_USD).toFixed(2)}`;
}
