/**
 * The story of the demo, chapter by chapter: the switch here, the money in fuse.ts. Invariant: nothing is said to have happened that was not measured in this
 * run; what was expected and did not happen is a failed claim.
 */
import { z } from "zod";
import {
  APPLY_TIMEOUT_MS,
  change,
  type Chapter,
  ENOUGH,
  isAnswered,
  isChat,
  RECONNECT_TIMEOUT_MS,
  tally,
  TRAFFIC_TIMEOUT_MS,
} from "./chapter.ts";
import { OVERLOADED } from "../claude-endpoint/claude-endpoint.ts";
import { theAgentSpends, theBooksBalance, theFuseBlows } from "./fuse.ts";
import { duration, type Narrator } from "./narrator.ts";
import { type Receipts, receiptsSchema } from "./operator-api.ts";
import { CHAT, DIGEST, ENVIRONMENT, OPUS, ORDINARY, SONNET, type Stage } from "./stage.ts";
import { waitUntil, wallMs } from "./wait.ts";

const SOCKETS_TIMEOUT_MS = 2_000;
/** What was sent before the kill was applied may still be on its way to the endpoint. */
const ON_ITS_WAY_MS = 100;
const QUIET_MS = 1_200;
const OUTAGE_MS = 1_500;
export const STORY: readonly Chapter[] = [
  trafficFlows,
  theCordIsPulled,
  theFlagIsRestored,
  qualityStepsDown,
  opusIsOverloaded,
  theAgentSpends,
  theServerDies,
  theFuseBlows,
  theBooksBalance,
];

export async function trafficFlows({ fleet }: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("Traffic flows on Opus.");
  const sinceMs = wallMs();
  const calls = () => fleet.callsSince(sinceMs).filter(isChat);
  await waitUntil(() => calls().length >= ENOUGH, TRAFFIC_TIMEOUT_MS);
  const answered = calls().filter(isAnswered);
  narrator.claim(
    `${answered.length} calls answered by ${OPUS}, streamed and whole, none failed`,
    calls().length >= ENOUGH && calls().every((call) => call.outcome === "answered" && call.model === OPUS),
    tally(calls()),
  );
}

export async function theCordIsPulled(stage: Stage, narrator: Narrator): Promise<void> {
  const { api, claude, fleet } = stage;
  narrator.chapter(`On-call pulls the cord: kill ${CHAT}, while its calls are running.`);
  await waitUntil(() => claude.counts(OPUS).open >= ENOUGH, TRAFFIC_TIMEOUT_MS);
  const before = {
    running: claude.counts(OPUS).open,
    aborted: fleet.aborted,
    brokenOff: claude.counts(OPUS).brokenOff,
  };
  const killedAtMs = wallMs();
  const revision = await api.change("POST", `${ENVIRONMENT}/flags/${CHAT}/kill`, {
    reason: "Demo: answers leak internal prices",
  });
  const appliedAtMs = await fleet.applied(revision, APPLY_TIMEOUT_MS);
  const appliedMs = (appliedAtMs ?? Infinity) - killedAtMs;
  narrator.claim(
    `every process decided "off" ${duration(appliedMs)} after the kill was sent`,
    appliedAtMs !== null,
    `not every process applied it within ${APPLY_TIMEOUT_MS} ms`,
  );
  await waitUntil(() => wallMs() >= (appliedAtMs ?? killedAtMs) + ON_ITS_WAY_MS, TRAFFIC_TIMEOUT_MS);
  const closedMs = await waitUntil(() => claude.counts(OPUS).open === 0, SOCKETS_TIMEOUT_MS);
  const brokenOff = claude.counts(OPUS).brokenOff - before.brokenOff;
  const aborted = fleet.aborted - before.aborted;
  narrator.claim(
    `${aborted} running calls were aborted; the endpoint saw ${brokenOff} of its calls broken off, and none runs on`,
    closedMs !== null && aborted > 0 && brokenOff > 0,
    `${claude.counts(OPUS).open} calls still run at the endpoint; ${aborted} aborted, ${brokenOff} broken off`,
  );
  await claimsSilence(stage, narrator, killedAtMs);
  const receipts = await claimsReceipts(stage, narrator, revision);
  narrator.figure("kill sent → every process decides by it", duration(appliedMs));
  narrator.figure("running calls aborted", `${aborted}`);
  narrator.figure("receipts", `${receipts.applied} of ${receipts.live}, last after ${receipts.lastMs ?? "?"} ms`);
}

