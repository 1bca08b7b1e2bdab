/** The kinds of request besides a message: each is held to its flag as far as it makes a model work. */
import { agentSessionsOf, lookAt, type SessionRead } from "./agent-sessions.ts";
import { planBatch } from "./batch.ts";
import { accountHeard } from "./other-faults.ts";
import { batchEstimate, ofBatch } from "./batch-estimate.ts";
import { batchesOf } from "./batches.ts";
import { placeOf } from "./cloud-region.ts";
import { neverSent } from "./failures.ts";
import { memoryOf } from "./memory.ts";
import { idOf } from "./meter.ts";
import { rebuilt } from "./answers.ts";
import { countingResults, readingBatch } from "./batch-results.ts";
import { bodyFor } from "./body.ts";
import { capBatch, capChoices, capMessage, FITS } from "./caps.ts";
import type { DecidedRequest } from "./decided.ts";
import { modelOfPath } from "./endpoints.ts";
import type { GuardHost, UsageDraft } from "../guard-host.ts";
import { Attempt, Stopped } from "./attempt.ts";
import type { Deposit } from "./leases/deposit.ts";
import type { BatchItem } from "./leases/purse.ts";
import { isObject, parseObject } from "../wire/json.ts";
import type { Place } from "./limits.ts";
import { type RefusedName, refusedAnywhere, refusedInMessage } from "./names.ts";
import { isInnerNo, type Layer, sendsWith } from "./nesting.ts";
import type { Subject } from "./request.ts";
import { inItsTurn, startOfBatch } from "./starting.ts";
import type { Start } from "./starts.ts";
import type { RequestLike } from "./types.ts";

/** The results of a batch, counted as they are read. */
export async function readResults(
  host: GuardHost,
  send: () => Promise<Response>,
  { flag, around, batchId }: { flag: string; around: Layer | undefined; batchId: string },
): Promise<Response> {
  if (around !== undefined) around.isTaken = true;
  return countingResults(host, await send(), { flag, batchId, batches: batchesOf(host) });
}

/** What the API says of an agent's session, and of what it does. */
export async function readAgent<R extends RequestLike>(
  host: GuardHost,
  request: R,
  next: (request: R) => Promise<Response>,
  { read, subject }: { read: SessionRead; subject: Subject },
): Promise<Response> {
  const sessions = agentSessionsOf(host);
  const response = await next(request);
  if (read.kind === "session") return sessions.readSession(response, subject);
  return sessions.readEvents(response, read, subject, lookAt(request, read.url, next));
}

/** What the API says of one batch. */
export async function readBatch<R extends RequestLike>(
  host: GuardHost,
  request: R,
  next: (request: R) => Promise<Response>,
  flag: string,
): Promise<Response> {
  const batches = batchesOf(host);
  const by = batches.wayOf(request, next);
  return readingBatch(await next(request), (batch) => batches.seen(batch, flag, by));
}

/** A batch of messages: the models and caps of each of its items, as if it were sent alone. */
export async function sendBatch<R extends RequestLike>(
  decided: DecidedRequest<R>,
  inTurn: Start | null = null,
): Promise<Response> {
  const { caps } = decided;
  const { request, subject, around } = decided.asked;
  // It is this guard that sets aside for it.
  if (around !== undefined) around.isTaken = true;
  around?.deposit?.cancel();
  const counting = decided.counting();
  const no = decided.refusal(counting);
  if (no !== null) return no;
  const body = decided.body ?? {};
  const capped = caps === undefined ? FITS : capBatch(body, request.body, caps);
  if (capped.kind === "refused") return decided.limited(capped.refusal);
  const isClamped = capped.kind === "clamped";
  const choose = (requested: string) => capChoices(decided.plan(requested), caps)[0];
  const batch = planBatch(isClamped ? capped.body : body, choose, decided.fitting());
  if (batch.kind === "noModel") return decided.noModelFor(batch.requested);
  if (batch.kind === "refused") return decided.refusedName(batch.name);
  if (request.signal) sendsWith(subject.layer, request.signal);
  const clamped = isClamped ? JSON.stringify(capped.body) : null;
  const changed = batch.kind === "changed" ? batch.body : clamped;
  const outgoing = changed === null ? request : { ...request, body: changed };
  const items = itemsOf(outgoing.body);
  const estimate = estimateOf(decided, outgoing, items);
  const start = inTurn ?? startOfBatch(decided, estimate);
  if (start?.waits === true) return inItsTurn(decided.asked, start, (again) => sendBatch(again, start));
  if (start?.standing === "denied") {
    start.end();
    return decided.unreported();
  }
  if (start !== null) start.isTaken = true;
  const place = decided.enter(counting);
  try {
    const setAside = await setAsideFor(decided, outgoing, items);
    if (setAside instanceof Response) return setAside;
    subject.layer.deposit = setAside;
    return await submit(decided, outgoing, { estimate, requests: items.length, deposit: setAside });
  } finally {
    place?.leave();
    start?.end();
  }
}

