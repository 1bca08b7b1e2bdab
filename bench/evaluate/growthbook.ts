/** GrowthBook's client for servers, from a payload given at once; it answers synchronously. */
import { GrowthBookClient } from "@growthbook/growthbook";
import type { Contender } from "./contender.ts";
import { REFUSED_COUNTRIES, REFUSED_PLAN, USERS } from "./scenarios.ts";

export function growthbookContender(): Contender {
  const client = new GrowthBookClient().initSync({
    payload: {
      features: {
        static: { defaultValue: true },
        rollout50: {
          defaultValue: false,
          rules: [{ force: true, coverage: 0.5, hashAttribute: "id", seed: "salt", hashVersion: 2 }],
        },
        rules5: {
          defaultValue: true,
          rules: [
            ...REFUSED_COUNTRIES.map((country) => ({ condition: { country }, force: false })),
            { condition: { plan: REFUSED_PLAN }, force: false },
          ],
        },
      },
    },
  });
  const contexts = USERS.map((user) => ({ attributes: { id: user.id, plan: user.plan, country: user.country } }));
  return {
    name: "growthbook",
    decide: (scenario, userIndex) => client.isOn(scenario, contexts[userIndex] ?? {}),
    countOn(scenario) {
      let on = 0;
      for (const context of contexts) if (client.isOn(scenario, context)) on += 1;
      return on;
    },
    close: () => client.destroy(),
  };
}
