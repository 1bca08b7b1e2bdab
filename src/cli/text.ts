/** How the commands speak: sentences in product words, times in UTC. */
import type { AuditAnswer, FlagAnswer, MasterAnswer, ReceiptsAnswer } from "./answers.ts";

const MAX_NAMED = 5;

/** `support-chat: off since 02:41 UTC by maria, "leaks prices"`. */
export function flagLine(flag: FlagAnswer): string {
  return `${flag.key}: ${flagState(flag)}`;
}

function flagState(flag: FlagAnswer): string {
  const { effective, switch: position, level } = flag;
  if (position.state === "off") return `off${whoAndWhy(position)}`;
  if (effective.reason === "MASTER") return "off by the master switch";
  if (effective.reason === "NO_MODEL") return "off, every model of its chain is blocked";
  if (effective.reason === "TRIPPED") return "off, tripped by a budget";
  // A newer server may know more reasons: what is off is never called on.
  if (effective.state === "off") return `off, ${effective.reason}`;
  const model = effective.model === null ? "" : `, ${effective.model}`;
  if (effective.state === "ramping") return `on for ${String(position.ramp ?? 100)} %${model}`;
  if (effective.state === "downgraded") {
    const ramp = position.ramp === null ? "" : `, on for ${String(position.ramp)} %`;
    const why = level.manual === null ? "" : whoAndWhy(level.manual);
    return `downgraded to ${effective.model ?? "another model"}${ramp}${why}`;
  }
  return `on${model}`;
}

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

function whoAndWhy({
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

function moment(iso: string): string {
  return `${iso.slice(0, 16).replace("T", " ")} UTC`;
}
