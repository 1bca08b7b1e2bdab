/** Batches, and clients with more than one guard. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { FeatureDisabledError, guard } from "../../sdk-client/src/anthropic.ts";
import { FLAG, flagOf, HAIKU, OPUS, snapshotOf, SONNET } from "../support/guard-snapshots.ts";
import { ASK, errorOf, SDKS, startWorld, type World } from "../support/guard-world.ts";

const BATCH = {
  requests: [
    { custom_id: "a", params: ASK },
    { custom_id: "b", params: { ...ASK, model: HAIKU } },
  ],
};

const sent = z.object({ requests: z.array(z.object({ params: z.looseObject({ model: z.string() }) })) });

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterEach(async () => {
  world.endpoint.reset();
  await world.change(snapshotOf());
});
afterAll(() => world.close());

describe.each(SDKS)("$name", ({ Sdk }) => {
  const models = async (batch = BATCH) => {
    await world.client(Sdk).messages.batches.create(batch);
    const [call] = world.endpoint.calls;
    return sent.parse(call?.body).requests.map(({ params }) => params.model);
  };

  it("sends a batch of a flag at full quality as it is", async () => {
    expect(await models()).toEqual([OPUS, HAIKU]);
  });

  it("downgrades the requests of a batch, and never upgrades one", async () => {
    await world.setFlag({ level: 1 });
    expect(await models()).toEqual([SONNET, HAIKU]);
  });

  it("never sends a blocked model in a batch", async () => {
    await world.change({ blockedModels: [OPUS] });
    expect(await models()).toEqual([SONNET, HAIKU]);
  });

  it("holds the requests of a batch to the chain when its flag is held to it", async () => {
    const outside = ["claude-fable-5-1", "claude-3-haiku"].map((model) => ({
      custom_id: model,
      params: { ...ASK, model },
    }));
    await world.setFlag({ chainOnly: true });
    expect(await models({ requests: outside })).toEqual([OPUS, HAIKU]);
  });

  it("refuses a batch when one of its requests has no usable model", async () => {
    await world.change({ blockedModels: [HAIKU] });
    const error = await errorOf(world.client(Sdk).messages.batches.create(BATCH));
    expect(error).toBeInstanceOf(FeatureDisabledError);
    expect(error).toMatchObject({ reason: "NO_MODEL" });
    expect(world.endpoint.calls).toHaveLength(0);
  });

  it("answers through two guards, and is off when either flag is", async () => {
    const flags = { [FLAG]: flagOf(), second: flagOf({ chain: null }) };
    await world.change({ flags });
    const outer = guard(world.andon, { flag: "second" });
    const claude = world.client(Sdk).withOptions({
      middleware: [outer, guard(world.andon, { flag: FLAG })],
    });
    expect((await claude.messages.create(ASK)).model).toBe(OPUS);
    expect((await claude.messages.stream(ASK).finalMessage()).model).toBe(OPUS);
    await world.change({ flags: { ...flags, second: flagOf({ state: "off", cause: "manual" }) } });
    expect(await errorOf(claude.messages.create(ASK))).toBeInstanceOf(FeatureDisabledError);
  });
});
