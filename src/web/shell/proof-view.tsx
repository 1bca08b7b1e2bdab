/**
 * Receipts as a person reads them: squares, a count, and the names of those that lag, were lost or are silent. It never
 * says that a change is everywhere while an instance that may be serving has not proven it. One that refuses by itself
 * follows no restore: the count is complete without it, and it is named beside it.
 */
import { hasApplied, isComplete, type Member, type TimedProof } from "../../domain/fleet.ts";
import { heldWords, lostWords, names, notCountedWords, silentBeside, straggler } from "../text/fleet.ts";
import { count, took } from "../text/text.ts";

/** More squares than this are no longer counted by eye; the rest is in the sentence. */
const MAX_SQUARES = 120;

export function ProofView({ proof, fresh, what }: { proof: TimedProof; fresh: boolean; what: string }) {
  const { following, behind, held, lost, silent, notCounted } = proof;
  if (proof.live === 0 && silent.count === 0 && notCounted.length === 0) {
    return <p class="proof">No instance is connected. It holds for the first one that connects.</p>;
  }
  const isAll = isComplete(proof) && held.count === 0 && silent.count === 0 && notCounted.length === 0;
  return (
    <div class="proof" data-announce={fresh ? `${what}: ${sentence(proof)}` : undefined}>
      <Squares proof={proof} />
      <p>
        {following === 0 ? (
          <b>{held.count === 0 ? "No live instance" : "No instance that could apply it"}</b>
        ) : (
          <>
            <b>
              {proof.applied} of {following}
            </b>{" "}
            <span class="unit">{following === 1 ? "instance " : "instances "}</span>
            applied it
            <span class="took">
              {proof.lastMs === null || proof.applied === 0
                ? ""
                : isComplete(proof)
                  ? ` in ${took(proof.lastMs)}`
                  : ` · ${took(proof.lastMs)} so far`}
            </span>
          </>
        )}
        {isAll ? <span class="tick"> ✓ all</span> : null}
      </p>
      {behind.count === 0 ? null : <p class="lag">Not yet: {names(behind, straggler)}</p>}
      {lost.count === 0 ? null : <p class="lag">{capital(lostWords(lost, hadApplied(proof.n)))}</p>}
      {held.count === 0 ? null : <p class="lag">{heldWords(held, following === 0 ? "alone" : "proof")}</p>}
      {silent.count === 0 ? null : <p class="lag silent">{silentBeside(silent)}</p>}
      {notCountedWords(notCounted).map((words) => (
        <p class="lag">{words}</p>
      ))}
    </div>
  );
}

function sentence(proof: TimedProof): string {
  return `${proof.applied} of ${count(proof.following, "instance")} applied it`;
}

/** It was proven once; what a process does whose connection is gone, nobody knows. */
function hadApplied(n: number): (one: Member) => string {
  const applied = hasApplied(n);
  return (one) => (applied(one) ? " (had applied it)" : "");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function Squares({ proof }: { proof: TimedProof }) {
  const total = proof.following + proof.silent.count;
  const scale = total > MAX_SQUARES ? MAX_SQUARES / total : 1;
  const applied = Math.floor(proof.applied * scale);
  const lagging = Math.min(Math.ceil((proof.following - proof.applied) * scale), MAX_SQUARES - applied);
  const silent = Math.min(Math.ceil(proof.silent.count * scale), MAX_SQUARES - applied - lagging);
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
