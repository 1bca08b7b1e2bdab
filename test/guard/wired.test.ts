/** Whether a client's calls pass a guard at all: told before the first call, and by what the SDK itself goes by. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assertGuarded, guardClient, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { FLAG, snapshotOf } from "../support/guard-snapshots.ts";
import { startUsageWorld } from "../support/usage-world.ts";
import { ASK, errorOf, SDKS, startWorld, type World } from "../support/guard-world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

describe.each(SDKS)("$name", ({ Sdk }) => {
  it("a client without a guard is told apart, and one that is guarded is held", async () => {
    const plain = new Sdk({ apiKey: "k", baseURL: world.endpoint.url });
    expect(() => assertGuarded(plain)).toThrow(/No guard is in the `middleware`/);
    expect(() => guardClient(plain)).toThrow(/No guard/);
    expect(() => assertGuarded(plain.withOptions({ middleware: [(request, next) => next(request)] }))).toThrow(
      /No guard/,
    );
    const guarded = guardClient(plain, world.andon, { flag: FLAG });
    expect(guarded).toBeInstanceOf(Sdk);
    expect(guardClient(guarded)).toBe(guarded);
    await world.kill();
    expect(isFeatureDisabled(await errorOf(guarded.messages.create(ASK)))).toBe(true);
    await world.change(snapshotOf());
    expect((await plain.messages.create(ASK)).model).toBe(ASK.model);
  });

  it("a guard tells the server that it holds calls, and of which SDK", async () => {
    const usage = await startUsageWorld();
    usage.andon.isEnabled("asked-only");
    await usage.client(Sdk).messages.create(ASK);
    await usage.finish();
    const told = [...usage.server.counted.values()].map(({ checks = {} }) => checks);
    expect(told).toContainEqual({
      "asked-only": { on: 1, off: 0 },
      [FLAG]: { on: 1, off: 0, sdk: expect.stringMatching(/^\d+\.\d+\.\d+$/) },
    });
  });

  it("clients that show their requests to no middleware, or in the shape of a cloud, are refused", () => {
    const { middleware } = guardClient(new Sdk({ apiKey: "k" }), world.andon, { flag: FLAG });
    // SDK 0.100 and before.
    expect(() => assertGuarded({})).toThrow(/runs no middleware/);
    // As Bedrock before 0.30.2 does.
    class Shaping extends Sdk {
      override async buildRequest(...args: Parameters<InstanceType<typeof Sdk>["buildRequest"]>) {
        return super.buildRequest(...args);
      }
    }
    const shaping = new Shaping({ apiKey: "k", middleware });
    expect(() => assertGuarded(shaping)).toThrow(/bedrock-sdk >= 0.30.2/);
  });
});
