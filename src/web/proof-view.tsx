/**
 * Receipts as a person reads them: squares, a count, and the names of those that lag or are silent. It never says that
 * a change is everywhere while a live instance has not applied it.
 */
import { isComplete, type Laggard, type Proof } from "./proof.ts";
import { age, count, listed, took } from "./text.ts";

/** More squares than this are no longer counted by eye; the rest is in the sentence. */
const MAX_SQUARES = 120;
const QUIET_SECONDS = 10;

export function ProofView({ proof, fresh, what }: { proof: Proof | null; fresh: boolean; what: string }) {
  if (proof === null) return <p class="dim">Receipts of this change are no longer kept.</p>;
  if (proof.live === 0 && proof.silent.length === 0) {
    return <p class="proof">No instance is connected. It holds for the first one that connects.</p>;
  }
  return (
    <div class="proof" data-announce={fresh ? `${what}: ${sentence(proof)}` : undefined}>
      <Squares proof={proof} />
      <p>
        {proof.live === 0 ? (
          <b>No live instance</b>
        ) : (
          <>
            <b>
              {proof.applied} of {proof.live}
            </b>{" "}
            {proof.live === 1 ? "instance" : "instances"} applied it
            {proof.lastMs === null || proof.applied === 0
              ? ""
              : isComplete(proof)
                ? ` in ${took(proof.lastMs)}`
                : ` · ${took(proof.lastMs)} so far`}
          </>
        )}
        {isComplete(proof) && proof.silent.length === 0 ? <span class="tick"> ✓ all</span> : null}
      </p>
      {proof.stragglers.length === 0 ? null : <p class="lag">Not yet: {listed(proof.stragglers.map(straggler))}</p>}
      {proof.silent.length === 0 ? null : <p class="lag">{silence(proof.silent)}</p>}
    </div>
  );
}

function sentence(proof: Proof): string {
  return `${proof.applied} of ${count(proof.live, "instance")} applied it`;
}

/** A healthy client is heard of every few seconds; one that is not, or that was cut off, is named with its age. */
function straggler({ instance, silentSeconds, disconnectedSeconds }: Laggard): string {
  if (disconnectedSeconds !== null) return `${instance} (cut off ${age(disconnectedSeconds)} ago, probably gone)`;
  return silentSeconds < QUIET_SECONDS ? instance : `${instance} (last heard of ${age(silentSeconds)} ago)`;
}

function silence(silent: readonly Laggard[]): string {
  const [first] = silent;
  if (first !== undefined && silent.length === 1) return `1 silent for ${age(first.silentSeconds)}: ${first.instance}`;
  return `${silent.length} silent: ${listed(silent.map((one) => `${one.instance} for ${age(one.silentSeconds)}`))}`;
}

function Squares({ proof }: { proof: Proof }) {
  const total = proof.live + proof.silent.length;
  const scale = total > MAX_SQUARES ? MAX_SQUARES / total : 1;
  const applied = Math.floor(proof.applied * scale);
  const lagging = Math.min(Math.ceil(proof.stragglers.length * scale), MAX_SQUARES - applied);
  const silent = Math.min(Math.ceil(proof.silent.length * scale), MAX_SQUARES - applied - lagging);
  return (
    <div class="squares" aria-hidden="true">
      {squares("yes", applied)}
      {squares("no", lagging)}
      {squares("silent", silent)}
    </div>
  );
}

function squares(kind: string, n: number) {
  return Array.from({ length: Math.max(0, n) }, () => <i class={kind}></i>);
}
