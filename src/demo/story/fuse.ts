/**
 * The second act, about money: a feature runs away, its daily budget turns it down and then off by itself, and what Andon
 * counted equals the bill. Every figure is the endpoint's own or read from the API, none is assumed.
 */
import { APPLY_TIMEOUT_MS, change, isAnswered, isChat, RECONNECT_TIMEOUT_MS, tally } from "./chapter.ts";
import { duration, type Narrator } from "./narrator.ts";
import { noonZone } from "./noon-zone.ts";
import { type BudgetState, budgetsSchema, channelSchema, incidentsSchema } from "./operator-api.ts";
import { AGENT, ENVIRONMENT, OPUS, SONNET, type Stage } from "./stage.ts";
import { waitUntil, wallMs } from "./wait.ts";

const LIMIT_USD = 20;
const BUDGET = "Research agent, daily";
/** Agents of each process on an ordinary day, and when they loop. */
const ORDINARY_AGENTS = 1;
const RUNAWAY_AGENTS = 10;
const FIRST_CALLS = 12;
/** The runaway spends at most 2.5 USD a second. */
const BLOW_TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 100;
const QUIET_MS = 1_000;
/** Alerts leave about once a second. */
const ALERT_TIMEOUT_MS = 10_000;
/** Aim: under 2 s on a machine that has nothing else to do. Beyond this it was not the budget that stopped the calls. */
const STOPPED_WITHIN_MS = 5_000;

/** A budget is set, and the feature works as on any day. The server will die under it. */
export async function theAgentSpends({ api, alerts, bill, fleet }: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter(`${AGENT} gets a daily budget of ${LIMIT_USD} USD: one model down at 80 %, off at 100 %.`);
  const channel = { kind: "webhook", name: "on-call", url: alerts.url };
  alerts.trust((await api.call("POST", `${ENVIRONMENT}/channels`, channel, channelSchema)).secret);
  await api.change("POST", `${ENVIRONMENT}/budgets`, {
    name: BUDGET,
    scope: { flag: AGENT },
    limitUsd: LIMIT_USD,
    period: "day",
    timezone: noonZone(Date.now()),
    ladder: [
      { atPercent: 80, action: "downgrade" },
      { atPercent: 100, action: "kill" },
    ],
  });
  fleet.setAgents(ORDINARY_AGENTS);
  await waitUntil(() => bill.finished >= FIRST_CALLS, APPLY_TIMEOUT_MS);
  const counted = () => readBudget(api);
  const seenMs = await waitUntil(async () => (await counted()).now.spentNanoUsd > 0, APPLY_TIMEOUT_MS, LOOK_EVERY_MS);
  narrator.claim(
    `it works, and what it spends counts: ${usd((await counted()).now.spentNanoUsd)} so far`,
    seenMs !== null && bill.finished >= FIRST_CALLS,
    `${bill.finished} calls ended, ${usd((await counted()).now.spentNanoUsd)} counted`,
  );
}

/** The feature loops. Nobody presses anything. */
export async function theFuseBlows(stage: Stage, narrator: Narrator): Promise<void> {
  const { bill, fleet } = stage;
  narrator.chapter("The outage is over; everything is restored.");
  await claimsBalance(stage, narrator, "what was spent while the server was away is counted");
  await change(stage, narrator, "/restore", { reason: "Demo: the outage is over" });
  narrator.chapter(`${AGENT} runs away: ${RUNAWAY_AGENTS * fleet.size} agents loop. Nobody presses anything.`);
  const sinceMs = wallMs();
  fleet.setAgents(RUNAWAY_AGENTS);
  const published = await watchUntilOff(stage);
  const quietMs = await waitUntil(
    () => wallMs() - bill.lastArrivedAtMs >= QUIET_MS && bill.open === 0,
    BLOW_TIMEOUT_MS,
  );
  const calls = fleet.callsSince(sinceMs);
  const agents = calls.filter((call) => call.flag === AGENT);
  const bySonnet = agents.filter((call) => call.model === SONNET).length;
  narrator.claim(
    `at 80 % it went on with ${SONNET}: ${agents.length - bySonnet - refused(agents)} calls by ${OPUS}, then ${bySonnet} by ${SONNET}, none failed`,
    bySonnet > 0 && agents.every((call) => isAnswered(call) || call.outcome === "off"),
    tally(agents),
  );
  const breachedAtMs = bill.reachedAtMs(BigInt(LIMIT_USD) * 1_000_000_000n);
  const stoppedMs = Math.max(0, bill.lastArrivedAtMs - (breachedAtMs ?? Infinity));
  narrator.claim(
    `at 100 % it was off: the last call arrived ${duration(stoppedMs)} after the bill had reached the limit, then ${refused(agents)} were refused`,
    quietMs !== null && breachedAtMs !== null && stoppedMs <= STOPPED_WITHIN_MS && refused(agents) > 0,
    `${bill.open} calls run; the bill is ${usd(Number(bill.nanoUsd))}; ${tally(agents)}`,
  );
  const trippedAtMs = await claimsOneIncident(stage, narrator);
  const overNanoUsd = Number(bill.nanoUsd) - LIMIT_USD * 1_000_000_000;
  // Null where nothing stops a budget: this one is stopped.
  const boundNanoUsd = published.now.overshootBoundNanoUsd ?? 0;
  narrator.claim(
    `overspent by ${usd(overNanoUsd)}; the budget had shown that it could be at most ${usd(boundNanoUsd)}`,
    overNanoUsd >= 0 && overNanoUsd <= boundNanoUsd,
    `the bill is ${usd(Number(bill.nanoUsd))}`,
  );
  const chats = calls.filter(isChat);
  narrator.claim(
    "the other feature was left alone",
    chats.length > 0 && chats.every((call) => isAnswered(call) && call.model === OPUS),
    tally(chats),
  );
  await claimsAlerts(stage, narrator);
  narrator.figure("breach on the bill → last call sent", `${duration(stoppedMs)} (aim: under 2 s)`);
  narrator.figure("trip committed → last call sent", duration(Math.max(0, bill.lastArrivedAtMs - trippedAtMs)));
  narrator.figure(`overspent, of ${LIMIT_USD} USD`, `${usd(overNanoUsd)}, bound ${usd(boundNanoUsd)}`);
}

