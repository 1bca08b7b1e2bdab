/**
 * Drills: a flag is off for seconds to see that its switch works. Pure. Invariant: a drill ends what it began and nothing
 * else, and is called proven only when every instance that runs has answered while the flag was off.
 */

export const DRILL_STATES = ["running", "proven", "unproven", "interrupted", "skipped"] as const;
export type DrillState = (typeof DRILL_STATES)[number];

export const DEFAULT_DRILL_SECONDS = 5;
export const MAX_DRILL_SECONDS = 60;
/** Of a flag whose kills abort: message batches are cancelled once the undo of a kill has passed. */
export const MAX_ABORTING_DRILL_SECONDS = 5;

/** What a person, a trigger or the end of its time has done to the switch since the drill began. */
export interface Touched {
  how: "killed" | "restored" | "deleted";
  by: string;
}

export interface DrillProof {
  applied: number;
  live: number;
  /** Instances that have not answered. */
  missing: readonly string[];
  /** Clients that are served and not counted: of those nobody can tell. */
  hasUncounted: boolean;
}

export type DrillStep =
  | { kind: "wait" }
  | {
      kind: "end";
      state: "proven" | "unproven" | "interrupted";
      /** The flag is still off by the drill alone. */
      restores: boolean;
      note: string | null;
    };

/** What to do about a drill that runs. `proof` is null when its receipts cannot be read any more. */
export function drillStep(input: {
  nowMs: number;
  endsAtMs: number;
  touched: Touched | null;
  proof: DrillProof | null;
}): DrillStep {
  const { touched, proof } = input;
  if (touched !== null && touched.how !== "killed") {
    const note =
      touched.how === "restored"
        ? `Restored by ${touched.by} before it had ended.`
        : `The flag was deleted by ${touched.by} before it had ended.`;
    return { kind: "end", state: "interrupted", restores: false, note };
  }
  const restores = touched === null;
  const kept = touched === null ? "" : ` It stays off: ${touched.by} killed it meanwhile.`;
  if (proof !== null && isComplete(proof)) {
    return { kind: "end", state: "proven", restores, note: kept === "" ? null : kept.trim() };
  }
  if (input.nowMs < input.endsAtMs) return { kind: "wait" };
  return { kind: "end", state: "unproven", restores, note: `${whyNot(proof)}${kept}` };
}

function isComplete({ applied, live, hasUncounted }: DrillProof): boolean {
  return live > 0 && applied >= live && !hasUncounted;
}

function whyNot(proof: DrillProof | null): string {
  if (proof === null) return "Its receipts are gone.";
  if (proof.live === 0) return "No instance was left to answer.";
  if (proof.applied >= proof.live) return "Some clients are served and not counted: of those nobody can tell.";
  return "Not every instance has answered in time.";
}

/** The longest that a drill of this flag may take. */
export function maxDrillSeconds({ abortInFlight }: { abortInFlight: boolean }): number {
  return abortInFlight ? MAX_ABORTING_DRILL_SECONDS : MAX_DRILL_SECONDS;
}
