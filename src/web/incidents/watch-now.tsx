/** What a watch sees now of the flags of its incident: a figure that goes on while the sentence of its step stays. */
import type { IncidentResource } from "../../api/incident.ts";
import { duration } from "../../domain/watch-text.ts";
import { Moment } from "../shell/moment.tsx";
import { usdPerHour } from "../text/money.ts";
import { percent } from "../text/text.ts";

type Watch = NonNullable<IncidentResource["watch"]>;
type Watched = Watch["flags"][number];

/** Without being over its limit for so long it is said to be within it. */
const WITHIN_MS = 60_000;

/** "$60/h now, usually $7/h"; of several flags how many are over their limit. */
export function WatchNow({ watch: { kind, flags }, nowMs }: { watch: Watch; nowMs: number }) {
  const running = flags.filter(({ endedAt }) => endedAt === null);
  const [one] = running;
  if (one === undefined) return null;
  if (flags.length > 1) {
    const over = running.filter(({ heldAt }) => nowMs - Date.parse(heldAt) < WITHIN_MS);
    return (
      <>
        <b>{`${over.length} of ${flags.length}`}</b> flags over their limit now ·{" "}
      </>
    );
  }
  if (nowMs - Date.parse(one.heldAt) >= WITHIN_MS && kind !== "largeCall") {
    return (
      <>
        within its limit since <Moment at={one.heldAt} nowMs={nowMs} /> ·{" "}
      </>
    );
  }
  return (
    <>
      <Figure kind={kind} one={one} /> ·{" "}
    </>
  );
}

function Figure({ kind, one: { value, now, worst, against, limit } }: { kind: Watch["kind"]; one: Watched }) {
  switch (kind) {
    case "burn":
      return (
        <>
          <b>{usdPerHour(now)}</b> now, usually {usdPerHour(against)}
        </>
      );
    case "largeCall":
      return (
        <>
          <b>{Math.max(value, worst).toLocaleString("en-US")} tokens</b>, {Math.round(against).toLocaleString("en-US")}{" "}
          on average
        </>
      );
    case "cut":
      return (
        <>
          <b>{percent(now)}</b> of answers cut, last 15 min
        </>
      );
    case "errors":
      return (
        <>
          <b>{percent(now)}</b> of attempts failed, last 15 min
        </>
      );
    case "latency":
      return (
        <>
          <b>{percent(now)}</b> took over {duration(limit)}, last 15 min
        </>
      );
  }
}

/** Where the watch is changed, with what it would tell. */
export function watchPathOf(base: string, { kind, flags }: Watch): string {
  const [only] = flags;
  const query = flags.length === 1 && only !== undefined ? `?flag=${encodeURIComponent(only.flag)}` : "";
  return `${base}/watches/${kind}${query}`;
}
