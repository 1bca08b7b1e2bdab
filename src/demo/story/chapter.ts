/** What the chapters of the demo share: how long things may take, changes with their claim, and how calls are told. */
import type { CallReport } from "../fleet/app-report.ts";
import { duration, type Narrator } from "./narrator.ts";
import { CHAT, ENVIRONMENT, type Stage } from "./stage.ts";
import { wallMs } from "./wait.ts";

/** A change reaches a connected process in milliseconds; this long means that it did not. */
export const APPLY_TIMEOUT_MS = 5_000;
/** After an outage a process is back within the backoff's cap of 30 s. */
export const RECONNECT_TIMEOUT_MS = 35_000;
export const TRAFFIC_TIMEOUT_MS = 30_000;
/** Enough answers to say that traffic flows: each process has given some. */
export const ENOUGH = 12;

export type Chapter = (stage: Stage, narrator: Narrator) => Promise<void>;

/** Makes a change and waits until every process has applied it; the milliseconds from sending it. */
export async function change(
  { api, fleet }: Stage,
  narrator: Narrator,
  path: string,
  body: object,
  timeoutMs = APPLY_TIMEOUT_MS,
): Promise<number> {
  const sentAtMs = wallMs();
  const revision = await api.change("POST", `${ENVIRONMENT}${path}`, body);
  const appliedAtMs = await fleet.applied(revision, timeoutMs);
  const appliedMs = (appliedAtMs ?? Infinity) - sentAtMs;
  narrator.claim(
    `applied by all ${fleet.size} processes after ${duration(appliedMs)}`,
    appliedAtMs !== null,
    `not within ${timeoutMs} ms`,
  );
  return appliedMs;
}

export function isChat(call: CallReport): boolean {
  return call.flag === CHAT;
}

export function isAnswered(call: CallReport): boolean {
  return call.outcome === "answered";
}

/** "11 answered by claude-opus-5-5, 1 failed (Connection error.)": what a failed claim shows. */
export function tally(calls: readonly CallReport[]): string {
  const counts = new Map<string, number>();
  for (const call of calls) {
    const what =
      call.outcome === "answered" ? `answered by ${call.model ?? "?"}` : `${call.outcome} (${call.detail ?? "?"})`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return counts.size === 0 ? "no calls" : [...counts].map(([what, count]) => `${count} ${what}`).join(", ");
}
