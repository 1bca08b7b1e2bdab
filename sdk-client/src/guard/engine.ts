/**
 * What every door of the guard does with one request: the decision, the models, the call. Invariant: a call whose flag
 * is off, or whose model is blocked, never leaves the process.
 */
import { type ModelChoice, planModels } from "../evaluate/chain-plan.ts";
import { ANY_LUCK, NO_LUCK } from "../evaluate/effective-state.ts";
import { Breakers } from "./breaker.ts";
import { planBatch } from "./batch.ts";
import { countingResults, readsResultsOf } from "./batch-results.ts";
import { bodyFor } from "./body.ts";
import { GuardedCall } from "./call.ts";
import { capBatch, capChoices, capMessage, FITS } from "./caps.ts";
import { CallTelling } from "./call-line.ts";
import type { Door } from "./door.ts";
import { callKind, modelOfPath, onlyStops } from "./endpoints.ts";
import { featureDisabled, type RefusalDetails } from "./errors.ts";
import type { GuardHost } from "../guard-host.ts";
import { type Naming, type RefusedName, refusedAnywhere, refusedInMessage } from "./names.ts";
import type { LimitRefusal } from "./limit-refusal.ts";
import { limitsOf, type LimitSubject, type Place } from "./limits.ts";
import { layerAround, sendsWith } from "./nesting.ts";
import { offMessage } from "./off-message.ts";
import { paceBy, pacerOf, waitForRoom } from "./pacing.ts";
import { passOf, type Passes, retriesOf } from "./pass.ts";
import { type Body, namesModelTwice, readBody, type Subject, takeSubject, withTextBody } from "./request.ts";
import { parseObject } from "../wire/json.ts";
import { continuable, threadNotFound } from "./continuing.ts";
import type { GuardOptions, RequestLike } from "./types.ts";
import type { Decision, FlagLimits } from "../wire/protocol.ts";
import { Writers } from "./writers.ts";

/** How long the first call of a process waits for a first snapshot. */
const FIRST_STATE_TIMEOUT_MS = 1_000;

/** Rough, for pacing alone: what is left of a limit is told in thousands of tokens. */
const CHARS_PER_TOKEN = 4;

/** The version of an Anthropic SDK, on each of its requests. */
const VERSION_HEADER = "x-stainless-package-version";

/** Sends one request of a door as the flag allows; `next` sends what it is given to the API. */
export type Engine = <R extends RequestLike>(
  request: R,
  next: (request: R) => Promise<Response>,
  door: Door,
) => Promise<Response>;

/**
 * The guard behind every door. Off: throws `FeatureDisabledError`, or answers with the flag's off message, as its
 * `offMode` says. On: sends the first usable model of the flag's chain and steps down on failures.
 */
