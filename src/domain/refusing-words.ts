/**
 * Instances that refuse by `ANDON_KILL`, whatever the switch says: the one wording for pages and command line. They do not
 * follow a restore, so its proof is complete without them, and they are told beside it.
 */

/** "1 instance refuses by ANDON_KILL: host-7"; beside the count of a proof "1 more refuses by ANDON_KILL: host-7". */
export function refusingWords(refusing: { count: number; names: string }, beside: "alone" | "proof"): string {
  const { count, names } = refusing;
  const who = beside === "proof" ? `${count} more` : `${count} ${count === 1 ? "instance" : "instances"}`;
  return `${who} ${count === 1 ? "refuses" : "refuse"} by ANDON_KILL: ${names}`;
}
