/** A time zone far from midnight: what counts by the day would begin anew when a run crosses it. */

const HOUR_MS = 3_600_000;
const NOON = 12;

/** The IANA zone where it is about noon at `nowMs`. The names count westward: `Etc/GMT+3` is three hours behind UTC. */
export function noonZone(nowMs: number): string {
  const behind = (Math.floor(nowMs / HOUR_MS) % 24) - NOON;
  return `Etc/GMT${behind < 0 ? "" : "+"}${behind}`;
}
