/** Unleash's Node client. It has no offline mode, so it loads its toggles once from a server on the loopback. */
import { createServer } from "node:http";
import { InMemStorageProvider, startUnleash } from "unleash-client";
import { listen } from "../support/listen.ts";
import type { Contender } from "./contender.ts";
import { REFUSED_COUNTRIES, REFUSED_PLAN, USERS } from "./scenarios.ts";

/** It loads nothing at all when told 0; an hour is longer than any run, and `destroy` ends its timer. */
const NEVER_MS = 3_600_000;

const rollout = (percentage: number, constraints: unknown[] = []) => ({
  name: "flexibleRollout",
  parameters: { rollout: String(percentage), stickiness: "userId", groupId: "salt" },
  constraints,
});

/** A toggle is on when one of its strategies is: refusals are constraints of the one that admits the rest. */
const refuse = (contextName: string, value: string) => ({
  contextName,
  operator: "NOT_IN",
  values: [value],
  caseInsensitive: false,
  inverted: false,
});

const features = {
  version: 2,
  features: [
    { name: "static", enabled: true, strategies: [{ name: "default", parameters: {}, constraints: [] }] },
    { name: "rollout50", enabled: true, strategies: [rollout(50)] },
    {
      name: "rules5",
      enabled: true,
      strategies: [
        {
          name: "default",
          parameters: {},
          constraints: [
            ...REFUSED_COUNTRIES.map((country) => refuse("country", country)),
            refuse("plan", REFUSED_PLAN),
          ],
        },
      ],
    },
  ],
};

export async function unleashContender(): Promise<Contender> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(features));
  });
  const url = await listen(server);
  const client = await startUnleash({
    url: `${url}/api/`,
    appName: "bench",
    refreshInterval: NEVER_MS,
    disableMetrics: true,
    storageProvider: new InMemStorageProvider(),
  });
  server.close();
  const contexts = USERS.map((user) => ({
    userId: user.id,
    properties: { plan: user.plan, country: user.country },
  }));
  return {
    name: "unleash-client",
    decide: (scenario, userIndex) => client.isEnabled(scenario, contexts[userIndex]),
    countOn(scenario) {
      let on = 0;
      for (const context of contexts) if (client.isEnabled(scenario, context)) on += 1;
      return on;
    },
    close: () => client.destroy(),
  };
}
