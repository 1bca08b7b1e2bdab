/**
 * What the answer to a request besides a message says of its account: a message batch, a count of tokens, a text completion.
 * Invariant: an account that is refused is told to Andon by whichever kind of request finds out, and is not asked again by
 * the SDK's retries.
 */
import { readBounded, rebuilt, withoutRetry } from "./answers.ts";
import type { DecidedRequest } from "./decided.ts";
import { judgeError, readError } from "./failures.ts";
import type { RequestLike } from "./types.ts";
import { NO_USAGE } from "../wire/usage-protocol.ts";

/** Statuses under which the table of failures knows a refusal of the account. */
const MAY_TELL: ReadonlySet<number> = new Set([400, 401, 402, 403, 429]);

/** The answer for the caller. */
export async function accountHeard<R extends RequestLike>(
  { asked }: DecidedRequest<R>,
  response: Response,
  model: string | null,
): Promise<Response> {
  if (!MAY_TELL.has(response.status)) return response;
  const { guarding, request, subject, startedMs } = asked;
  const { accounts, host } = guarding;
  const { status, headers } = response;
  const text = await readBounded(response);
  const again = rebuilt(response, text);
  const verdict = judgeError(status, readError(text), { model: model ?? "", isChanged: false });
  if (verdict !== "outOfMoney" && verdict !== "revoked") return again;
  const isMoney = verdict === "outOfMoney";
  const { flag } = subject;
  const named = model ?? "unknown";
  host.record({
    flag,
    model: named,
    requestedModel: named,
    outcome: "error",
    exact: true,
    usage: { ...NO_USAGE },
    attempt: 1,
    latencyMs: Math.round(performance.now() - startedMs),
    status,
    errorType: isMoney ? "billing_error" : "authentication_error",
  });
  const payer = { request, flag };
  const nowMs = performance.now();
  const isNews = isMoney
    ? accounts.outOfMoney(payer, { status, headers, text }, nowMs)
    : accounts.revoked(payer, nowMs);
  if (isNews) void host.flush();
  host.logger.error({ flag, status }, isMoney ? "the account's spend limit is reached" : "the API key is not accepted");
  return withoutRetry(again);
}
