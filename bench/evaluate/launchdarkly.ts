/** LaunchDarkly's server SDK on its test data source, events off. Its only way to ask is asynchronous. */
import { init } from "@launchdarkly/node-server-sdk";
import { TestData } from "@launchdarkly/node-server-sdk/integrations";
import { SILENT } from "../support/silent-logger.ts";
import type { Contender } from "./contender.ts";
import { REFUSED_COUNTRIES, REFUSED_PLAN, USERS } from "./scenarios.ts";

const READY_TIMEOUT_SECONDS = 5;

export async function launchdarklyContender(): Promise<Contender> {
  const data = new TestData();
  await data.update(data.flag("static").booleanFlag().variationForAll(true));
  await data.usePreconfiguredFlag({
    key: "rollout50",
    version: 1,
    on: true,
    salt: "salt",
    variations: [true, false],
    fallthrough: {
      rollout: {
        kind: "rollout",
        contextKind: "user",
        variations: [
          { variation: 0, weight: 50_000 },
          { variation: 1, weight: 50_000 },
        ],
      },
    },
  });
  let rules = data.flag("rules5").booleanFlag().fallthroughVariation(true);
  for (const country of REFUSED_COUNTRIES) rules = rules.ifMatch("user", "country", country).thenReturn(false);
  await data.update(rules.ifMatch("user", "plan", REFUSED_PLAN).thenReturn(false));

  const client = init("sdk-bench", {
    updateProcessor: data.getFactory(),
    sendEvents: false,
    diagnosticOptOut: true,
    logger: SILENT,
  });
  await client.waitForInitialization({ timeout: READY_TIMEOUT_SECONDS });
  const contexts = USERS.map((user) => ({ kind: "user", key: user.id, plan: user.plan, country: user.country }));
  const nobody = { kind: "user", key: "nobody" };
  return {
    name: "launchdarkly",
    decide: (scenario, userIndex) => client.boolVariation(scenario, contexts[userIndex] ?? nobody, false),
    async countOn(scenario) {
      let on = 0;
      for (const context of contexts) if (await client.boolVariation(scenario, context, false)) on += 1;
      return on;
    },
    close: () => client.close(),
  };
}