/** For a while no call of the killed flag arrives; nothing was cut, nothing failed; the other flag goes on. */
async function claimsSilence({ claude, fleet }: Stage, narrator: Narrator, killedAtMs: number): Promise<void> {
  const quietFromMs = wallMs();
  const arrivedBefore = arrived(claude.counts(OPUS)) + arrived(claude.counts(SONNET));
  const otherFlagWasUsed = () => fleet.callsEndedSince(killedAtMs).some((call) => call.flag === DIGEST);
  await waitUntil(() => wallMs() - quietFromMs >= QUIET_MS && otherFlagWasUsed(), TRAFFIC_TIMEOUT_MS);
  const arrivals = arrived(claude.counts(OPUS)) + arrived(claude.counts(SONNET)) - arrivedBefore;
  const refused = fleet.callsSince(quietFromMs).filter(isChat);
  narrator.claim(
    `then the endpoint received no further call: ${refused.length} tries were refused inside the processes`,
    arrivals === 0 && refused.length > 0 && refused.every((call) => call.outcome === "off"),
    `${arrivals} calls arrived; ${tally(refused)}`,
  );
  const ended = fleet.callsEndedSince(killedAtMs);
  narrator.claim(
    "no caller was given a cut answer as a whole one, and none an error other than Andon's",
    ended.every((call) => call.outcome === "answered" || call.outcome === "off"),
    tally(ended),
  );
  const digests = ended.filter((call) => call.flag === DIGEST);
  narrator.claim(
    `the other flag, ${DIGEST}, was left alone`,
    digests.length > 0 && digests.every(isAnswered),
    tally(digests),
  );
}

async function claimsReceipts({ api, fleet }: Stage, narrator: Narrator, revision: string): Promise<Receipts> {
  const path = `${ENVIRONMENT}/receipts?revision=${encodeURIComponent(revision)}`;
  let receipts = await api.call("GET", path, null, receiptsSchema);
  await waitUntil(async () => {
    receipts = await api.call("GET", path, null, receiptsSchema);
    return receipts.applied === fleet.size;
  }, APPLY_TIMEOUT_MS);
  narrator.claim(
    `receipts from the API: ${receipts.applied} of ${receipts.live} instances applied it, the last after ${receipts.lastMs ?? "?"} ms`,
    receipts.applied === fleet.size && receipts.live === fleet.size && receipts.stragglers.length === 0,
    `applied ${receipts.applied}, live ${receipts.live}, expected ${fleet.size}`,
  );
  return receipts;
}

export async function theFlagIsRestored(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("Restored.");
  const appliedMs = await change(stage, narrator, `/flags/${CHAT}/restore`, { reason: "Demo: the prompt is mended" });
  await claimsModel(stage, narrator, OPUS);
  narrator.figure("restore sent → every process decides by it", duration(appliedMs));
}

export async function qualityStepsDown(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("Downgraded to Sonnet: the application still asks for Opus.");
  const body = { model: SONNET, reason: "Demo: Opus costs too much tonight" };
  const appliedMs = await change(stage, narrator, `/flags/${CHAT}/downgrade`, body);
  const opusBefore = arrived(stage.claude.counts(OPUS));
  await claimsModel(stage, narrator, SONNET);
  const opus = arrived(stage.claude.counts(OPUS)) - opusBefore;
  narrator.claim("the endpoint received nothing for Opus meanwhile", opus === 0, `it received ${opus} calls`);
  narrator.figure("downgrade sent → every process decides by it", duration(appliedMs));
  narrator.say("Back to full quality.");
  await change(stage, narrator, `/flags/${CHAT}/restore`, { reason: "Demo: budget is back" });
  await claimsModel(stage, narrator, OPUS);
}