/** What its requests may cost, as records. */
function estimateOf<R extends RequestLike>(
  decided: DecidedRequest<R>,
  request: R,
  items: readonly BatchItem[],
): UsageDraft[] {
  const { guarding, subject } = decided.asked;
  const { host, options } = guarding;
  const { flag, context } = subject;
  const user = idOf(context.targetingKey);
  const session = idOf(context.session);
  const of = { flag, ...(user === null ? {} : { user }), ...(session === null ? {} : { session }) };
  const memory = memoryOf(host);
  const asked = items.map(({ body, choice }) => ({
    choice,
    body,
    encoded: () => JSON.stringify(body),
    place: placeOf(request.url, choice.model, options.region),
    memory,
    documentTokens: options.documentTokens,
    toolUses: options.toolUses,
    counted: null,
  }));
  return batchEstimate(asked, of, host.models.promptThresholds());
}

/**
 * Sends it. What was taken works on for hours, whoever waits for it: it counts as an estimate from now on, until results
 * tell what it cost.
 */
async function submit<R extends RequestLike>(
  decided: DecidedRequest<R>,
  request: R,
  { estimate, requests, deposit }: { estimate: readonly UsageDraft[]; requests: number; deposit: Deposit | null },
): Promise<Response> {
  const { guarding, next, subject, door } = decided.asked;
  const { host } = guarding;
  const { flag } = subject;
  // The window in which its money was set aside.
  const atMs = Date.now();
  const dated = estimate.map((draft): UsageDraft => ({ ...draft, at: atMs }));
  const count = (used: readonly UsageDraft[]): void => {
    deposit?.settle(used, false);
    for (const draft of used) host.record(draft);
  };
  let response: Response;
  try {
    response = await next(request);
  } catch (error) {
    if (subject.layer.isTaken) throw error;
    // It may have been taken all the same, under an id that nobody knows.
    if (neverSent(error) === null && !isInnerNo(error)) count(dated.map((draft) => ({ ...draft, outcome: "error" })));
    else deposit?.cancel();
    throw error;
  }
  // A guard inside has done all of this.
  if (subject.layer.isTaken) return response;
  if (!response.ok) {
    deposit?.cancel();
    return accountHeard(decided, response, estimate[0]?.model ?? null);
  }
  if (guarding.accounts.hasOut) guarding.accounts.answered(request, decided.asked.startedMs);
  const text = await response.text();
  const batchId = parseObject(text)?.["id"];
  if (typeof batchId !== "string") {
    count(dated);
    return rebuilt(response, text);
  }
  count(ofBatch(dated, batchId));
  const batches = batchesOf(host);
  door.release?.();
  batches.submitted(batchId, { flag, requests, atMs, by: batches.wayOf(request, next) });
  return rebuilt(response, text);
}

/** The requests of a batch that name a model: others are the API's to refuse. */
function itemsOf(body: unknown): BatchItem[] {
  const requests: unknown = parseObject(body)?.["requests"];
  return (Array.isArray(requests) ? (requests as unknown[]) : []).flatMap((each) => {
    const params = isObject(each) ? each["params"] : undefined;
    const model = isObject(params) ? params["model"] : undefined;
    if (!isObject(params) || typeof model !== "string") return [];
    return [{ body: params, choice: { model, step: null, replaced: false } }];
  });
}

