/** Entries of the audit as sentences, with what changed folded away and the way back where there is one. */
import type { AuditResource } from "../../api/audit.ts";
import { type Action, isAction, isTakenBack, revertedBy } from "../../domain/audit.ts";
import { same } from "../../domain/same.ts";
import { Moment } from "../shell/moment.tsx";

const VERBS: Readonly<Record<Action, string>> = {
  "flag.killed": "killed",
  "flag.restored": "restored",
  "flag.downgraded": "downgraded",
  "flag.created": "created the flag",
  "flag.edited": "edited",
  "flag.deleted": "deleted the flag",
  "chain.created": "created the chain",
  "chain.edited": "edited the chain",
  "chain.deleted": "deleted the chain",
  "model.blocked": "blocked",
  "model.unblocked": "unblocked",
  "master.killed": "turned everything off in",
  "master.restored": "restored the master switch of",
  "flag.tripped": "tripped",
  "flag.moved": "moved",
  "batches.canceled": "asked to cancel the message batches of",
  "budget.over": "counted over its limit the budget",
  "budget.under": "counted below its limit again the budget",
  "flag.trip-ended": "ended a trip of",
  "breaker.opened": "took out",
  "breaker.probing": "probes",
  "breaker.reopened": "keeps out",
  "breaker.overridden": "restored, over its breaker,",
  "breaker.closed": "took back",
  "account.refused": "saw refused",
  "budget.created": "created the budget",
  "budget.edited": "edited the budget",
  "budget.deleted": "deleted the budget",
  "budget.raised": "raised the budget",
  "budget.lifted": "let one user or session go on",
  "budget.returned": "returned what was indeterminate to the budget",
  "budget.step": "counted a step of the budget",
  "incident.acknowledged": "acknowledged",
  "incident.resolved": "resolved",
  "incident.escalated": "told further channels of",
  "channel.created": "created the channel",
  "channel.edited": "edited the channel",
  "channel.deleted": "deleted the channel",
  "channel.tested": "tested the channel",
  "alert.retried": "sent an alert again to",
  "trigger.created": "created the trigger",
  "trigger.edited": "edited the trigger",
  "trigger.deleted": "deleted the trigger",
  "price.added": "added a price of",
  "price.corrected": "corrected the price of",
  "price.deleted": "deleted the added price of",
  "price.missing": "told of the missing price of",
  "bill.differs": "told of it:",
  "watch.opened": "told of it:",
  "watch.ended": "told that it is over:",
  "watch.edited": "set the watch",
  "token.created": "created the token",
  "drill.ended": "ended the drill of",
  "token.revoked": "revoked the token",
  "aliases.edited": "mapped names of models in",
  "environment.created": "created the environment",
  "environment.lineage_replaced": "began a new lineage of",
  "instance.declared-dead": "declared dead",
  "instance.returned": "counts again",
  "reason.given": "said why about",
};
export interface AuditListProps {
  entries: readonly AuditResource[];
  environment: string;
  nowMs: number;
  mayRevert: boolean;
  mayEdit: boolean;
  /** Where a revert leads to. */
  back: string;
}

export function AuditList({ entries, environment, nowMs, mayRevert, mayEdit, back }: AuditListProps) {
  if (entries.length === 0) return <p class="dim">Nothing has happened yet.</p>;
  return (
    <ul class="list">
      {entries.map((entry) => (
        <li class="entry">
          <div>
            <p>
              <span class="dim">
                <Moment at={entry.at} nowMs={nowMs} exact />
              </span>{" "}
              <b>{entry.actor.name}</b> {verbOf(entry.action)} <code>{entry.target.key}</code>
              {entry.reason === null ? "" : `: ${entry.reason}`}
            </p>
            {entry.before === null && entry.after === null ? null : <Diff entry={entry} />}
          </div>
          {entry.revertible && isFor(entry.action, mayRevert, mayEdit) ? (
            <form method="post" action={`/e/${environment}/audit/${entry.id}/revert`}>
              <input type="hidden" name="back" value={back} />
              <button
                class="quiet"
                aria-label={`Revert: ${verbOf(entry.action)} ${entry.target.key}, entry ${entry.id}`}
              >
                Revert
              </button>
            </form>
          ) : null}
        </li>
      ))}
    </ul>
  );
}

/** What a newer version recorded is named as it names it. */
function verbOf(action: string): string {
  return isAction(action) ? VERBS[action] : action;
}

function isFor(action: string, mayRevert: boolean, mayEdit: boolean): boolean {
  return isTakenBack(action) && (revertedBy(action) === "admin" ? mayEdit : mayRevert);
}

/** Only the fields that differ. */
function Diff({ entry }: { entry: AuditResource }) {
  const before = fieldsOf(entry.before);
  const after = fieldsOf(entry.after);
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const changed = names.filter((name) => !same(before[name], after[name]));
  if (changed.length === 0) return null;
  return (
    <details class="diff">
      <summary class="line-summary">What changed</summary>
      <pre tabindex={0}>
        {changed.map((name) => `${name}: ${show(before[name])} → ${show(after[name])}`).join("\n")}
      </pre>
    </details>
  );
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function show(value: unknown): string {
  return value === undefined || value === null ? "none" : typeof value === "string" ? value : JSON.stringify(value);
}
