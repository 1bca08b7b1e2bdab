/** The state of a flag in one sentence, beginning with the word of its light. */
import type { FlagResource, TripResource } from "../domain/resources.ts";
import { Moment } from "./moment.tsx";
import { blockedFirstSteps, downgradeTrip, killTrip, listed, percent } from "./text.ts";

/** What the flag does now, since when, by whom and why. */
export function StateLine({ flag, nowMs }: { flag: FlagResource; nowMs: number }) {
  const { effective } = flag;
  switch (effective.state) {
    case "off":
      return <OffLine flag={flag} nowMs={nowMs} />;
    case "downgraded":
      return <DowngradedLine flag={flag} nowMs={nowMs} />;
    case "ramping":
      return (
        <>
          <b class="word downgraded">Ramping</b> on for {percent(flag.switch.ramp ?? 100)} of users ·{" "}
          <Model flag={flag} /> · since <Moment at={flag.switch.since} nowMs={nowMs} />
          {by(flag.switch.by, flag.switch.reason)}
        </>
      );
    case "on":
      return (
        <>
          <b class="word on">On</b> <Model flag={flag} />
          {flag.rollout < 100 ? ` · for ${percent(flag.rollout)} of users` : ""}
          <span class="dim">
            {" "}
            · since <Moment at={flag.switch.since} nowMs={nowMs} />
            {by(flag.switch.by, flag.switch.reason)}
          </span>
        </>
      );
  }
}

function OffLine({ flag, nowMs }: { flag: FlagResource; nowMs: number }) {
  const { effective, switch: own } = flag;
  if (effective.reason === "NO_MODEL") {
    return (
      <>
        <b class="word off">Off</b> every model of its chain <code>{flag.chain ?? ""}</code> is blocked
      </>
    );
  }
  if (own.state === "on") {
    const trip = killTrip(flag);
    if (trip !== null) {
      return (
        <>
          <b class="word off">Off</b> <TripWords trip={trip} nowMs={nowMs} />
          {effective.reason === "MASTER" ? " · the master switch is off too" : ""}
        </>
      );
    }
    return (
      <>
        <b class="word off">Off</b> by the master switch; its own switch is on
      </>
    );
  }
  return (
    <>
      <b class="word off">Off</b> since <Moment at={own.since} nowMs={nowMs} exact />
      {by(own.by, own.reason)}
      {own.until === null ? null : (
        <>
          {" "}
          · until <Moment at={own.until} nowMs={nowMs} />
        </>
      )}
      {effective.reason === "MASTER" ? " · the master switch is off too" : ""}
    </>
  );
}

function DowngradedLine({ flag, nowMs }: { flag: FlagResource; nowMs: number }) {
  const { manual, level } = flag.level;
  const trip = downgradeTrip(flag);
  const blocked = blockedFirstSteps(flag);
  return (
    <>
      <b class="word downgraded">Downgraded</b> to <Model flag={flag} />
      {trip === null ? null : (
        <>
          {" "}
          <TripWords trip={trip} nowMs={nowMs} />
        </>
      )}
      {trip !== null || manual === null || level === 0 ? null : (
        <>
          {" "}
          since <Moment at={manual.since} nowMs={nowMs} />
          {by(manual.by, manual.reason)}
          {manual.until === null ? null : (
            <>
              {" "}
              · until <Moment at={manual.until} nowMs={nowMs} />
            </>
          )}
        </>
      )}
      {blocked.length === 0 ? null : (
        <>
          {" "}
          · <code>{listed(blocked)}</code> {blocked.length === 1 ? "is" : "are"} blocked
        </>
      )}
      {flag.switch.ramp === null ? "" : ` · on for ${percent(flag.switch.ramp)} of users`}
    </>
  );
}

/** "since 02:41 · budget Daily reached 80 %". */
export function TripWords({ trip, nowMs }: { trip: TripResource; nowMs: number }) {
  return (
    <>
      since <Moment at={trip.since} nowMs={nowMs} /> · budget <b>{trip.budget.name}</b> reached
      {trip.atPercent === 100 ? "" : ` ${trip.atPercent} %`}
    </>
  );
}

function Model({ flag }: { flag: FlagResource }) {
  return flag.effective.model === null ? (
    <span>the model each request names</span>
  ) : (
    <code>{flag.effective.model}</code>
  );
}

function by(who: string | null, reason: string | null): string {
  return `${who === null ? "" : ` by ${who}`}${reason === null ? "" : ` — ${reason}`}`;
}
