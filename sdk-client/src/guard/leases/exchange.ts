/** One message about leases: says everything, and reads what came of it. It never rejects. */
import { ask, type Failed, failed, failedByStatus, type ServerLink } from "../../sync/request.ts";
import type { Stop } from "../../sync/stop.ts";
import { isObject, parseObject } from "../../wire/json.ts";
import type { DeniedWant, GrantedLease, LeaseAnswer, LeaseRequest } from "../../wire/lease-protocol.ts";
import { LEASES_PATH, MAX_LEASE_NANO_USD } from "../../wire/lease-protocol.ts";
import { HEADER_SENT } from "../../wire/protocol.ts";

/** How long the server may take beside what it parks. */
const ANSWER_TIMEOUT_MS = 2_000;
const SECOND_MS = 1_000;
const DENIALS: ReadonlySet<unknown> = new Set(["held", "spent", "tooLarge"]);

export interface Exchange {
  /** {@link MAX_LEASE_WAIT_SECONDS} at most; 0: at once. */
  waitSeconds: number;
  stop?: Stop;
  /** Somebody awaits the end. */
  holdsProcess?: boolean;
}

export type ExchangeOutcome = { readonly kind: "answered"; readonly answer: LeaseAnswer } | Failed;

/** Sends the message. The server may answer `waitSeconds` later, when there is news. */
export function exchange(
  link: ServerLink,
  message: LeaseRequest,
  { waitSeconds, stop, holdsProcess = false }: Exchange,
): Promise<ExchangeOutcome> {
  const headers: Record<string, string> = {
    "Content-Type": "application/json",
    [HEADER_SENT]: String(link.runtime.nowMs()),
  };
  if (waitSeconds > 0) headers["Prefer"] = `wait=${waitSeconds}`;
  const timeoutMs = ANSWER_TIMEOUT_MS + waitSeconds * SECOND_MS;
  const body = JSON.stringify(message);
  const asked = { method: "POST", path: LEASES_PATH, headers, body, timeoutMs, holdsProcess } as const;
  return ask(link, stop === undefined ? asked : { ...asked, stop }, (response): ExchangeOutcome => {
    if (response.status !== 200) return failedByStatus(response, "no leases are to be had", link.runtime.nowMs());
    const answer = readAnswer(response.body);
    return answer === null ? failed("body", "the answer is not that of an Andon server") : { kind: "answered", answer };
  });
}

/** Null for what is no answer. An entry that is not understood is left out: it grants nothing. */
function readAnswer(body: string): LeaseAnswer | null {
  const answer = parseObject(body);
  if (answer === null || !Array.isArray(answer["leases"])) return null;
  return {
    leases: listOf(answer["leases"]).filter(isGranted),
    denied: listOf(answer["denied"]).filter(isDenied),
    scarce: listOf(answer["scarce"]).filter((id) => typeof id === "string"),
  };
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isGranted(value: unknown): value is GrantedLease {
  if (!isObject(value)) return false;
  const { leaseId, budgetId, grantedNanoUsd, ttlMs } = value;
  return isName(leaseId) && isName(budgetId) && isMoney(grantedNanoUsd) && typeof ttlMs === "number";
}

function isDenied(value: unknown): value is DeniedWant {
  if (!isObject(value)) return false;
  const { budgetId, because, restNanoUsd, heldNanoUsd, holders } = value;
  const isTold = isMoney(restNanoUsd) && isMoney(heldNanoUsd) && typeof holders === "number";
  return isName(budgetId) && DENIALS.has(because) && isTold;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isMoney(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_LEASE_NANO_USD;
}
