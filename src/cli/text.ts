/** How the commands speak: sentences in product words, times in UTC. */
import { age } from "../domain/age.ts";
import { EVERY_FLAG, REMEMBERED_MAX } from "../domain/fleet.ts";
import { refusingWords } from "../domain/refusing-words.ts";
import { standingWords } from "../domain/standing-words.ts";
import type {
  AuditAnswer,
  AuditVerifiedAnswer,
  BudgetAnswer,
  FlagAnswer,
  InstancesAnswer,
  LateInstance,
  MasterAnswer,
  ReceiptsAnswer,
  UnknownFlagAnswer,
} from "./answers.ts";

const MAX_NAMED = 5;
/** A client that runs is heard of every 25 s, when its parked poll ends; another server tells of it up to 10 s later. */
const GONE_SECONDS = 40;
/** A client that runs is back within a second of a connection that broke (the board calls it lost then); one that is not after this is not waited for. */
const CUT_OFF_SECONDS = 3;

/** Nothing is to be waited for: it would have been heard of if it ran, and its network. */
export function isProbablyGone({ silentSeconds, disconnectedSeconds }: LateInstance): boolean {
  return silentSeconds >= GONE_SECONDS || (disconnectedSeconds !== null && disconnectedSeconds >= CUT_OFF_SECONDS);
}

export interface RefusedAccount {
  title: string;
  flags: readonly string[];
  instances: readonly string[];
}

/** "The Claude account is out of money on 2 of 5 instances: support-chat; host-1, host-2". */
export function accountLine({ title, flags, instances }: RefusedAccount): string {
  return `${title}: ${some(flags)} refused by Claude, on ${some(instances)}`;
}

export function masterLine(master: MasterAnswer): string {
  return master.state === "off" ? `Everything is off${whoAndWhy(master)}` : "The master switch is on";
}

/** "47 of 47 instances applied it, 120 ms". */
export function receiptsLine(receipts: ReceiptsAnswer): string {
  if (receipts.live === 0) return "No instance is connected, so there is nothing that could apply it.";
  const total = following(receipts);
  if (total === 0) return "No instance is connected that could apply it.";
  const time = receipts.lastMs === null ? "" : `, ${String(Math.round(receipts.lastMs))} ms`;
  return `${String(receipts.applied)} of ${String(total)} instances applied it${time}`;
}

/** Whom a change can reach: what refuses by ANDON_KILL what it turned on does not follow it. */
export function following({ live, local }: ReceiptsAnswer): number {
  return live - local;
}

/** Who refuses what a restore has turned on: the proof is complete without them, and not everywhere. */
export function refusalLines(receipts: ReceiptsAnswer): string[] {
  const { local, localInstances } = receipts;
  if (local === 0) return [];
  const refusing = { count: local, names: some(localInstances, local) };
  const words = refusingWords(refusing, following(receipts) === 0 ? "alone" : "proof");
  return [`${words}; ${local === 1 ? "it does not follow a restore" : "they do not follow a restore"}`];
}

/** Who refuses by itself now, and what: a flag's switch says nothing of it. */
export function refusingLines({ items, local }: Pick<InstancesAnswer, "items" | "local">): string[] {
  const held = refusingOf(items);
  const named = held.map(
    ({ instance, flags }) => `${instance} (${flags.includes(EVERY_FLAG) ? "everything" : flags.join(", ")})`,
  );
  const count = Math.max(local, held.length);
  return count === 0 ? [] : [refusingWords({ count, names: some(named, count) }, "alone")];
}

/** The same as data: what each holds off, flags or `*`. */
export function refusingOf(items: InstancesAnswer["items"]): { instance: string; flags: string[] }[] {
  return items
    .filter(({ state }) => state === "live" || state === "lost")
    .flatMap(({ instance, local }) => (local === null ? [] : [{ instance, flags: local }]));
}

/** Who has not applied it, a line each, with what is known of it: live and late is another matter than lost. */
export function lateLines(receipts: ReceiptsAnswer): string[] {
  const late = [...receipts.stragglers, ...receipts.silent];
  const total = (receipts.behind ?? receipts.stragglers.length) + receipts.silent.length;
  const lines = late.slice(0, MAX_NAMED).map((one) => `Not applied by ${one.instance}: ${lifeSign(one)}`);
  const named = new Set(late.map((one) => one.instance));
  const lostSince = receipts.lostInstances.filter((instance) => !named.has(instance));
  return [
    ...lines,
    ...(total > lines.length ? [`Nor by ${String(total - lines.length)} more`] : []),
    ...(lostSince.length === 0 ? [] : [`Applied, but lost since, and may still be serving: ${some(lostSince)}`]),
    ...receipts.notCounted.map(
      ({ token, because, atLeast }) =>
        `At least ${String(atLeast)} more are not counted: ${because === "new names" ? `token ${token} invents names` : `more instances came with token ${token} than are kept`}`,
    ),
  ];
}

