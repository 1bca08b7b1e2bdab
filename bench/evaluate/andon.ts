/** Andon's client from a bootstrap snapshot: the whole public call, its clock read and its decision object included. */
import { Andon, type Snapshot, type SnapshotFlag } from "andon-client";
import { SILENT } from "../support/silent-logger.ts";
import type { Contender } from "./contender.ts";
import { REFUSED_COUNTRIES, REFUSED_PLAN, USERS } from "./scenarios.ts";

const flag: SnapshotFlag = {
  state: "on",
  level: 0,
  chain: "answers",
  rollout: 100,
  ramp: null,
  salt: "salt",
  rules: [],
  offMode: "error",
  offMessage: null,
  abortInFlight: true,
  clampMaxTokens: false,
  chainOnly: false,
};

const snapshot: Snapshot = {
  version: 1,
  environment: "bench",
  revision: "bench.1",
  committedAtMs: 0,
  master: { state: "on" },
  flags: {
    static: flag,
    rollout50: { ...flag, rollout: 50 },
    rules5: {
      ...flag,
      rules: [
        ...REFUSED_COUNTRIES.map((value) => ({
          when: [{ attribute: "country", operator: "equals" as const, value }],
          then: "off" as const,
        })),
        { when: [{ attribute: "plan", operator: "equals", value: REFUSED_PLAN }], then: "off" },
      ],
    },
  },
  chains: {
    answers: {
      steps: [{ model: "claude-opus-5-5" }, { model: "claude-sonnet-5-5" }, { model: "claude-haiku-4-5" }],
    },
  },
  blockedModels: [],
};

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
