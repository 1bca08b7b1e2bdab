/** Beside a step's sentence, which stays as it was: that what it switched is not in force any more, and by whose doing. */
import type { Lapsed, LapsedTrip } from "../services/incident-trips.ts";
import { Moment } from "./moment.tsx";

/** More flags than these are counted. */
const SHOWN = 3;

/** "Not in force now: overridden by maria at 05:29". With several flags, or one of several: which. */
export function LapsedLine({ lapsed, nowMs }: { lapsed: Lapsed; nowMs: number }) {
  const { trips, all } = lapsed;
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

function Ending({ trip, nowMs }: { trip: LapsedTrip; nowMs: number }) {
  return (
    <>
      {trip.overriddenBy === null ? "ended" : `overridden by ${trip.overriddenBy}`} at{" "}
      <Moment at={trip.at} nowMs={nowMs} />
    </>
  );
}
