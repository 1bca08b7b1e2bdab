/** How a message begins under budgets that trip: what it can cost, and its turn. */
import { type Asked, mostParts } from "./attempt-usage.ts";
import type { CallInput } from "./call-input.ts";
import { placeOf } from "./cloud-region.ts";
import { type AskedRequest, DecidedRequest } from "./decided.ts";
import { deadlinePassed } from "./errors.ts";
import { memoryOf } from "./memory.ts";
import { serverToolsOf } from "./server-tools.ts";
import type { Start } from "./starts.ts";
import type { StreamUsage } from "./stream-usage.ts";
import type { RequestLike } from "./types.ts";
import type { UsageDraft } from "../guard-host.ts";
import type { ModelChoice } from "../evaluate/chain-plan.ts";
import { priceUsage } from "../pricing/price.ts";
import type { PriceTable } from "../pricing/price-table.ts";
import { pricedModels } from "./priced-models.ts";
import { promptTokens, readUsage, type UsagePart } from "../pricing/usage.ts";

/**
 * Begins a message that may be sent to these models, or has it wait its turn; null where no budget trips. A guard around
 * this one of the same flag has begun it.
 */
export function startOf<R extends RequestLike>(
  decided: DecidedRequest<R>,
  choices: readonly ModelChoice[],
): Start | null {
  const { guarding, subject, around, request } = decided.asked;
  const { starts, host, options } = guarding;
  const [choice] = choices;
  if (starts.isIdle || choice === undefined || around?.flag === subject.flag) return null;
  const pools = starts.poolsOf(
    subject.flag,
    choices.map(({ model }) => model),
  );
  if (pools.length === 0) return null;
  const { body } = decided;
  const asked: Asked = {
    choice,
    body,
    encoded: () => (typeof request.body === "string" ? request.body : JSON.stringify(body)),
    place: placeOf(request.url, choice.model, options.region),
    memory: memoryOf(host),
    documentTokens: options.documentTokens,
    toolUses: options.toolUses,
    counted: null,
  };
  return starts.start(subject.flag, pools, worstCase(asked, pricedModels(host).prices()));
}

/** The same for a message batch, by the estimate of it. It counts as spent, by that estimate, once it was submitted. */
export function startOfBatch<R extends RequestLike>(
  decided: DecidedRequest<R>,
  estimate: readonly UsageDraft[],
): Start | null {
  const { guarding, subject, around } = decided.asked;
  const { starts, host } = guarding;
  if (starts.isIdle || estimate.length === 0 || around?.flag === subject.flag) return null;
  const pools = starts.poolsOf(
    subject.flag,
    estimate.map(({ model }) => model),
  );
  if (pools.length === 0) return null;
  const prices = pricedModels(host).prices();
  const nanoUsd = estimate.reduce((sum, { model, usage, fast = false, geo = null, promptTokens: prompt = 0 }) => {
    const call = { model, usage, batch: true, fast, geo, atMs: Date.now(), promptTokens: prompt };
    return sum + priceUsage(prices, call).costNanoUsd;
  }, 0);
  return starts.start(subject.flag, pools, nanoUsd);
}

/** The most that one attempt can cost, in whole nano-USD; what its body does not bound counts as much as a call can use. */
function worstCase(asked: Asked, prices: PriceTable): number {
  return mostParts(asked).reduce((sum, part) => sum + costOf(part, prices), 0);
}

function costOf({ model, usage, batch, fast, geo }: UsagePart, prices: PriceTable): number {
  return priceUsage(prices, { model, usage, batch, fast, geo, atMs: Date.now() }).costNanoUsd;
}

/** The beginning of a stream has told the prompt. What else works on an answer than its model may still read it again. */
export function lowerTo(
  start: Start,
  { usage, model }: StreamUsage,
  { call, choice }: { call: CallInput; choice: ModelChoice },
): void {
  const { body, host } = call;
  const limit = choice.step?.set?.["max_tokens"] ?? body["max_tokens"];
  const isPlain = serverToolsOf(body).maxUses === 0 && body["fallbacks"] === undefined;
  if (usage === null || typeof limit !== "number" || !isPlain) return;
  const [main, ...others] = readUsage(usage, { answered: model ?? choice.model, requested: choice.model });
  if (main === undefined || others.length > 0 || promptTokens(main.usage) === 0) return;
  const fast = main.fast || body["speed"] === "fast";
  const geo = main.geo ?? placeOf(call.request.url, choice.model, call.options.region);
  const output = Math.max(main.usage.output, Math.ceil(limit));
  start.lower(costOf({ ...main, fast, geo, usage: { ...main.usage, output } }, pricedModels(host).prices()));
}

/**
 * Waits until the server knows of the call, or does not answer in time, and decides anew. An abort, the deadline and every
 * change that turns its flag off end the wait; past its deadline nothing is sent.
 */
export async function inItsTurn<R extends RequestLike>(
  asked: AskedRequest<R>,
  start: Start,
  send: (again: DecidedRequest<R>) => Promise<Response>,
): Promise<Response> {
  const { host, options } = asked.guarding;
  const { signal } = asked.request;
  const { flag, context } = asked.subject;
  try {
    await new Promise<void>((resolve, reject) => {
      const leftMs = asked.startedMs + (options.deadlineMs ?? Number.POSITIVE_INFINITY) - performance.now();
      const deadline = Number.isFinite(leftMs) ? setTimeout(late, Math.max(0, leftMs)) : undefined;
      const unsubscribe = host.onApplied(() => {
        if (!host.decide(flag, context).enabled) done();
      });
      start.onTurn = done;
      signal?.addEventListener("abort", gone, { once: true });
      if (signal?.aborted === true) gone();
      else if (!start.waits) done();
      function gone(): void {
        leave();
        reject(signal?.reason instanceof Error ? signal.reason : new DOMException("aborted", "AbortError"));
      }
      function late(): void {
        start.end();
        leave();
        void asked.door.errorBase().then((base) => reject(deadlinePassed(base, flag, options.deadlineMs ?? 0)));
      }
      function done(): void {
        leave();
        resolve();
      }
      function leave(): void {
        start.onTurn = null;
        clearTimeout(deadline);
        unsubscribe();
        signal?.removeEventListener("abort", gone);
      }
    });
    return await send(new DecidedRequest(asked));
  } finally {
    if (!start.isTaken) start.end();
  }
}
