/** How the commands speak: sentences in product words, times in UTC. */
import type { AuditAnswer, FlagAnswer, MasterAnswer, ReceiptsAnswer } from "./answers.ts";

const MAX_NAMED = 5;

export function masterLine(master: MasterAnswer): string {
  return master.state === "off" ? `Everything is off${whoAndWhy(master)}` : "The master switch is on";
}

/** "47 of 47 instances applied it, 120 ms". */
export function receiptsLine(receipts: ReceiptsAnswer): string {
  if (receipts.live === 0) return "No instance is connected, so there is nothing that could apply it.";
  const time = receipts.lastMs === null ? "" : `, ${String(Math.round(receipts.lastMs))} ms`;
  return `${String(receipts.applied)} of ${String(receipts.live)} instances applied it${time}`;
}

/** Who has not applied it, by name; null when nobody is late. */
export function lateLine(receipts: ReceiptsAnswer): string | null {
  const late = [...receipts.stragglers, ...receipts.silent];
  if (late.length === 0) return null;
  const named = late
    .slice(0, MAX_NAMED)
    .map(({ instance, silentSeconds }) => `${instance} (silent for ${String(silentSeconds)} s)`);
  const more = late.length > MAX_NAMED ? ` and ${String(late.length - MAX_NAMED)} more` : "";
  return `Not applied by ${named.join(", ")}${more}`;
}

export function auditLine(entry: AuditAnswer["items"][number]): string {
  const reason = entry.reason === null ? "" : `, "${entry.reason}"`;
  return `#${String(entry.id)}  ${moment(entry.at)}  ${entry.action}  ${entry.target.kind} ${entry.target.key}  by ${entry.actor.name}${reason}`;
}

/** Since when, by whom, why and until when. */
export function whoAndWhy({
  since,
  by,
  reason,
  until,
}: {
  since: string;
  by: string | null;
  reason: string | null;
  until: string | null;
}): string {
  const who = by === null ? "" : ` by ${by}`;
  const why = reason === null ? "" : `, "${reason}"`;
  const end = until === null ? "" : `, until ${moment(until)}`;
  return ` since ${moment(since)}${who}${why}${end}`;
}

/** Since when a budget holds a flag, and by which of its steps. */
export function reached(trip: FlagAnswer["trips"][number]): string {
  const end = trip.until === null ? "" : `, until ${moment(trip.until)}`;
  return ` since ${moment(trip.since)}, budget "${trip.budget.name}" reached ${String(trip.atPercent)} %${end}`;
}

/** What a restore did to a trip. */
export function overriddenLine({ budget, atPercent }: FlagAnswer["trips"][number]): string {
  return `Budget "${budget.name}" had reached ${String(atPercent)} %: overridden until its window ends. A higher step of its ladder still acts.`;
}

function moment(iso: string): string {
  return `${iso.slice(0, 16).replace("T", " ")} UTC`;
}