export function engine(host: GuardHost, options: GuardOptions): Engine {
  const unknown = { onUnknown: options.onUnknown === "off" ? ("off" as const) : ("on" as const) };
  const passes: Passes = new WeakMap();
  const breakers = new Breakers();
  const timeoutMs = Math.min(FIRST_STATE_TIMEOUT_MS, options.deadlineMs ?? Infinity);
  const freshness = { maxStaleMs: options.maxStaleMs, timeoutMs };
  const writers = writersOf(host);
  const limits = limitsOf(host);
  if (options.pace === true) paceBy(host);
  /** The version of the SDK whose calls these are; null before the first. */
  let sdk: string | null = null;
  return async (given, next, door) => {
    const kind = callKind(given);
    const isGuarded = kind !== "read" && kind !== "other";
    const request = isGuarded && typeof given.body !== "string" ? await withTextBody(given) : given;
    const known = kind === "message" ? readBody(request, door.body) : null;
    const around = layerAround(request.signal);
    const subject = takeSubject(request.headers, known, options, around);
    if (kind === "read") {
      const batchId = readsResultsOf(request);
      if (batchId === null) return next(request);
      if (around !== undefined) around.isTaken = true;
      return countingResults(host, await next(request), { flag: subject.flag, batchId });
    }
    const startedMs = performance.now();
    if (!host.hasState && isGuarded) await atMost(options.deadlineMs, firstState(host));
    else if (isGuarded && host.isTooOld(options.maxStaleMs)) await host.fresh(freshness);

    const pass = options.pace === true && known !== null ? passOf(passes, request, door.call, startedMs) : null;
    const pacer = pacerOf(host);
    if (pass !== null && pacer !== null && known !== null) {
      await waitForRoom(pacer, {
        model: () => modelNow(host, subject, known),
        promptTokens: Math.ceil(String(request.body).length / CHARS_PER_TOKEN),
        signal: request.signal,
        deadlineMs: pass.startedMs + (options.deadlineMs ?? Number.POSITIVE_INFINITY),
        onChange: (listener) => host.onApplied(listener),
      });
    }

    const isWork = isGuarded && kind !== "count";
    const decision = isWork
      ? host.evaluate(subject.flag, subject.context, unknown)
      : host.decide(subject.flag, subject.context);
    if (isWork) {
      sdk ??= request.headers.get(VERSION_HEADER) ?? "";
      host.guarded(subject.flag, sdk);
    }
    const settings = host.flag(subject.flag);
    const chainOnly = settings?.chainOnly ?? false;
    const { models } = host;
    const plan = (requested: string, luck = NO_LUCK): ModelChoice[] =>
      planModels({
        requested,
        steps: host.chain(subject.flag),
        level: decision.level,
        chainOnly,
        models,
        nowMs: Date.now(),
        luck,
      });
    const namingFor = (luck: number): Naming => ({
      mayName: (model) => plan(model, luck)[0]?.replaced === false,
      isModel: (text) => models.isReadable(text),
    });
    const isHeld = decision.level > 0 || chainOnly || models.hasBlocks;
    // A breaker refuses no call: what it has taken out is only left out where that can be.
    const naming = isHeld ? namingFor(ANY_LUCK) : null;
    const isCapped = isWork && settings?.maxOutputTokens !== undefined;
    // What is held is read as it will be sent: other middleware may have changed it since.
    const body = known === null || isHeld || isCapped || models.hasBreakers ? parseObject(request.body) : known;
    const model = body?.["model"];
    const stream = door.stream ?? body?.["stream"] === true;
    const told = { host, options, door, subject, decision, stream, startedMs };
    const telling =
      kind === "message" && typeof model === "string" ? new CallTelling({ ...told, body: body ?? {}, model }) : null;
    const off = async (reason: Decision, details: RefusalDetails = {}): Promise<Response> => {
      if (around !== undefined) around.isTaken = true;
      const asMessage = kind === "message" && settings?.offMode === "message";
      const error = await featureDisabled(door, reason, details);
      telling?.off(reason, error);
      if (!asMessage || typeof model !== "string") throw error;
      return offMessage({ model, stream, decision: { ...reason, message: error.message } });
    };
    const limited = ({ message, hint, limit, until }: LimitRefusal): Promise<Response> => {
      host.logger.debug({ flag: subject.flag, limit, until }, `A call was refused: ${hint}`);
      host.limited(subject.flag);
      // What trying again does not mend is said in its own words.
      const words = limit.scope === "request" ? message : settings?.offMessage || message;
      return off({ ...decision, enabled: false, reason: "BUDGET", message: words }, { hint, limit, until });
    };
    const noModel = (hint: string): Promise<Response> => {
      host.logger.error({ flag: subject.flag, url: request.url }, `A call was refused: ${hint}`);
      return off({ ...decision, enabled: false, reason: "NO_MODEL" }, { hint });
    };
    const noModelFor = (requested: string): Promise<Response> =>
      models.isReadable(requested)
        ? off({ ...decision, enabled: false, reason: "NO_MODEL" })
        : noModel(whyUnreadable(requested));

    const isStop = kind === "work" && onlyStops(body);
    if (isWork && !decision.enabled && !isStop) return off(decision);
    // A guard of the same flag around this one has let the call in.
    const isCounted = isWork && !isStop && around?.flag !== subject.flag;
    const counting = isCounted && settings?.limits !== undefined ? limitedBy(settings.limits, request, subject) : null;
    const full = counting === null ? null : limits.check(counting);
    if (full !== null) return limited(full);
    const isUnread = body === null && request.body !== undefined && request.body !== null;
    if (isGuarded && naming !== null && isUnread) return noModel(UNREADABLE_BODY);
    if (kind === "work" || kind === "other") {
      const name = naming === null ? null : refusedInWork(request.url, body, naming);
      if (name !== null) return noModel(whyRefused(name));
      return counting === null ? next(request) : leaveAfter(limits.enter(counting), next(request));
    }
    const leavingOut = isHeld || models.hasBreakers ? namingFor(NO_LUCK) : null;
    const fitting = { models, writers, naming: leavingOut, refusing: naming };
    if (kind === "batch") {
      const capped = settings === undefined ? FITS : capBatch(body ?? {}, request.body, settings);
      if (capped.kind === "refused") return limited(capped.refusal);
      const asked = capped.kind === "clamped" ? capped.body : (body ?? {});
      const batch = planBatch(asked, (requested) => capChoices(plan(requested), settings)[0], fitting);
      if (batch.kind === "noModel") return noModelFor(batch.requested);
      if (batch.kind === "refused") return noModel(whyRefused(batch.name));
      if (request.signal) sendsWith(subject.layer, request.signal);
      const clamped = capped.kind === "clamped" ? JSON.stringify(capped.body) : null;
      const changed = batch.kind === "changed" ? batch.body : clamped;
      const place = counting === null ? null : limits.enter(counting);
      const sent = next(changed === null ? request : { ...request, body: changed });
      return place === null ? sent : leaveAfter(place, sent);
    }
    // A body without a model is the API's to refuse.
    if (body === null || typeof model !== "string") return next(request);

    // Counting costs nothing and proves nothing: it probes no model.
    const choices = plan(model, kind === "count" ? NO_LUCK : Math.random());
    const [first] = choices;
    if (first === undefined) return noModelFor(model);
    const name = naming === null ? null : refusedInMessage(body, naming);
    if (name !== null) return noModel(whyRefused(name));
    if (kind === "count") {
      // What a step sets is for making a message: counting knows neither limits nor temperatures.
      const counted = bodyFor(body, { ...first, step: null }, fitting);
      return next(counted === null ? request : { ...request, body: JSON.stringify(counted) });
    }

    const capped = settings === undefined ? FITS : capMessage(body, request.body, settings);
    if (capped.kind === "refused") return limited(capped.refusal);
    const isClamped = capped.kind === "clamped";
    // A text that names its model twice is sent as it was read: the API might read the other one.
    const isRewritten = isClamped || (isHeld && namesModelTwice(request.body));
    const outgoing = isRewritten ? { ...request, body: JSON.stringify(isClamped ? capped.body : body) } : request;

    if (around !== undefined) around.isTaken = true;
    const sendable = continuable(body, choices);
    if (sendable.length === 0) return threadNotFound();
    const place = counting === null ? null : limits.enter(counting);
    subject.layer.place = place;
    const nowMs = performance.now();
    const ownPass = pass ?? passOf(passes, request, door.call, startedMs);
    const attemptsBefore = ownPass.attempts;
    const call = new GuardedCall({
      host,
      options,
      door,
      request: outgoing,
      send: (signal, changed) => {
        sendsWith(subject.layer, signal);
        return next(changed === null ? { ...outgoing, signal } : { ...outgoing, signal, body: changed });
      },
      subject,
      place,
      body: isClamped ? capped.body : body,
      fitting,
      stream,
      revision: decision.revision,
      pass: ownPass,
      pacer,
      breakers,
      off,
      settled: (outcome, used) => {
        host.logger.debug(outcome, "attempt");
        if (subject.layer.isTaken) return;
        for (const each of used) {
          host.record(each);
          place?.used(each.usage);
          around?.place?.used(each.usage);
        }
        telling?.settled(outcome, used);
      },
    });
    let error: unknown = null;
    try {
      return await call.run(capChoices(sendable, settings), nowMs);
    } catch (thrown) {
      error = thrown;
      throw thrown;
    } finally {
      // A guard inside tells of the call itself.
      if (!subject.layer.isTaken) telling?.returned(error, ownPass.attempts - attemptsBefore);
    }
  };
}

