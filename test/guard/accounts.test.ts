/** An account that is out of money is not hammered: calls that cannot succeed are not sent, but for single probes. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { FLAG, flagOf, OPUS, snapshotOf } from "../support/guard-snapshots.ts";
import { ASK, errorOf, makeClient, SDKS, SILENT } from "../support/guard-world.ts";
import { type Act, answer, fails, MisbehavingProvider } from "../support/misbehaving-provider.ts";

let provider: MisbehavingProvider;
let baseURL: string;
let andon: Andon;
let accounts = 0;

beforeAll(async () => {
  provider = new MisbehavingProvider();
  baseURL = await provider.listen();
  andon = new Andon(
    { bootstrap: snapshotOf({ flags: { [FLAG]: flagOf(), other: flagOf() } }), logger: SILENT },
    { env: {} },
  );
});
beforeEach(() => {
  accounts += 1;
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(() => Promise.all([andon.close(), provider.close()]));

const words = fails(400, "invalid_request_error", { message: "You have reached your API usage limits." });
const SPENT: readonly { what: string; act: Act; status: number }[] = [
  {
    what: "429 of the enforced limit",
    act: fails(429, "rate_limit_error", { code: "enforced_spend_limit_reached" }),
    status: 429,
  },
  {
    what: "429 of the contract's limit",
    act: fails(429, "rate_limit_error", { code: "contract_spend_limit_reached" }),
    status: 429,
  },
  { what: "402", act: fails(402, "billing_error"), status: 402 },
];

/** How many calls were sent while this ran. */
async function sent(work: () => Promise<unknown>): Promise<number> {
  const before = provider.calls.length;
  await work();
  return provider.calls.length - before;
}

describe.each(SDKS)("$name", ({ Sdk }) => {
  const client = (flag = FLAG, key = `account-${accounts}`) => makeClient(Sdk, andon, baseURL, { flag, apiKey: key });

  it.each(SPENT)("$what: the next calls get the same without being sent, streams too", async ({ act, status }) => {
    provider.script({ [OPUS]: act });
    expect(await errorOf(client().messages.create(ASK))).toMatchObject({ status });
    const held = await sent(async () => {
      for (let n = 0; n < 20; n += 1) {
        expect(await errorOf(client().messages.create(ASK))).toMatchObject({ status });
        expect(await errorOf(client().messages.create({ ...ASK, stream: true }))).toMatchObject({ status });
      }
    });
    expect(held).toBe(0);
    // Another flag finds out by itself, so that it is told of; another account is none of this one's.
    expect(await sent(() => errorOf(client("other").messages.create(ASK)))).toBe(1);
    provider.script({ [OPUS]: answer() });
    expect(await sent(() => client(FLAG, "somebody else").messages.create(ASK))).toBe(1);
  });

  it("is probed by single calls, ever less often, and is back for every flag with the first answer", async () => {
    provider.script({ [OPUS]: fails(402, "billing_error") });
    await errorOf(client().messages.create(ASK));
    await errorOf(client("other").messages.create(ASK));
    const probes = await sent(async () => {
      for (let ms = 0; ms < 120_000; ms += 500) {
        vi.advanceTimersByTime(500);
        await Promise.all([1, 2].map(() => errorOf(client().messages.create(ASK))));
      }
    });
    expect(probes).toBeGreaterThanOrEqual(4);
    expect(probes).toBeLessThanOrEqual(6);

    provider.script({ [OPUS]: answer() });
    vi.advanceTimersByTime(30_000);
    await client().messages.create(ASK);
    expect(await sent(() => Promise.all([client(), client("other")].map((each) => each.messages.create(ASK))))).toBe(2);
  });

  it("believes the words of a 400 only when nothing is answered between them", async () => {
    for (let n = 0; n < 4; n += 1) {
      provider.script({ [OPUS]: words });
      await errorOf(client().messages.create(ASK));
      await errorOf(client().messages.create(ASK));
      provider.script({ [OPUS]: answer() });
      await client().messages.create(ASK);
    }
    provider.script({ [OPUS]: words });
    const calls = await sent(async () => {
      for (let n = 0; n < 10; n += 1) await errorOf(client().messages.create(ASK));
    });
    expect(calls).toBe(3);
    // It is no fault of the request: `andon.run` answers by its fallback.
    const run = andon.run(
      FLAG,
      {},
      async () => (await client().messages.create(ASK)).model,
      ({ because }) => because,
    );
    expect(await run).toBe("failed");
  });

  it("goes on with calls of a key that is not accepted: each is the provider's to refuse", async () => {
    provider.script({ [OPUS]: fails(401, "authentication_error") });
    const calls = await sent(async () => {
      for (let n = 0; n < 5; n += 1)
        expect(await errorOf(client().messages.create(ASK))).toMatchObject({ status: 401 });
    });
    expect(calls).toBe(5);
  });
});