/** What a batch has set aside at batch prices; null while no budget reserves, and the answer where there is no money. */
async function setAsideFor<R extends RequestLike>(
  decided: DecidedRequest<R>,
  request: R,
  items: readonly BatchItem[],
): Promise<Deposit | Response | null> {
  const purse = decided.purse({ body: {}, request, fitting: decided.fitting() });
  if (purse === null || items.length === 0) return null;
  const wait = new Attempt();
  const onAbort = (): void => wait.stop({ kind: "aborted" });
  request.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const afforded = await purse.affordBatch(items, (work) => wait.wait(work(wait.signal)));
    if (afforded.kind === "refused") return await decided.unaffordable(afforded.refusal);
    return afforded.deposit;
  } catch (error) {
    throw error instanceof Stopped ? decided.asked.door.aborted() : error;
  } finally {
    request.signal?.removeEventListener("abort", onAbort);
  }
}

/** A count of tokens makes none: it passes while the flag is off, and its model is the one that would be sent. */
export async function sendCount<R extends RequestLike>(decided: DecidedRequest<R>): Promise<Response> {
  const { body, model } = decided;
  const { request, next } = decided.asked;
  const no = decided.unread();
  if (no !== null) return no;
  // A body without a model is the API's to refuse.
  if (body === null || model === null) return next(request);
  // Counting costs nothing and proves nothing: it probes no model.
  const [first] = decided.plan(model);
  if (first === undefined) return decided.noModelFor(model);
  const fitting = decided.fitting();
  const name = fitting.refusing === null ? null : refusedInMessage(body, fitting.refusing);
  if (name !== null) return decided.refusedName(name);
  // What a step sets is for making a message: counting knows neither limits nor temperatures.
  const counted = bodyFor(body, { ...first, step: null }, fitting);
  const response = await next(counted === null ? request : { ...request, body: JSON.stringify(counted) });
  return accountHeard(decided, response, first.model);
}

/** Work in another shape: it is sent as it is, or not at all. */
export async function sendWork<R extends RequestLike>(decided: DecidedRequest<R>): Promise<Response> {
  const { request, next } = decided.asked;
  const counting = decided.counting();
  const no = decided.refusal(counting);
  if (no !== null) return no;
  const name = refusedInWork(decided);
  if (name !== null) return decided.refusedName(name);
  const unbounded = decided.unboundedWork(decided.model ?? modelOfPath(request.url));
  if (unbounded !== null) return unbounded;
  const { caps, body, isStop } = decided;
  const capped = caps === undefined || body === null || isStop ? FITS : capMessage(body, request.body, caps);
  if (capped.kind === "refused") return decided.limited(capped.refusal);
  const sent = capped.kind === "clamped" ? { ...request, body: JSON.stringify(capped.body) } : request;
  const response = await leaveAfter(decided.enter(counting), next(sent));
  return accountHeard(decided, response, decided.model ?? modelOfPath(request.url));
}

/** Whatever makes no model work passes, unless it names a model that may not be used. */
export async function sendOther<R extends RequestLike>(decided: DecidedRequest<R>): Promise<Response> {
  const { request, next } = decided.asked;
  const name = refusedInWork(decided);
  return name === null ? next(request) : decided.refusedName(name);
}

/** The address of a cloud may name the model, which the body does not then. */
function refusedInWork<R extends RequestLike>(decided: DecidedRequest<R>): RefusedName | null {
  const naming = decided.refusing();
  if (naming === null) return null;
  const named = { model: modelOfPath(decided.asked.request.url) };
  return refusedAnywhere(named, naming) ?? refusedAnywhere(decided.body ?? {}, naming);
}

/** Gives the place up when the answer's headers are there. */
async function leaveAfter<T>(place: Place | null, sent: Promise<T>): Promise<T> {
  try {
    return await sent;
  } finally {
    place?.leave();
  }
}