/** The address of a cloud may name the model, which the body does not then. */
function refusedInWork(url: string, body: Body | null, naming: Naming): RefusedName | null {
  return refusedAnywhere({ model: modelOfPath(url) }, naming) ?? refusedAnywhere(body ?? {}, naming);
}

/** The model that a call would be sent to now, by the name it is known by; null when none would be. */
function modelNow(host: GuardHost, { flag, context }: Subject, body: Body): string | null {
  const decision = host.decide(flag, context);
  const requested = body["model"];
  if (!decision.enabled || typeof requested !== "string") return null;
  const { models } = host;
  const chainOnly = host.flag(flag)?.chainOnly ?? false;
  const plan = { requested, steps: host.chain(flag), level: decision.level, chainOnly, models, nowMs: Date.now() };
  const [first] = planModels({ ...plan, luck: NO_LUCK });
  return first === undefined ? null : models.nameOf(first.model);
}

/** What a call is counted under. The SDK's retries are the same call. */
function limitedBy(limits: FlagLimits, request: RequestLike, { flag, context }: Subject): LimitSubject {
  const { targetingKey: user, session } = context;
  return { flag, limits, user, session, isRetry: retriesOf(request) > 0 };
}

/** Gives the place up when the answer's headers are there. */
async function leaveAfter<T>(place: Place, sent: Promise<T>): Promise<T> {
  try {
    return await sent;
  } finally {
    place.leave();
  }
}

