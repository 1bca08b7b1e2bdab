/** Instances as a person reads them: who is late, lost, silent, held off by itself, or not counted at all. Pure. */
import { type Fleet, heldLocally, type Member, type NotCounted, type Some, someIn } from "../../domain/fleet.ts";
import { refusingWords } from "../../domain/refusing-words.ts";
import { age } from "../../domain/age.ts";
import { count, listed } from "./text.ts";

const QUIET_SECONDS = 10;
const NAMED = 3;

/** "host-1, host-2 (last heard of 50 s ago) and 12 more". */
export function names(some: Some, describe: (one: Member) => string = ({ instance }) => instance): string {
  return listed(some.first.slice(0, NAMED).map(describe), NAMED, some.count);
}

/** A healthy client is heard of every few seconds; one that is not is named with its age. */
export function straggler({ instance, silentSeconds }: Member): string {
  return silentSeconds < QUIET_SECONDS ? instance : `${instance} (last heard of ${age(silentSeconds)} ago)`;
}

/** "connection lost 3 s ago, may still be serving: host-7"; `note` adds to a name. */
export function lostWords(lost: Some, note: (one: Member) => string = () => ""): string {
  const [first] = lost.first;
  if (lost.count === 1 && first !== undefined) {
    return `connection lost ${since(first)} ago, may still be serving: ${first.instance}${note(first)}`;
  }
  const each = (one: Member) => `${one.instance} ${since(one)} ago${note(one)}`;
  return `${count(lost.count, "connection")} lost, may still be serving: ${names(lost, each)}`;
}

function since({ disconnectedSeconds, silentSeconds }: Member): string {
  return age(disconnectedSeconds ?? silentSeconds);
}

/** The same beside a proof, where more than a few have no room: "143 silent, named under Instances". */
export function silentBeside(silent: Some): string {
  return silent.count <= NAMED ? silentWords(silent) : `${silent.count} silent, named under Instances`;
}

/** "1 silent for 2 min: host-7". */
function silentWords(silent: Some): string {
  const [first] = silent.first;
  if (silent.count === 1 && first !== undefined) return `1 silent for ${age(first.silentSeconds)}: ${first.instance}`;
  return `${silent.count} silent: ${names(silent, (one) => `${one.instance} for ${age(one.silentSeconds)}`)}`;
}

/** "1 instance refuses by ANDON_KILL: host-7"; null when none does. */
export function heldWords(held: Some, beside: "alone" | "proof"): string | null {
  return held.count === 0 ? null : refusingWords({ count: held.count, names: names(held) }, beside);
}

/** The same of one flag, whatever its switch says. */
export function heldOff(fleet: Fleet, flag: string): string | null {
  return heldWords(heldLocally(fleet, flag), "alone");
}

/** "At least 12 more are not counted: token ci invents names". One sentence for each token. */
export function notCountedWords(notCounted: readonly NotCounted[]): string[] {
  return notCounted.map(({ token, because, atLeast }) => {
    const why =
      because === "new names"
        ? `token ${token} invents names`
        : `more instances came with token ${token} than are kept`;
    return `At least ${atLeast} more ${atLeast === 1 ? "is" : "are"} not counted: ${why}.`;
  });
}

/** "46 instances connected; connection lost 3 s ago, may still be serving: host-7; 2 silent: …". */
export function fleetWords(fleet: Fleet): string {
  const [live, lost, silent] = [someIn(fleet, "live"), someIn(fleet, "lost"), someIn(fleet, "silent")];
  return [
    live.count === 0 ? "No instance is connected" : `${count(live.count, "instance")} connected`,
    ...(lost.count === 0 ? [] : [lostWords(lost)]),
    ...(silent.count === 0 ? [] : [silentWords(silent)]),
    ...fleet.returned.slice(0, NAMED).map(returnedWords),
  ].join("; ");
}

/** "host-7 was declared dead by maria 3 min ago, and is polling". */
function returnedWords({ instance, declaredDead }: Member): string {
  const by = declaredDead === null ? "" : ` by ${declaredDead.by} ${age(declaredDead.secondsAgo)} ago`;
  return `${instance} was declared dead${by}, and is polling`;
}
