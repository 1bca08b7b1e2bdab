/**
 * The three decisions that are measured, in words that every flag service can express, and the users they are made for.
 * Many users with prepared contexts, so that no contender is served from a cache of its last answer.
 */
export const SCENARIOS = ["static", "rollout50", "rules5"] as const;
export type Scenario = (typeof SCENARIOS)[number];

export interface User {
  readonly id: string;
  readonly plan: string;
  readonly country: string;
}

/** Power of two, larger than any inline cache. */
export const USERS_COUNT = 1024;

/** Five rules; the first four refuse one country each, the fifth one plan. Everybody else is on. */
export const REFUSED_COUNTRIES = ["AA", "BB", "CC", "DD"] as const;
export const REFUSED_PLAN = "trial";

const PLANS = ["free", "pro", "team", "trial"] as const;
const COUNTRIES = ["AA", "BB", "CC", "DD", "DE", "JP", "US", "BR"] as const;

export const USERS: readonly User[] = Array.from({ length: USERS_COUNT }, (_, index) => ({
  id: `user-${(index * 2_654_435_761) % 4_294_967_296}`,
  plan: PLANS[index % PLANS.length] ?? "free",
  country: COUNTRIES[(index >> 2) % COUNTRIES.length] ?? "DE",
}));

/** What the decision must be, where it does not depend on a hash of the contender's own. */
export function expected(scenario: Scenario, user: User): boolean | null {
  switch (scenario) {
    case "static":
      return true;
    case "rollout50":
      return null;
    case "rules5":
      return user.plan !== REFUSED_PLAN && !REFUSED_COUNTRIES.some((country) => country === user.country);
  }
}
