/** Beside a step's sentence, which stays as it was: what of it holds now, what does not any more, and by whose doing. */
import type { Lapsed, LapsedTrip } from "../../services/trips/of-incident.ts";
import { Moment } from "../shell/moment.tsx";
import { listed } from "../text/text.ts";

/** More flags than these are counted. */
const SHOWN = 3;

/** "Not in force now: overridden by maria at 05:29". With several flags, or one of several: which. */
export function LapsedLine({ lapsed, nowMs }: { lapsed: Lapsed; nowMs: number }) {
  const { trips, all } = lapsed;
  if (trips.length === 0) return <Held lapsed={lapsed} nowMs={nowMs} />;
  const named = !all || trips.length > 1;
  const more = trips.length - SHOWN;
  return (
    <p>
      <b>{all ? "Not in force now" : "Not in force now for"}</b>
      {all ? ": " : " "}
      {trips.slice(0, SHOWN).map((trip, position) => (
        <>
          {position === 0 ? "" : "; "}
          {named ? `${trip.flag}: ` : ""}
          <Ending trip={trip} nowMs={nowMs} />
        </>
      ))}
      {more > 0 ? `; and ${more} more` : ""}
    </p>
  );
}

/** "Off now, until 00:00: support-chat". */
function Held({ lapsed: { held, action, until }, nowMs }: { lapsed: Lapsed; nowMs: number }) {
  if (held.length === 0) return null;
  return (
    <p class="dim">
      {action === "kill" ? "Off" : "Downgraded"} now, until{" "}
      {until === null ? "somebody restores" : <Moment at={until} nowMs={nowMs} />}: {listed(held)}
    </p>
  );
}

function Ending({ trip, nowMs }: { trip: LapsedTrip; nowMs: number }) {
  return (
    <>
      {trip.overriddenBy === null ? "ended" : `overridden by ${trip.overriddenBy}`} at{" "}
      <Moment at={trip.at} nowMs={nowMs} />
    </>
  );
}
