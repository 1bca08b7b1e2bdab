/**
 * What every door of the guard does with one request: the decision, the models, the call. Invariant: a call whose flag
 * is off, or whose model is blocked, never leaves the process.
 */
import { looksAfter, readsResultsOf } from "./batch-results.ts";
import { readsSession } from "./agent-sessions.ts";
import { DecidedRequest } from "./decided.ts";
import type { Door } from "./door.ts";
import { callKind } from "./endpoints.ts";
import { firstState } from "./first-state.ts";
import type { GuardHost } from "../guard-host.ts";
import { Guarding } from "./guarding.ts";
import { sendMessage } from "./message.ts";
import { layerAround } from "./nesting.ts";
import { readAgent, readBatch, readResults, sendBatch, sendCount, sendOther, sendWork } from "./other-kinds.ts";
import { holdBack } from "./pacing-call.ts";
import { readBody, takeSubject, withTextBody } from "./request.ts";
import type { GuardOptions, RequestLike } from "./types.ts";

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
  const guarding = new Guarding(host, options);
  return async (given, next, door) => {
    const kind = callKind(given);
    const isGuarded = kind !== "read" && kind !== "other";
    const request = isGuarded && typeof given.body !== "string" ? await withTextBody(given) : given;
    const known = kind === "message" ? readBody(request, door.body) : null;
    const around = layerAround(request.signal);
    const subject = takeSubject(request.headers, known, options, around);
    if (kind === "read") {
      const read = readsSession(request);
      if (read !== null) return readAgent(host, request, next, { read, subject });
      const batchId = readsResultsOf(request);
      const lookedAfter = batchId === null ? looksAfter(request) : null;
      if (lookedAfter !== null) return readBatch(host, request, next, subject.flag);
      if (batchId === null) return next(request);
      return readResults(host, () => next(request), { flag: subject.flag, around, batchId });
    }
    const startedMs = performance.now();
    if (isGuarded && host.isTooOld(options.maxStaleMs)) await host.fresh(guarding.freshness);
    else if (isGuarded && !host.hasState) await firstState(host, options.deadlineMs);
    if (isGuarded && guarding.verdicts.isAwaited(subject.flag)) await guarding.verdicts.first();
    if (options.pace === true && known !== null) {
      await holdBack(guarding, { request, call: door.call, subject, body: known, startedMs });
    }
    const asked = new DecidedRequest({ guarding, kind, request, next, door, known, subject, around, startedMs });
    switch (kind) {
      case "message":
        // One turn of the event loop's queue; a promise that is returned as it is takes three.
        return await sendMessage(asked);
      case "batch":
        return sendBatch(asked);
      case "count":
        return sendCount(asked);
      case "work":
        return sendWork(asked);
      case "other":
        return sendOther(asked);
    }
  };
}
