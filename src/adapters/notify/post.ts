/**
 * One HTTP POST, bounded in time and in what is read of the answer. A redirect is not followed: an alert goes where the
 * operator said and nowhere else.
 */
import type { Clock } from "../../clock.ts";
import type { ChannelKind } from "../../domain/channel.ts";
import type { Sent } from "../../domain/delivery.ts";
import { retryAfterMs } from "../retry-after.ts";
import { failureText } from "./failure-text.ts";

export interface OutgoingRequest {
  headers: Readonly<Record<string, string>>;
  body: string;
}

/** From the first byte to the last, names and TLS included. */
export const SEND_TIMEOUT_MS = 10_000;
const USER_AGENT = "andon";

/** Sends it once and says what came of it. */
export async function post(
  clock: Clock,
  target: { kind: ChannelKind; url: string },
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<Sent> {
  const startedMs = clock.monotonicMs();
  const timeout = new AbortController();
  const timer = clock.schedule(SEND_TIMEOUT_MS, () => timeout.abort());
  try {
    const response = await fetch(target.url, {
      method: "POST",
      redirect: "manual",
      headers: { "content-type": "application/json", "user-agent": USER_AGENT, ...request.headers },
      body: request.body,
      signal: AbortSignal.any([timeout.signal, signal]),
    });
    // The status is the answer. Nothing of the body is read, so that no receiver can make this wait or grow; that it
    // could not be thrown away changes nothing.
    await Promise.allSettled([response.body?.cancel()]);
    if (response.ok) return { type: "delivered", tookMs: clock.monotonicMs() - startedMs };
    return answered(target.kind, response, clock.nowMs());
  } catch (error) {
    // Whatever keeps a request from being answered is an outcome like any other; it ends up on the alerts page.
    return { type: "retry", error: unanswered(error, timeout.signal, signal), retryAfterMs: null };
  } finally {
    timer.cancel();
  }
}

/** Why it was given up. */
export function unanswered(error: unknown, timeout: AbortSignal, stop: AbortSignal): string {
  if (stop.aborted) return "The server stopped while this was being sent.";
  if (timeout.aborted) return `No answer within ${SEND_TIMEOUT_MS / 1000} s.`;
  return failureText(error);
}

function answered(kind: ChannelKind, response: Response, nowMs: number): Sent {
  const { status } = response;
  if (status >= 300 && status < 400) {
    const error = `Answered ${status}, a redirect, which is not followed. Set the channel's URL to where it leads.`;
    return { type: "retry", error, retryAfterMs: null };
  }
  if (kind === "slack" && (status === 404 || status === 410)) {
    const error = `Slack answered ${status}: this webhook or its channel is gone. Make a new incoming webhook in Slack, set its URL here, then retry.`;
    return { type: "refused", error };
  }
  if (kind === "pagerduty" && status === 400) {
    const error =
      "PagerDuty answered 400: it does not know this event. Check the routing key, set it here, then retry.";
    return { type: "refused", error };
  }
  if (status === 410) {
    const error = "Answered 410: the receiver wants no more alerts here. Set a new URL or delete the channel.";
    return { type: "refused", error };
  }
  return {
    type: "retry",
    error: `Answered ${status}${ADVICE[status] ?? "."}`,
    retryAfterMs: retryAfterMs(response, nowMs),
  };
}

const ADVICE: Readonly<Record<number, string>> = {
  400: ": it does not understand the alert. Check that the channel's kind fits the URL.",
  401: ": it wants credentials. Check the signing secret, or the URL.",
  403: ": it refuses the alert. Check the signing secret, or the URL.",
  404: ": there is nothing at this URL.",
  405: ": it takes no POST. Check the URL.",
  413: ": the alert is too large for it.",
  429: ": too many alerts for it now.",
};