export function some(names: readonly string[], total = names.length): string {
  const shown = names.slice(0, MAX_NAMED);
  const more = total - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${String(more)} more` : shown.join(", ");
}

function lifeSign(late: LateInstance): string {
  const { disconnectedSeconds, silentSeconds, lastSeen } = late;
  if (disconnectedSeconds !== null) {
    return `connection lost ${age(disconnectedSeconds)} ago, may still be serving`;
  }
  const since = `${age(silentSeconds)}, since ${lastSeen.slice(11, 19)} UTC`;
  return isProbablyGone(late)
    ? `not heard of for ${since} (probably gone)`
    : `live, last heard of ${age(silentSeconds)} ago`;
}

/** A line for each that runs or may still run, and how many there are of each kind. */
export function instanceLines(list: InstancesAnswer): string[] {
  const running = list.items.filter(({ state }) => state !== "stopped");
  return [
    `${String(list.live)} live, ${String(list.lost)} lost (may still be serving), ${String(list.silent)} silent, ${String(list.stopped)}${list.stopped < REMEMBERED_MAX ? "" : " or more"} stopped`,
    ...running.map((one) => `${one.instance}${one.app === null ? "" : ` (${one.app})`}: ${instanceState(one)}`),
  ];
}

function instanceState(one: InstancesAnswer["items"][number]): string {
  const { state, revision, silentSeconds, disconnectedSeconds, local, declaredDead } = one;
  const since = age((state === "lost" ? disconnectedSeconds : null) ?? silentSeconds);
  const was =
    declaredDead === null ? "" : `; was declared dead by ${declaredDead.by} at ${moment(declaredDead.at)}, and `;
  return [
    state === "lost"
      ? `connection lost ${since} ago, may still be serving`
      : state === "silent"
        ? `silent for ${since}`
        : state,
    revision === null ? ", has applied nothing yet" : `, at ${revision}`,
    local === null ? "" : `; holds ${local.join(", ")} off by ANDON_KILL`,
    was === "" ? "" : `${was}${state === "live" ? "is polling" : "was heard of since"}`,
  ].join("");
}

export function declaredLines({ instances, declared }: { instances: readonly string[]; declared: number }): string[] {
  if (declared === 0) return ["No connection is lost: nothing to declare."];
  return [
    `Declared dead: ${some(instances, declared)}. No longer counted; whoever is heard of again counts again at once.`,
  ];
}

/** "suport-chat: no flag has this key, did you mean support-chat? Asked for last 2026-11-21 02:41 UTC by shop". */
export function unknownFlagLine({ key, meant, askedAt, app, instance }: UnknownFlagAnswer): string {
  const instead = meant === null ? ". Asked" : `, did you mean ${meant}? Asked`;
  return `${key}: no flag has this key${instead} for last ${moment(askedAt)} by ${app ?? instance}`;
}

export function auditLine(entry: AuditAnswer["items"][number]): string {
  const reason = entry.reason === null ? "" : `, "${entry.reason}"`;
  return `#${String(entry.id)}  ${moment(entry.at)}  ${entry.action}  ${entry.target.kind} ${entry.target.key}  by ${entry.actor.name}${reason}`;
}

/** What was found of the audit, and which row is the first that is not as it was written. */
export function verifiedLines({ result, rows, fault, segments, end }: AuditVerifiedAnswer): string[] {
  const unchecked = segments
    .filter(({ state }) => state !== "sealed")
    .map(
      ({ state, fromId, toId, rows: many }) =>
        `Not checked: ${String(many)} rows, #${String(fromId)} to #${String(toId)}, ${UNCHECKED[state]}.`,
    );
  if (fault === null) {
    const words = result === "partly" ? "No fault in what can be checked" : "Intact";
    return [`${words}: ${String(rows)} rows, up to seal ${end.seal === "" ? "none" : end.seal}.`, ...unchecked];
  }
  const row = fault.id === null ? "the end" : `#${String(fault.id)}`;
  const what = fault.action === null ? "" : ` (${fault.at ?? ""} ${fault.action} ${fault.target?.key ?? ""})`;
  return [`BROKEN at ${row}${what}: ${faultWords(fault)}. ${String(rows)} rows before it are good.`, ...unchecked];
}

const UNCHECKED: Readonly<Record<string, string>> = {
  unsealed: "from before rows were sealed",
  "other-key": "sealed with a key that the server has not got",
};

function faultWords({ kind, seq }: NonNullable<AuditVerifiedAnswer["fault"]>): string {
  if (kind === "missing") return `row ${String(seq)} of the chain is missing here`;
  if (kind === "moved") return `row ${String(seq)} of the chain does not belong here`;
  if (kind === "unsealed") return "the row has no seal: Andon did not write it, or a server of an older version did";
  if (kind === "end") return "the last row is not the one that was written last";
  return "the row is not as it was written";
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

/** Since when, by whom and why, in the words of the pages. */
export function standingText(standing: NonNullable<FlagAnswer["standing"]>): string {
  return standingWords(standing)
    .map((word) => {
      if (typeof word === "string") return word;
      switch (word.type) {
        case "at":
          return moment(word.at);
        case "and":
          return ", ";
        case "reason":
          return `, "${word.reason}"`;
        case "budget":
          return `"${word.name}"`;
        case "model":
          return word.model;
        case "until":
          return `, until ${moment(word.at)}`;
      }
    })
    .join("");
}

/** What a restore did to the trips of one budget, and what of that still acts; null: that could not be read. */
export function overriddenLine(name: string, atPercents: readonly number[], left: BudgetAnswer | null): string {
  const steps = [...new Set(atPercents)].toSorted((a, b) => a - b).map((atPercent) => `${String(atPercent)} %`);
  const done = `Budget "${name}" had reached ${steps.join(" and ")}: overridden until its window ends.`;
  return left === null ? done : `${done} ${nextStep(left)}`;
}

function nextStep({ ladder, enforcement, now }: BudgetAnswer): string {
  const sharePercent = (Number(now.spentNanoUsd) / Math.max(1, now.limitNanoUsd)) * 100;
  const higher = ladder.filter((step) => step.atPercent > sharePercent && step.action !== "alert");
  const [next] = enforcement === "track" ? [] : higher.toSorted((a, b) => a.atPercent - b.atPercent);
  if (next === undefined) return "No higher step is left: nothing stops its spending until then.";
  return `A higher step still acts: ${next.action} at ${String(next.atPercent)} %.`;
}

export function moment(iso: string): string {
  return `${iso.slice(0, 16).replace("T", " ")} UTC`;
}