export async function opusIsOverloaded(stage: Stage, narrator: Narrator): Promise<void> {
  const { claude, fleet } = stage;
  narrator.chapter("Opus is overloaded: the endpoint answers 529 for it. Nobody presses anything.");
  claude.behave(OPUS, OVERLOADED);
  const sinceMs = wallMs();
  const calls = () => fleet.callsSince(sinceMs).filter(isChat);
  await waitUntil(() => calls().length >= ENOUGH, TRAFFIC_TIMEOUT_MS);
  claude.behave(OPUS, ORDINARY);
  const seen = calls();
  narrator.claim(
    `${seen.length} of ${seen.length} users got an answer: the chain stepped past Opus to ${SONNET}`,
    seen.length >= ENOUGH && seen.every((call) => call.outcome === "answered" && call.model === SONNET),
    tally(seen),
  );
  narrator.figure("calls answered while Opus was overloaded", `${seen.filter(isAnswered).length} of ${seen.length}`);
}

const switchSchema = z.object({ switch: z.object({ state: z.enum(["on", "off"]) }) });

export async function theServerDies(stage: Stage, narrator: Narrator): Promise<void> {
  const { api, claude, fleet, server } = stage;
  narrator.chapter(`${DIGEST} is killed; then the Andon server itself dies (SIGKILL).`);
  await change(stage, narrator, `/flags/${DIGEST}/kill`, { reason: "Demo: killed before the outage" });
  await server.killWithoutWarning();
  const downAtMs = wallMs();
  const chatsSince = () => fleet.callsSince(downAtMs).filter(isChat);
  // Until calls that began in the outage have ended in it: callers go in step, and a call is as long as a quick restart.
  await waitUntil(() => wallMs() - downAtMs >= OUTAGE_MS && chatsSince().length >= ENOUGH, TRAFFIC_TIMEOUT_MS);
  const chats = chatsSince();
  const digests = fleet.callsSince(downAtMs).filter((call) => call.flag === DIGEST);
  await server.start();
  const awayMs = wallMs() - downAtMs;
  narrator.say(`The server was away for ${duration(awayMs)} and runs again on the same folder.`);
  narrator.claim(
    `${CHAT} went on: ${chats.length} calls answered while it was away, none failed`,
    chats.length >= ENOUGH && chats.every(isAnswered),
    tally(chats),
  );
  narrator.claim(
    `${DIGEST} stayed off in every process: ${digests.length} tries refused, none let through`,
    digests.length > 0 && digests.every((call) => call.outcome === "off"),
    tally(digests),
  );
  const flag = await api.call("GET", `${ENVIRONMENT}/flags/${DIGEST}`, null, switchSchema);
  narrator.claim("the kill that it had acknowledged is still there", flag.switch.state === "off", flag.switch.state);
  narrator.figure("calls answered while the server was away", `${chats.filter(isAnswered).length} of ${chats.length}`);

  narrator.say("On-call kills everything: the master switch.");
  const killedAtMs = wallMs();
  const revision = await api.change("POST", `${ENVIRONMENT}/kill`, { reason: "Demo: everything off" });
  const appliedAtMs = await fleet.applied(revision, RECONNECT_TIMEOUT_MS);
  const appliedMs = (appliedAtMs ?? Infinity) - killedAtMs;
  narrator.claim(
    `the kill reached every process ${duration(appliedMs)} after it was sent, reconnecting included`,
    appliedAtMs !== null,
    `not within ${RECONNECT_TIMEOUT_MS} ms`,
  );
  const closedMs = await waitUntil(() => claude.counts().open === 0, SOCKETS_TIMEOUT_MS);
  narrator.claim("nothing runs at the endpoint any more", closedMs !== null, `${claude.counts().open} calls run`);
  await claimsReceipts(stage, narrator, revision);
  narrator.figure("first kill after the outage → every process", duration(appliedMs));
}

/** From now on calls are answered, and by this model only, as the endpoint sees it too. */
async function claimsModel({ claude, fleet }: Stage, narrator: Narrator, model: string): Promise<void> {
  const sinceMs = wallMs();
  const receivedBefore = arrived(claude.counts(model));
  const calls = () => fleet.callsSince(sinceMs).filter(isChat);
  await waitUntil(() => calls().length >= ENOUGH, TRAFFIC_TIMEOUT_MS);
  const seen = calls();
  const received = arrived(claude.counts(model)) - receivedBefore;
  narrator.claim(
    `the endpoint received ${received} calls for ${model}; all ${seen.length} that have ended were answered by it`,
    received >= ENOUGH && seen.length >= ENOUGH && seen.every((call) => isAnswered(call) && call.model === model),
    tally(seen),
  );
}

function arrived(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
