/** What the order of attention and the search for drivers are made from, of what the board has read. Pure. */
import { accountTitle } from "../../domain/alert-text.ts";
import type { AttentionFacts } from "../../domain/attention.ts";
import { hourOf, usualWords } from "../../domain/usual.ts";
import type { IncidentResource } from "../../api/incident.ts";
import type { FlagResource } from "../../api/flag.ts";
import type { BoardMoney } from "../../services/board/money.ts";
import type { Driven } from "../../services/usage/drivers.ts";
import type { Usuals } from "../../services/usage/usual.ts";

/** Why Claude refuses calls of the flag, and on how many instances; `[]` when it does not, or none are made as it is off. */
export function refusalsOf({ key, standing }: FlagResource, incidents: readonly IncidentResource[]): string[] {
  if (standing.state === "off") return [];
  return incidents.flatMap(({ account }) =>
    account?.flags.includes(key) === true ? [accountTitle(account.fault, account)] : [],
  );
}

/** What decides where the flag stands. */
export function attentionOf(
  flag: FlagResource,
  refused: boolean,
  money: BoardMoney,
  usuals: Usuals,
  nowMs: number,
): AttentionFacts {
  const { key, name, standing } = flag;
  const spent = money.flags.get(key);
  const reached = money.budgets.flatMap(({ scope, limitReachedAt }) =>
    scope.flag === key && limitReachedAt !== null ? [Date.parse(limitReachedAt)] : [],
  );
  const usual = usuals.until(key, nowMs);
  return {
    key,
    name,
    state: standing.state,
    refused,
    burnNanoUsdPerHour: spent?.burnNanoUsdPerHour ?? 0,
    usualNanoUsdPerHour: usual?.nanoUsdPerHour ?? null,
    usualWords: usual === null ? "" : usualWords(usual, hourOf(nowMs), usuals.zone),
    limitReachedAtMs: reached.length === 0 ? null : Math.min(...reached),
    todayNanoUsd: spent?.todayNanoUsd ?? 0,
  };
}

/** Of a flag that is off the hour before it was switched: nothing is spent since. */
export function drivenBy(
  incidents: readonly IncidentResource[],
  flags: readonly FlagResource[],
  nowMs: number,
): Driven[] {
  // Who called most of all flags is not who called a model without a price.
  const driven = incidents.filter(
    ({ unpriced, drift, watch, flag }) =>
      unpriced === null && drift === null && (watch === null || (watch.kind === "burn" && flag !== null)),
  );
  return driven.map(({ id, flag, steps, openedAt }) => {
    const isOff = flags.some(({ key, standing }) => key === flag && standing.state === "off");
    return { id, flag, untilMs: isOff ? Date.parse(steps.at(-1)?.at ?? openedAt) : nowMs };
  });
}
