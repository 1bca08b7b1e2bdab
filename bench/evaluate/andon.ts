/** Andon's client from a bootstrap snapshot: the whole public call, its clock read and its decision object included. */
import { Andon } from "andon-client";
import { SILENT } from "../support/silent-logger.ts";
import { flagOf, snapshotOf } from "../support/snapshot.ts";
import type { Contender } from "./contender.ts";
import { REFUSED_COUNTRIES, REFUSED_PLAN, USERS } from "./scenarios.ts";

const snapshot = snapshotOf(
  {
    static: flagOf(),
    rollout50: flagOf({ rollout: 50 }),
    rules5: flagOf({
      rules: [
        ...REFUSED_COUNTRIES.map((value) => ({
          when: [{ attribute: "country", operator: "equals" as const, value }],
          then: "off" as const,
        })),
        { when: [{ attribute: "plan", operator: "equals", value: REFUSED_PLAN }], then: "off" },
      ],
    }),
  },
  ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"],
);

/** Not polling: it has no server to poll, which is what the silenced logger would say. */
export async function andonContender(): Promise<Contender> {
  const andon = new Andon({ bootstrap: snapshot, logger: SILENT });
  await andon.ready({ timeoutMs: 1000 });
  const contexts = USERS.map((user) => ({ targetingKey: user.id, plan: user.plan, country: user.country }));
  return {
    name: "andon",
    decide: (scenario, userIndex) => andon.evaluate(scenario, contexts[userIndex]).enabled,
    countOn(scenario) {
      let on = 0;
      for (const context of contexts) if (andon.evaluate(scenario, context).enabled) on += 1;
      return on;
    },
    close: () => andon.close(),
  };
}