const UNREADABLE_BODY =
  "its body is no JSON object, so that nobody can tell which models it names, and not every model may be used now";

const allWriters = new WeakMap<GuardHost, Writers>();

/** What all guards of one host have seen being written. */
function writersOf(host: GuardHost): Writers {
  const known = allWriters.get(host);
  if (known !== undefined) return known;
  const made = new Writers();
  allWriters.set(host, made);
  return made;
}

const firstStates = new WeakMap<GuardHost, Promise<unknown>>();

/** One wait per host, shared by all first calls; over and done with when it has passed. */
function firstState(host: GuardHost): Promise<unknown> {
  const known = firstStates.get(host);
  if (known !== undefined) return known;
  const wait = host.ready({ timeoutMs: FIRST_STATE_TIMEOUT_MS });
  firstStates.set(host, wait);
  return wait;
}

/** Waits for `work`, and not past a call's deadline. */
function atMost(deadlineMs: number | undefined, work: Promise<unknown>): Promise<unknown> {
  if (deadlineMs === undefined || deadlineMs >= FIRST_STATE_TIMEOUT_MS) return work;
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<void>((resolve) => void (timer = setTimeout(resolve, deadlineMs)));
  return Promise.race([work, passed]).finally(() => clearTimeout(timer));
}

/** A refusal for a name that cannot be read is mended in Andon, not in the application. */
function whyUnreadable(model: string): string {
  const why = `${model} does not say which model it is, and a model is blocked in this environment`;
  return `${why}. Map the name to its model under Models, or PUT /aliases`;
}

function whyRefused({ model, path }: RefusedName): string {
  return `its body names ${model} in \`${path}\`, which its flag may not use now. Leave it out, or name another model`;
}
