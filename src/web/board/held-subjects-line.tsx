/** Users and sessions that a budget of theirs holds: no flag is off, and still somebody is without the feature. */
import type { HeldSubjects } from "../../services/verdicts/view.ts";
import { count } from "../text/text.ts";

/** "3 users stopped by Per user, 1 session downgraded by Sessions." Nothing while nobody is held. */
export function HeldSubjectsLine({ held, base }: { held: readonly HeldSubjects[]; base: string }) {
  if (held.length === 0) return null;
  return (
    <p class="dim">
      {held.map(({ id, name, about, stopped, downgraded }, at) => (
        <>
          {at === 0 ? "" : "; "}
          {[
            ...(stopped > 0 ? [`${count(stopped, about)} stopped`] : []),
            ...(downgraded > 0 ? [`${count(downgraded, about)} downgraded`] : []),
          ].join(", ")}
          {" by "}
          <a href={`${base}/budgets#budget-${id}`}>{name}</a>
        </>
      ))}
      .
    </p>
  );
}
