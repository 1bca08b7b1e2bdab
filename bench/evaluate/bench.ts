/**
 * `evaluate.*`: nanoseconds of one decision. Every contender decides for the same users in the same process, in rounds
 * that alternate; before measuring, each must give the decisions that the scenario asks for.
 */
import { Bench } from "tinybench";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { median } from "../support/statistics.ts";
import { andonContender } from "./andon.ts";
import type { Contender } from "./contender.ts";
import { growthbookContender } from "./growthbook.ts";
import { launchdarklyContender } from "./launchdarkly.ts";
import { expected, type Scenario, USERS, USERS_COUNT } from "./scenarios.ts";
import { unleashContender } from "./unleash.ts";

const NS_PER_MS = 1_000_000;
/** How far a contender's 50 % rollout may be from half of the users: four standard deviations. */
const ROLLOUT_TOLERANCE = 4 * Math.sqrt(USERS_COUNT / 4);

/** Where results go, so that no call can be optimised away. */
let blackHole = 0;
const absorb = (on: number): void => {
  blackHole += on;
};

export async function benchEvaluate(scenario: Scenario, effort: Effort): Promise<Figure> {
  const contenders = [
    await andonContender(),
    await unleashContender(),
    growthbookContender(),
    await launchdarklyContender(),
  ];
  try {
    for (const contender of contenders) await verify(contender, scenario);
    const rounds = by(effort, 5, 1);
    const samples = new Map(contenders.map((contender) => [contender.name, [] as number[]]));
    for (let round = 0; round < rounds; round += 1) {
      for (const contender of contenders) {
        samples.get(contender.name)?.push(await nanoseconds(contender, scenario, effort));
      }
    }
    const values = [...samples].map(([name, ns]) => [name, median(ns)] as const);
    const [ours, ...peers] = values;
    if (ours === undefined) throw new Error("nothing was measured");
    return {
      name: `evaluate.${scenario}`,
      unit: "ns",
      ours: ours[1],
      peers: Object.fromEntries(peers),
      note: `median of ${rounds} alternating rounds, ${USERS_COUNT} users; launchdarkly answers by promise`,
    };
  } finally {
    for (const contender of contenders) await contender.close();
  }
}

/** Throws when the contender does not do the work that is measured. */
async function verify(contender: Contender, scenario: Scenario): Promise<void> {
  let on = 0;
  for (const [index, user] of USERS.entries()) {
    const isOn = await contender.decide(scenario, index);
    if (isOn) on += 1;
    const wanted = expected(scenario, user);
    if (wanted !== null && isOn !== wanted) {
      throw new Error(`${contender.name} says ${isOn} to ${user.id} in ${scenario}, not ${wanted}`);
    }
  }
  if (scenario === "rollout50" && Math.abs(on - USERS_COUNT / 2) > ROLLOUT_TOLERANCE) {
    throw new Error(`${contender.name} lets ${on} of ${USERS_COUNT} users in at 50 %`);
  }
  if (on !== (await contender.countOn(scenario))) throw new Error(`${contender.name} contradicts itself`);
}

async function nanoseconds(contender: Contender, scenario: Scenario, effort: Effort): Promise<number> {
  const bench = new Bench({
    time: by(effort, 600, 20),
    warmupTime: by(effort, 300, 10),
    throws: true,
  });
  // One sample is a pass over all users: single calls are shorter than the clock's resolution.
  bench.add(contender.name, () => {
    const on = contender.countOn(scenario);
    if (typeof on === "number") return absorb(on);
    return on.then(absorb);
  });
  await bench.run();
  const result = bench.tasks[0]?.result;
  if (result?.state !== "completed" || blackHole < 0) throw new Error(`${contender.name} could not be measured`);
  return (result.latency.p50 * NS_PER_MS) / USERS_COUNT;
}
