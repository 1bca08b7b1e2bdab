/** "Never upgrade", through the real SDK: what becomes of a request for a model that is not in its flag's chain. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FLAG, flagOf, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, errorOf, modelsSent, SDKS, startWorld, type World } from "../support/guard-world.ts";

/** Dearer than the whole chain, and cheaper than all of it. */
const DEAR = "claude-fable-5-1";
const CHEAP = "claude-3-haiku";
const PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(async () => {
  world.endpoint.reset();
  world.told.length = 0;
  await world.change({ aliases: {}, prices: [], ...snapshotOf() });
});
afterAll(() => world.close());

describe.each(SDKS)("$name", ({ Sdk }) => {
  const send = (model: string) => world.client(Sdk, { maxRetries: 0 }).messages.create({ ...ASK, model });

  it("sends what was asked while the first step of the chain is in use", async () => {
    for (const model of [DEAR, CHEAP]) expect((await send(model)).model).toBe(model);
    expect(modelsSent(world)).toEqual([DEAR, CHEAP]);
  });

  it("steps a dear model down with its flag, by a level and by a blocked first step, and never a cheap one up", async () => {
    await world.setFlag({ level: 1 });
    for (const model of [DEAR, CHEAP]) await send(model);
    await world.change({ ...snapshotOf(), blockedModels: [`anthropic.${OPUS}-v1:0`] });
    for (const model of [DEAR, CHEAP]) await send(model);
    expect(modelsSent(world)).toEqual([SONNET, CHEAP, SONNET, CHEAP]);
  });

  it("never sends a blocked model, and never pays more to go around the block", async () => {
    await world.change({ blockedModels: [DEAR, CHEAP] });
    expect((await send(`${DEAR}-20261001`)).model).toBe(OPUS);
    expect(await errorOf(send(CHEAP))).toMatchObject({ reason: "NO_MODEL" });
    expect(modelsSent(world)).toEqual([OPUS]);
  });

  it("sends no other model than its chain's for a flag that is held to it", async () => {
    await world.setFlag({ chainOnly: true });
    for (const model of [DEAR, CHEAP]) await send(model);
    expect(modelsSent(world)).toEqual([OPUS, HAIKU]);
  });

  it("has no model for any request while no step of the chain is usable", async () => {
    await world.change({ blockedModels: [OPUS, SONNET, HAIKU] });
    for (const model of [DEAR, CHEAP]) expect(await errorOf(send(model))).toMatchObject({ reason: "NO_MODEL" });
    expect(modelsSent(world)).toEqual([]);
  });

  it("compares by the prices that operators set, in whatever spelling", async () => {
    const rates = { input: 1, output: 1, cacheWrite5m: 1, cacheWrite1h: 1, cacheRead: 1 };
    const prices = [{ model: DEAR, validFrom: "2026-01-01", rates, usPremium: false }];
    await world.change({ flags: { [FLAG]: flagOf({ level: 1 }) }, prices });
    await send(`us.anthropic.${DEAR}-20261001-v1:0`);
    expect(modelsSent(world)).toEqual([`us.anthropic.${DEAR}-20261001-v1:0`]);
  });

  it("refuses a name that cannot be read while a model is blocked, in words, and takes a mapped one for its model", async () => {
    await send(PROFILE);
    await world.change({ blockedModels: ["claude-opus-4-1"] });
    expect(await errorOf(send(PROFILE))).toMatchObject({ reason: "NO_MODEL" });
    expect(world.told).toContainEqual(expect.stringContaining("does not say which model it is"));
    await world.change({ blockedModels: [OPUS], aliases: { [PROFILE]: OPUS } });
    await send(PROFILE);
    await world.change({ blockedModels: [OPUS], aliases: { [PROFILE]: SONNET } });
    await send(PROFILE);
    expect(modelsSent(world)).toEqual([PROFILE, SONNET, PROFILE]);
  });
});
