/** The state of a flag in one sentence, beginning with the word of its light. */
import type { FlagResource } from "../../api/flag.ts";
import { standingWords } from "../../domain/standing-words.ts";
import { Words } from "./words.tsx";
import { killTrip, type Light, lightOf, listed, percent } from "./text.ts";

export interface StateLineProps {
  flag: FlagResource;
  nowMs: number;
  /** The colour of its word, when it is not that of the state alone. */
  light?: Light;
}

/** What the flag does now, since when, by whom and why. */
export function StateLine({ flag, nowMs, light = lightOf(flag) }: StateLineProps) {
  const { standing } = flag;
  const words = <Words words={standingWords(standing)} nowMs={nowMs} exact={standing.cause.kind === "KILLED"} />;
  const word = <b class={`word ${light}`}>{WORDS[standing.state]}</b>;
  switch (standing.state) {
    case "off":
      return (
        <>
          {word}
          {words}
          {standing.cause.kind === "MASTER" ? <UnderMaster flag={flag} /> : null}
        </>
      );
    case "over":
      return (
        <>
          {word} on <Model flag={flag} />
          {words}
          {admitted(flag)}
        </>
      );
    case "downgraded":
      return (
        <>
          {word} to <Model flag={flag} />
          {words}
          {admitted(flag)}
        </>
      );
    case "ramping":
      return (
        <>
          {word} on for {percent(flag.switch.ramp ?? 100)} of users · <Model flag={flag} /> ·{words}
        </>
      );
    case "on":
      return (
        <>
          {word} <Model flag={flag} />
          {admitted(flag)}
          <span class="dim"> ·{words}</span>
        </>
      );
  }
}

/** The word of each state, as a sentence begins. */
const WORDS = {
  off: "Off",
  over: "Over its limit",
  downgraded: "Downgraded",
  ramping: "Ramping",
  on: "On",
} as const;

/** What is left when the master switch is restored. */
function UnderMaster({ flag }: { flag: FlagResource }) {
  if (flag.switch.state === "off") {
    return ` · killed by hand too${flag.switch.by === null ? "" : `, by ${flag.switch.by}`}`;
  }
  const trip = killTrip(flag);
  if (trip === null) return " · its own switch is on";
  return (
    <>
      {" · off by budget "}
      <b>{trip.budget.name}</b> too
    </>
  );
}

/** A request that names its own model is refused when that is blocked; while any is, also a name that cannot be read. */
function Model({ flag }: { flag: FlagResource }) {
  const { model, blocked } = flag.effective;
  if (model !== null) return <code data-model>{model}</code>;
  if (blocked.length === 0) return <span>the model each request names</span>;
  return (
    <span>
      the model each request names, if it can be read and is not <code>{listed(blocked)}</code>: blocked
    </span>
  );
}

/** Whom it is on for, when not for everybody: the smaller of rollout and ramp. */
function admitted({ switch: { ramp }, rollout }: FlagResource): string {
  const share = Math.min(ramp ?? 100, rollout);
  return share < 100 ? ` · for ${percent(share)} of users` : "";
}
