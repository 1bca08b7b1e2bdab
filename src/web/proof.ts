/**
 * The proof of a change: which live instances have applied it. Counted for live instances only; silent ones are named
 * apart with their age, because nobody knows what they run, and stopped ones run nothing.
 */
import { parseRevision } from "../../sdk-client/src/protocol.ts";
import type { Ctx } from "../context.ts";
import { AppError } from "../errors.ts";
import { getReceipts, type listInstances } from "../services/instances.ts";

export type InstanceView = Awaited<ReturnType<typeof listInstances>>["items"][number];

export interface Laggard {
  instance: string;
  silentSeconds: number;
  /** Since the connection of its poll closed without a goodbye; null while nothing says so. */
  disconnectedSeconds: number | null;
}

export interface Proof {
  /** Live instances that decide by this change or a later one. */
  applied: number;
  live: number;
  /** From commit to the newest of these receipts in milliseconds; null when not timed. */
  lastMs: number | null;
  /** Live, but not there yet. */
  stragglers: Laggard[];
  /** Not heard of for 90 s. */
  silent: Laggard[];
}

/** True when no live instance is left that decides by what was before. */
export function isComplete(proof: Proof): boolean {
  return proof.live > 0 && proof.applied === proof.live;
}

/**
 * Proof of the change that made revision `n`, in the lineage of `currentRevision`. `timed` also asks for how long it
 * took.
 */
export async function proofOf(
  ctx: Ctx,
  environmentKey: string,
  n: number,
  currentRevision: string,
  instances: readonly InstanceView[],
  timed: boolean,
): Promise<Proof | null> {
  const lineage = parseRevision(currentRevision)?.lineage;
  if (lineage === undefined) return null;
  const counted = countProof(instances, lineage, n);
  return { ...counted, lastMs: timed ? await lastMsOf(ctx, environmentKey, `${lineage}.${n}`) : null };
}

/** Counts from what each instance said last; pure. */
export function countProof(instances: readonly InstanceView[], lineage: string, n: number): Omit<Proof, "lastMs"> {
  const laggard = ({ instance, silentSeconds, disconnectedSeconds }: InstanceView): Laggard => ({
    instance,
    silentSeconds,
    disconnectedSeconds,
  });
  const live = instances.filter((one) => one.state === "live");
  const hasApplied = (one: InstanceView): boolean => {
    const at = one.revision === null ? null : parseRevision(one.revision);
    return at !== null && at.lineage === lineage && at.n >= n;
  };
  const stragglers = live.filter((one) => !hasApplied(one));
  const silent = instances.filter((one) => one.state === "silent" && !hasApplied(one));
  return {
    applied: live.length - stragglers.length,
    live: live.length,
    stragglers: stragglers.map(laggard),
    silent: silent.map(laggard),
  };
}

async function lastMsOf(ctx: Ctx, environmentKey: string, revision: string): Promise<number | null> {
  try {
    return (await getReceipts(ctx, environmentKey, revision)).lastMs;
  } catch (error) {
    // Times are kept for the newest revisions only; a count without a time is still proof.
    if (error instanceof AppError && error.code === "NOT_FOUND") return null;
    throw error;
  }
}
