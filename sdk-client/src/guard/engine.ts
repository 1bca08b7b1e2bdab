/**
 * What every door of the guard does with one request: the decision, the models, the call. Invariant: a call whose flag
 * is off, or whose model is blocked, never leaves the process.
 */
import { type ModelChoice, planModels } from "../evaluate/chain-plan.ts";
import { planBatch } from "./batch.ts";
import { GuardedCall } from "./call.ts";
import type { Door } from "./door.ts";
import { featureDisabled } from "./errors.ts";
import type { GuardHost } from "../guard-host.ts";
import { layerAround, sendsWith } from "./nesting.ts";
import { offMessage } from "./off-message.ts";
import { passOf, type Passes } from "./pass.ts";
import { callKind, readBody, takeSubject } from "./request.ts";
import { parseObject } from "../wire/json.ts";
import type { GuardOptions, RequestLike } from "./types.ts";
import type { Decision } from "../wire/protocol.ts";

/** How long the first call of a process waits for a first snapshot. */
const FIRST_STATE_TIMEOUT_MS = 1_000;

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
  return async (request, next, door) => {
    const kind = callKind(request);
    const body = kind === "message" ? readBody(request, door.body) : null;
    const around = layerAround(request.signal);
    const subject = takeSubject(request.headers, body, options, around);
    if (kind === "other") return next(request);
    if (!host.hasState) await firstState(host);

    const decision = host.evaluate(subject.flag, subject.context, unknown);
    const model = body?.["model"];
    const stream = door.stream ?? body?.["stream"] === true;
    const off = (reason: Decision): Promise<Response> => {
      if (around !== undefined) around.isTaken = true;
      const asMessage = kind === "message" && host.flag(subject.flag)?.offMode === "message";
      return refuse(door, reason, asMessage && typeof model === "string" ? { model, stream } : null);
    };
    if (!decision.enabled) return off(decision);
    const plan = (requested: string): ModelChoice[] =>
      planModels({
        requested,
        steps: host.chain(subject.flag),
        level: decision.level,
        chainOnly: host.flag(subject.flag)?.chainOnly ?? false,
        models: host.models,
        nowMs: Date.now(),
      });
    const noModelFor = (requested: string): Promise<Response> => {
      tellUnreadable(host, subject.flag, requested);
      return off({ ...decision, enabled: false, reason: "NO_MODEL" });
    };
    if (kind === "batch") {
      const batch = planBatch(parseObject(request.body) ?? {}, (requested) => plan(requested)[0]);
      if (batch.kind === "noModel") return noModelFor(batch.requested);
      if (request.signal) sendsWith(subject.layer, request.signal);
      return next(batch.kind === "changed" ? { ...request, body: batch.body } : request);
    }
    // A body without a model is the API's to refuse.
    if (body === null || typeof model !== "string") return next(request);

    const choices = plan(model);
    if (choices.length === 0) return noModelFor(model);

    if (around !== undefined) around.isTaken = true;
    const nowMs = performance.now();
    const call = new GuardedCall({
      host,
      options,
      door,
      request,
      send: (signal, changed) => {
        sendsWith(subject.layer, signal);
        return next(changed === null ? { ...request, signal } : { ...request, signal, body: changed });
      },
      subject,
      body,
      stream,
      revision: decision.revision,
      pass: passOf(passes, request, door.call, nowMs),
      settled: (outcome, used) => {
        host.logger.debug(outcome, "attempt");
        if (subject.layer.isTaken) return;
        for (const each of used) host.record(each);
      },
    });
    return call.run(choices, nowMs);
  };
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

/** A refusal for a name that cannot be read is mended in Andon, not in the application: the log says how. */
function tellUnreadable(host: GuardHost, flag: string, model: string): void {
  if (host.models.isReadable(model)) return;
  const why = "it does not say which model it is, and a model is blocked in this environment";
  host.logger.error(
    { flag, model },
    `A call was refused: ${why}. Map the name to its model under Models, or PUT /aliases`,
  );
}

async function refuse(
  door: Door,
  decision: Decision,
  asked: { model: string; stream: boolean } | null,
): Promise<Response> {
  const error = await featureDisabled(door, decision);
  if (asked === null) throw error;
  return offMessage({ ...asked, decision: { ...decision, message: error.message } });
}
