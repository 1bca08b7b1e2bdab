/** A flag's limits and caps in words, for the flag's page and the command line. Pure. */
import { type FlagLimits, LIMIT_NAMES, LIMIT_SCOPES } from "../../sdk-client/src/wire/protocol.ts";

interface Limited {
  limits: FlagLimits;
  maxInputBytes: number | null;
  maxOutputTokens: number | null;
  clampMaxTokens: boolean;
}

const NUMBER = new Intl.NumberFormat("en-US");
const UNITS = {
  concurrent: (n: number) => `${NUMBER.format(n)} ${n === 1 ? "call" : "calls"} at a time`,
  requestsPerMinute: (n: number) => `${NUMBER.format(n)} a minute`,
  tokensPerDay: (n: number) => `${NUMBER.format(n)} tokens a day`,
};
const WHOM = { flag: "all calls", user: "each user", session: "each session" };

/** "each user: 2 calls at a time, 20 a minute": one entry for each scope that has a limit. */
export function limitWords({ limits }: Pick<Limited, "limits">): string[] {
  return LIMIT_SCOPES.flatMap((scope) => {
    const own = limits[scope];
    const words = LIMIT_NAMES.flatMap((name) => {
      const limit = own?.[name];
      return limit === undefined ? [] : [UNITS[name](limit)];
    });
    return words.length === 0 ? [] : [`${WHOM[scope]}: ${words.join(", ")}`];
  });
}

/** "a request of at most 100,000 bytes": one entry for each cap. */
export function capWords({ maxInputBytes, maxOutputTokens, clampMaxTokens }: Omit<Limited, "limits">): string[] {
  const over = clampMaxTokens ? "more is lowered to it" : "a request for more is refused";
  return [
    ...(maxInputBytes === null ? [] : [`a request of at most ${NUMBER.format(maxInputBytes)} bytes`]),
    ...(maxOutputTokens === null ? [] : [`max_tokens of at most ${NUMBER.format(maxOutputTokens)}: ${over}`]),
  ];
}

/** What a fleet comes to: every instance counts its own calls. `instances` are those connected now. */
export function fleetLimitWords(instances: number): string {
  const now =
    instances < 2 ? "" : `: ${NUMBER.format(instances)} are connected now, so up to ${instances} times as much`;
  return `Each instance counts its own calls${now}.`;
}
