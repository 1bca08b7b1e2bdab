/** The kinds of request besides a message: each is held to its flag as far as it makes a model work. */
import { planBatch } from "./batch.ts";
import { rebuilt } from "./answers.ts";
import { countingResults, readingBatch } from "./batch-results.ts";
import { bodyFor } from "./body.ts";
import { capBatch, capChoices, capMessage, FITS } from "./caps.ts";
import type { DecidedRequest } from "./decided.ts";
import { modelOfPath } from "./endpoints.ts";
import type { GuardHost } from "../guard-host.ts";
import { Attempt, Stopped } from "./attempt.ts";
import { leasesOf } from "./leases/leases.ts";
import type { AffordedBatch } from "./leases/purse.ts";
import { isObject, parseObject } from "../wire/json.ts";
import type { Place } from "./limits.ts";
import { type RefusedName, refusedAnywhere, refusedInMessage } from "./names.ts";
import { type Layer, sendsWith } from "./nesting.ts";
import type { RequestLike } from "./types.ts";

/** The results of a batch, counted as they are read. */
export async function readResults(
  host: GuardHost,
  send: () => Promise<Response>,
  { flag, around, batchId }: { flag: string; around: Layer | undefined; batchId: string },
): Promise<Response> {
  if (around !== undefined) around.isTaken = true;
  return countingResults(host, await send(), { flag, batchId, deposits: leasesOf(host).batches });
}

/** What the API says of one batch. */
export async function readBatch(host: GuardHost, send: () => Promise<Response>, batchId: string): Promise<Response> {
  return readingBatch(await send(), batchId, leasesOf(host).batches);
}

/** A batch of messages: the models and caps of each of its items, as if it were sent alone. */
export async function sendBatch<R extends RequestLike>(decided: DecidedRequest<R>): Promise<Response> {
  const { caps } = decided;
  const { request, next, subject, around } = decided.asked;
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
  const place = decided.enter(counting);
  const setAside = await setAsideFor(decided, outgoing);
  if (setAside instanceof Response) {
    place?.leave();
    return setAside;
  }
  subject.layer.deposit = setAside?.deposit ?? null;
  const response = await leaveAfter(place, next(outgoing));
  if (setAside === null || subject.layer.isTaken) return response;
  if (!response.ok) {
    setAside.deposit.cancel();
    return response;
  }
  // What was taken works on for hours: its money stays set aside until results tell what it cost.
  const text = await response.text();
  const batchId = parseObject(text)?.["id"];
  const { batches } = leasesOf(decided.asked.guarding.host);
  if (typeof batchId === "string") batches.submitted(batchId, setAside.deposit, setAside.parts);
  return rebuilt(response, text);
}

/** What a batch has set aside at batch prices; null while no budget reserves, and the answer where there is no money. */
async function setAsideFor<R extends RequestLike>(
  decided: DecidedRequest<R>,
  request: R,
): Promise<Extract<AffordedBatch, { kind: "afforded" }> | Response | null> {
  const purse = decided.purse({ body: {}, request, fitting: decided.fitting() });
  const requests: unknown = purse === null ? null : parseObject(request.body)?.["requests"];
  if (purse === null || !Array.isArray(requests)) return null;
  const items = (requests as unknown[]).flatMap((each) => {
    const params = isObject(each) ? each["params"] : undefined;
    const model = isObject(params) ? params["model"] : undefined;
    if (!isObject(each) || !isObject(params) || typeof model !== "string") return [];
    return [{ customId: String(each["custom_id"]), body: params, choice: { model, step: null, replaced: false } }];
  });
  if (items.length === 0) return null;
  const wait = new Attempt();
  const onAbort = (): void => wait.stop({ kind: "aborted" });
  request.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const afforded = await purse.affordBatch(items, (work) => wait.wait(work(wait.signal)));
    if (afforded.kind === "refused") return await decided.unaffordable(afforded.refusal);
    return afforded.parts.size === 0 ? null : afforded;
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
  return next(counted === null ? request : { ...request, body: JSON.stringify(counted) });
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
  return leaveAfter(decided.enter(counting), next(sent));
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
