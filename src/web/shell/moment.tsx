/**
 * Times on a page. The server writes UTC and says so; the page's script turns it into local time, and the footer
 * names that zone.
 */

/** `at` is ISO 8601 in UTC. Shown as "02:41 UTC" when it is of the day of `nowMs`, else with its date. */
export function Moment({ at, nowMs, exact = false }: { at: string; nowMs: number; exact?: boolean }) {
  return (
    <time datetime={at} data-local={exact ? "exact" : "short"} title={`${at.slice(0, 10)} ${at.slice(11, 19)} UTC`}>
      {momentText(at, nowMs, exact)}
    </time>
  );
}

export function momentText(at: string, nowMs: number, exact: boolean): string {
  const clock = at.slice(11, exact ? 19 : 16);
  const today = new Date(nowMs).toISOString().slice(0, 10);
  return at.slice(0, 10) === today ? `${clock} UTC` : `${at.slice(0, 10)} ${clock} UTC`;
}
