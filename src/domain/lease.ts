/**
 * Leases of a `reserve` budget: what is left, what a client gave back, and who is granted what. Pure, in whole nano-USD.
 * Invariant: nothing is granted beyond the limit less what is spent, reserved and indeterminate; and what a lease holds
 * never becomes negative, whatever its client says.
 */

/** `open`: what it holds is reserved; `indeterminate`: its client went silent; `ended`: it holds nothing. */
export type LeaseStanding = "open" | "indeterminate" | "ended";

/** A want is overtaken by others that fit at most so often; then nobody does any more. */
export const MAX_OVERTAKEN = 5;
/** A slice is at most the rest by this and by the leases there are: one that is idle keeps little from the others. */
export const SLICE_DIVISOR = 4;
/** After the last one stopped waiting, money is given out a call at a time for this long. */
export const SCARCE_MS = 2_500;

/** One window of one budget. */
export interface Pot {
  /** With the raises in force. */
  limitNanoUsd: number;
  spentNanoUsd: number;
  reservedNanoUsd: number;
  indeterminateNanoUsd: number;
}

/** What calls can still cost: it is spent for good or held until somebody reports it. Negative when overspent. */
export function restNanoUsd({ limitNanoUsd, spentNanoUsd, indeterminateNanoUsd }: Pot): number {
  return limitNanoUsd - spentNanoUsd - indeterminateNanoUsd;
}

/** What can be granted now. Negative when a limit was lowered under what is held. */
export function freeNanoUsd(pot: Pot): number {
  return restNanoUsd(pot) - pot.reservedNanoUsd;
}

/** The sums of a lease; each only grows. */
export interface LeaseSums {
  grantedNanoUsd: number;
  releasedNanoUsd: number;
  /** Moved to spent by usage records. */
  settledNanoUsd: number;
  // As its client said last.
  spentNanoUsd: number;
  inFlightNanoUsd: number;
}

/** What is still set aside for it. */
export function heldNanoUsd({ grantedNanoUsd, releasedNanoUsd, settledNanoUsd }: LeaseSums): number {
  return grantedNanoUsd - releasedNanoUsd - settledNanoUsd;
}

/** What no call needs, as far as its client said. */
export function idleNanoUsd(lease: LeaseSums): number {
  const { grantedNanoUsd, releasedNanoUsd } = lease;
  return Math.max(0, grantedNanoUsd - releasedNanoUsd - usedNanoUsd(lease));
}

function usedNanoUsd({ settledNanoUsd, spentNanoUsd, inFlightNanoUsd }: LeaseSums): number {
  return Math.max(settledNanoUsd, spentNanoUsd) + inFlightNanoUsd;
}

/** What a client says of a lease. */
export type Said = Pick<LeaseSums, "spentNanoUsd" | "releasedNanoUsd" | "inFlightNanoUsd">;

/**
 * The lease after its client's message. One that is older than what is known says nothing; and what runs or was spent
 * cannot be given back, though the client says so.
 */
export function heard(lease: LeaseSums, said: Said): LeaseSums {
  if (said.spentNanoUsd < lease.spentNanoUsd || said.releasedNanoUsd < lease.releasedNanoUsd) return lease;
  const { grantedNanoUsd, settledNanoUsd, releasedNanoUsd } = lease;
  const { spentNanoUsd, inFlightNanoUsd } = said;
  const most = grantedNanoUsd - usedNanoUsd({ ...lease, spentNanoUsd, inFlightNanoUsd });
  return {
    grantedNanoUsd,
    settledNanoUsd,
    spentNanoUsd,
    inFlightNanoUsd,
    releasedNanoUsd: Math.max(releasedNanoUsd, Math.min(said.releasedNanoUsd, most)),
  };
}

/** A want in the queue of its budget. */
export interface Want {
  id: string;
  sinceMs: number;
  /** What the call that waits lacks. */
  atLeastNanoUsd: number;
  /** How often another was granted something past it. */
  overtaken: number;
  /**
   * `here`: its request waits at this server; `elsewhere`: at another, which grants it; `gap`: it is between two requests,
   * and keeps its place.
   */
  place: "here" | "elsewhere" | "gap";
  /** Of a want that is `here`: all that is asked for, and what the call costs at most, with the idle money it has. */
  nanoUsd: number;
  callNanoUsd: number;
}

export interface Served {
  granted: Map<string, number>;
  /** Wants that no wait can mend. */
  refused: Map<string, "spent" | "tooLarge">;
  /** Wants that stay and were overtaken, with how often by now. */
  overtaken: Map<string, number>;
  /** True while somebody waits for what others hold. */
  waiting: boolean;
  /** True when money is left for one that waits elsewhere: its server should look. */
  elsewhere: boolean;
}

/**
 * Grants what is free, oldest first. One that does not fit lets others past, MAX_OVERTAKEN times. What fits one that waits
 * elsewhere is left for it.
 * @param holders how many leases share the window
 * @param scarce true when somebody waited a moment ago: then a call gets what it lacks and no more
 */
export function serve(
  pot: Pot,
  queue: readonly Want[],
  { holders, scarce }: { holders: number; scarce: boolean },
): Served {
  const served: Served = {
    granted: new Map(),
    refused: new Map(),
    overtaken: new Map(),
    waiting: false,
    elsewhere: false,
  };
  const rest = restNanoUsd(pot);
  const share = Math.floor(Math.max(0, rest) / (SLICE_DIVISOR * Math.max(1, holders)));
  let free = freeNanoUsd(pot);
  let blocked = false;
  const passed: Want[] = [];
  for (const want of queue.toSorted(byAge)) {
    const refusal = want.place === "here" ? refusalOf(want, rest) : null;
    if (refusal !== null) {
      served.refused.set(want.id, refusal);
      continue;
    }
    if (blocked || want.place === "gap" || want.atLeastNanoUsd > free) {
      served.waiting = true;
      passed.push(want);
      blocked ||= (served.overtaken.get(want.id) ?? want.overtaken) >= MAX_OVERTAKEN;
      continue;
    }
    for (const older of passed) {
      served.overtaken.set(older.id, (served.overtaken.get(older.id) ?? older.overtaken) + 1);
    }
    if (want.place === "elsewhere") {
      served.elsewhere = true;
      free -= want.atLeastNanoUsd;
      continue;
    }
    const plenty = scarce || served.waiting ? 0 : Math.min(want.nanoUsd, share, free);
    const nanoUsd = Math.max(want.atLeastNanoUsd, plenty);
    served.granted.set(want.id, nanoUsd);
    free -= nanoUsd;
  }
  return served;
}

function byAge(a: Want, b: Want): number {
  return a.sinceMs - b.sinceMs || (a.id < b.id ? -1 : 1);
}

/** Whether no wait can mend it. */
export function refusalOf({ callNanoUsd }: { callNanoUsd: number }, rest: number): "spent" | "tooLarge" | null {
  if (rest <= 0) return "spent";
  return callNanoUsd > rest ? "tooLarge" : null;
}

/** What is granted ahead of any call: what can be spared while nobody waits. */
export function aheadNanoUsd(pot: Pot, wanted: number, holders: number): number {
  const share = Math.floor(Math.max(0, restNanoUsd(pot)) / (SLICE_DIVISOR * Math.max(1, holders)));
  return Math.max(0, Math.min(wanted, share, freeNanoUsd(pot)));
}
