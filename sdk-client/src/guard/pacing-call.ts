/** Holds back a call that can wait, while its model's rate limit has no room for it. */
import { planModels } from "../evaluate/chain-plan.ts";
import { NO_LUCK } from "../evaluate/effective-state.ts";
import type { GuardHost } from "../guard-host.ts";
import type { Guarding } from "./guarding.ts";
import { pacerOf, waitForRoom } from "./pacing.ts";
import { keepPass, passOf } from "./pass.ts";
import { pricedModels } from "./priced-models.ts";
import type { Body, Subject } from "./request.ts";
import type { RequestLike } from "./types.ts";

/** Rough, for pacing alone: what is left of a limit is told in thousands of tokens. */
const CHARS_PER_TOKEN = 4;

interface Waiting {
  request: RequestLike;
  /** What all requests of one call share. */
  call: object | undefined;
  subject: Subject;
  body: Body;
  startedMs: number;
}

/** Resolves when the call may be decided and sent. Rejects as `fetch` does when its signal aborts. */
export async function holdBack({ host, options, passes }: Guarding, waiting: Waiting): Promise<void> {
  const { request, call, subject, body, startedMs } = waiting;
  // The deadline counts from the call's first request.
  const pass = passOf(passes, request, call, startedMs);
  keepPass(passes, call, pass);
  const pacer = pacerOf(host);
  if (pacer === null) return;
  await waitForRoom(pacer, {
    model: () => modelNow(host, subject, body),
    promptTokens: Math.ceil(String(request.body).length / CHARS_PER_TOKEN),
    signal: request.signal,
    deadlineMs: pass.startedMs + (options.deadlineMs ?? Number.POSITIVE_INFINITY),
    onChange: (listener) => host.onApplied(listener),
  });
}

/** The model that a call would be sent to now, by the name it is known by; null when none would be. */
function modelNow(host: GuardHost, { flag, context }: Subject, body: Body): string | null {
  const decision = host.decide(flag, context);
  const requested = body["model"];
  if (!decision.enabled || typeof requested !== "string") return null;
  const models = pricedModels(host);
  const chainOnly = host.flag(flag)?.chainOnly ?? false;
  const plan = { requested, steps: host.chain(flag), level: decision.level, chainOnly, models, nowMs: Date.now() };
  const [first] = planModels({ ...plan, luck: NO_LUCK });
  return first === undefined ? null : models.nameOf(first.model);
}
