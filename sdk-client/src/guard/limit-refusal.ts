/**
 * What a limit says to a call it refuses: words fit for users, when it ends, and what a developer can do. Invariant: the
 * words name neither figures nor models; those are in `limit` and `hint`.
 */
import type { CallLimits, LimitScope } from "../wire/protocol.ts";

/** `concurrent`, `requestsPerMinute` and `tokensPerDay` have a scope; the caps are of one request. */
export type LimitReached =
  | { name: keyof CallLimits; scope: LimitScope; allowed: number }
  | { name: "maxInputBytes" | "maxOutputTokens"; scope: "request"; allowed: number };

export interface LimitRefusal {
  limit: LimitReached;
  /** When a call may be let in again; null: when another ends, or never as it is. */
  until: Date | null;
  message: string;
  hint: string;
}

const WHO: Readonly<Record<LimitScope, string>> = {
  flag: "the flag",
  user: "one of its users",
  session: "one of its sessions",
};

/** The refusal by a limit of the flag, a user or a session; `endsInMs` null: when another of its calls ends. */
export function refusedByLimit(
  name: keyof CallLimits,
  { scope, allowed, endsInMs, nowMs }: { scope: LimitScope; allowed: number; endsInMs: number | null; nowMs: number },
): LimitRefusal {
  return {
    limit: { name, scope, allowed },
    until: endsInMs === null ? null : new Date(nowMs + endsInMs),
    message: `${REACHED[name][scope]} ${endsInMs === null ? LATER[scope] : `Please try again in ${inWords(endsInMs)}.`}`,
    hint: `\`limits.${scope}.${name}\` of ${allowed} is reached in this process for ${WHO[scope]}`,
  };
}

/** The refusal of a request whose body is larger than the flag allows. */
export function tooLarge(bytes: number, allowed: number): LimitRefusal {
  return {
    limit: { name: "maxInputBytes", scope: "request", allowed },
    until: null,
    message: "This request is too long. Please shorten it and try again.",
    hint: `the body has ${bytes} bytes, the flag's \`maxInputBytes\` is ${allowed}`,
  };
}

/** The refusal of a request that asks for a longer answer than the flag allows. */
export function asksTooMuch(asked: number, path: string, allowed: number): LimitRefusal {
  return {
    limit: { name: "maxOutputTokens", scope: "request", allowed },
    until: null,
    message: "This request asks for a longer answer than is allowed here.",
    hint: `\`${path}\` is ${asked}, the flag's \`maxOutputTokens\` is ${allowed}. Ask for less, or set \`clampMaxTokens\``,
  };
}

const REACHED: Readonly<Record<keyof CallLimits, Readonly<Record<LimitScope, string>>>> = {
  concurrent: {
    flag: "This feature is busy at the moment.",
    user: "Your earlier requests are still being answered.",
    session: "Earlier requests of this conversation are still being answered.",
  },
  requestsPerMinute: {
    flag: "This feature is busy at the moment.",
    user: "You have made many requests in a short time.",
    session: "There were many requests in this conversation in a short time.",
  },
  tokensPerDay: {
    flag: "This feature has reached its limit for today.",
    user: "You have reached your limit for today.",
    session: "This conversation has reached its limit for today.",
  },
};

const LATER: Readonly<Record<LimitScope, string>> = {
  flag: "Please try again in a moment.",
  user: "Please try again when they are done.",
  session: "Please try again when they are done.",
};

function inWords(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  if (seconds < 120) return seconds === 1 ? "a second" : `${seconds} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}
