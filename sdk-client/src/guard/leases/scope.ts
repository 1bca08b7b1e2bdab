/** Which calls count against a budget, and in whose window. The server decides alike for usage records (`subjectOf`). */
import type { NameOf } from "../../evaluate/model-names.ts";
import type { SnapshotBudget } from "../../wire/protocol.ts";

const EACH = "each";

/** Of one attempt. */
export interface Spender {
  flag: string;
  model: string;
  user: string | null;
  session: string | null;
}

/** Null when the call does not count against it; `""` when all have one window, else whose window it is. */
export function subjectOf(budget: SnapshotBudget, spender: Spender, nameOf: NameOf): string | null {
  if (budget.flag !== undefined && budget.flag !== spender.flag) return null;
  if (budget.model !== undefined && nameOf(budget.model) !== nameOf(spender.model)) return null;
  const user = matchOne(budget.user, spender.user);
  const session = matchOne(budget.session, spender.session);
  if (user === null || session === null) return null;
  return user !== "" && session !== "" ? `${user.length}:${user}${session}` : user + session;
}

function matchOne(wanted: string | undefined, actual: string | null): string | null {
  if (wanted === undefined) return "";
  if (actual === null || actual === "") return null;
  if (wanted === EACH) return actual;
  return wanted === actual ? "" : null;
}