/** What Andon counted and what the endpoint charges, after everything. */
export async function theBooksBalance(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("The books: the endpoint's own bill beside Andon's ledger.");
  await claimsBalance(stage, narrator, "the server's death included");
  const { bill } = stage;
  narrator.figure("the endpoint's bill = Andon's ledger", `${exactUsd(bill.nanoUsd)} USD, ${bill.finished} calls`);
}

/** Waits until all that has ended is counted. Equal means equal: to the nano-USD, and nothing of it estimated. */
async function claimsBalance({ api, bill }: Stage, narrator: Narrator, what: string): Promise<void> {
  let ledger = await readBudget(api);
  await waitUntil(
    async () => {
      ledger = await readBudget(api);
      return bill.open === 0 && BigInt(ledger.now.exactNanoUsd) === bill.nanoUsd;
    },
    RECONNECT_TIMEOUT_MS,
    LOOK_EVERY_MS,
  );
  const { exactNanoUsd, spentNanoUsd } = ledger.now;
  narrator.claim(
    `${what}: ${exactUsd(bill.nanoUsd)} USD on the bill for ${bill.finished} calls, ${exactUsd(BigInt(exactNanoUsd))} USD in the ledger`,
    BigInt(exactNanoUsd) === bill.nanoUsd && exactNanoUsd === spentNanoUsd && bill.open === 0 && bill.unbilled === 0,
    `${exactUsd(BigInt(spentNanoUsd - exactNanoUsd))} USD are estimated; ${bill.unbilled} calls are on no bill`,
  );
}

/** Looks at the budget as on-call would, until it has turned the feature off; what it showed last before the limit. */
async function watchUntilOff({ api }: Stage): Promise<BudgetState> {
  let published = await readBudget(api);
  await waitUntil(
    async () => {
      const budget = await readBudget(api);
      if (budget.now.spentNanoUsd < budget.now.limitNanoUsd) published = budget;
      return budget.now.trips.some(({ action }) => action === "kill");
    },
    BLOW_TIMEOUT_MS,
    LOOK_EVERY_MS,
  );
  return published;
}

/** One incident with a step for each rung of the ladder. When the last of them was committed, Unix milliseconds. */
async function claimsOneIncident({ api }: Stage, narrator: Narrator): Promise<number> {
  const { items } = await api.call("GET", `${ENVIRONMENT}/incidents`, null, incidentsSchema);
  const steps = items.flatMap((incident) => incident.steps);
  narrator.claim(
    "one incident, with a step for each rung of the ladder",
    items.length === 1 &&
      steps.map(({ atPercent, action }) => `${action} ${atPercent}`).join() === "downgrade 80,kill 100",
    `${items.length} incidents: ${JSON.stringify(steps)}`,
  );
  return Date.parse(steps.at(-1)?.at ?? "");
}

async function claimsAlerts({ alerts }: Stage, narrator: Narrator): Promise<void> {
  await waitUntil(() => alerts.deliveries.length >= 2, ALERT_TIMEOUT_MS);
  const steps = alerts.deliveries.map(({ type, step }) => `${type} ${step?.atPercent ?? ""}`);
  narrator.claim(
    `on-call was alerted once for each step, by messages whose signatures verify`,
    steps.join() === "incident.step 80,incident.step 100" && alerts.forged === 0,
    `received: ${steps.join(", ")}; ${alerts.forged} could not be verified`,
  );
  for (const { text } of alerts.deliveries) narrator.say(`  “${text}”`);
}

async function readBudget(api: Stage["api"]): Promise<BudgetState> {
  const { items } = await api.call("GET", `${ENVIRONMENT}/budgets`, null, budgetsSchema);
  const budget = items.find(({ name }) => name === BUDGET);
  if (budget === undefined) throw new Error("The API does not know the budget that the demo made.");
  return budget;
}

function refused(calls: readonly { outcome: string }[]): number {
  return calls.filter(({ outcome }) => outcome === "off").length;
}

/** Rounded, for reading. */
function usd(nanoUsd: number): string {
  return `${(nanoUsd / 1e9).toFixed(2)} USD`;
}

/** Every digit, for comparing. */
function exactUsd(nanoUsd: bigint): string {
  return `${nanoUsd / 1_000_000_000n}.${String(nanoUsd % 1_000_000_000n).padStart(9, "0")}`;
}
