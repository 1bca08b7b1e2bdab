/** `report()`: valid records are completed and sent; anything else is named in the log, and nothing is ever thrown. */
import { expect, onTestFinished, test } from "vitest";
import { Andon, readUsage } from "../../sdk-client/src/index.ts";
import { snapshotOf } from "../support/guard-snapshots.ts";
import { UsageServer } from "../support/usage-server.ts";
import { Follower } from "./support/harness.ts";

const MINIMAL = { flag: "support-chat", model: "claude-opus-5-5", usage: { input: 3 } };

async function start(): Promise<{ andon: Andon; server: UsageServer; follower: Follower }> {
  const server = new UsageServer(snapshotOf());
  const url = await server.listen();
  const follower = new Follower();
  const andon = new Andon({ url, token: "andon_sdk_test", logger: follower.logger }, { env: {} });
  onTestFinished(async () => {
    await andon.close();
    await server.close();
  });
  return { andon, server, follower };
}

test("what is left out gets its default", async () => {
  const { andon, server } = await start();
  const beforeMs = Date.now();
  andon.report(MINIMAL);
  await andon.close();
  expect(server.records).toEqual([
    {
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      at: expect.any(Number),
      flag: "support-chat",
      model: "claude-opus-5-5",
      requestedModel: "claude-opus-5-5",
      outcome: "ok",
      exact: true,
      usage: { input: 3, output: 0, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0, webSearches: 0 },
      attempt: 1,
      latencyMs: 0,
    },
  ]);
  expect(server.records[0]?.at).toBeGreaterThanOrEqual(beforeMs);
});

test("what is given stands, and fields that no record has are not sent", async () => {
  const { andon, server } = await start();
  const given = {
    ...MINIMAL,
    id: "result-1",
    at: 1_790_000_000_000,
    batch: true,
    user: "u-1",
    outcome: "refused",
  } as const;
  andon.report(Object.assign({ prompt: "a secret" }, given));
  await andon.close();
  expect(server.records[0]).toMatchObject({ id: "result-1", at: 1_790_000_000_000, batch: true, outcome: "refused" });
  expect(server.reports[0]?.text).not.toContain("secret");
});

test("the usage of a batch's result can be read and reported", async () => {
  const { andon, server } = await start();
  const message = { model: "claude-opus-5-5", usage: { input_tokens: 5, output_tokens: 2, service_tier: "batch" } };
  for (const part of readUsage(message.usage, { answered: message.model, requested: message.model })) {
    andon.report({ flag: "support-chat", model: part.model, usage: part.usage, batch: part.batch, exact: part.exact });
  }
  await andon.close();
  expect(server.records).toMatchObject([{ usage: { input: 5, output: 2 }, batch: true, exact: true }]);
});

test.each<[string, unknown, string]>([
  ["nothing", undefined, "the record"],
  ["a text", "usage", "the record"],
  ["no flag", { ...MINIMAL, flag: "" }, "flag"],
  ["no model", { ...MINIMAL, model: 5 }, "model"],
  ["no usage", { ...MINIMAL, usage: null }, "usage"],
  ["negative tokens", { ...MINIMAL, usage: { input: -1 } }, "input"],
  ["tokens that are no number", { ...MINIMAL, usage: { output: "5" } }, "output"],
  ["an endless count", { ...MINIMAL, usage: { cacheRead: Infinity } }, "cacheRead"],
  ["an outcome there is not", { ...MINIMAL, outcome: "fine" }, "outcome"],
  ["a time that is none", { ...MINIMAL, at: Number.NaN }, "at"],
  ["a flag of another type", { ...MINIMAL, batch: "yes" }, "batch"],
  ["a user of another type", { ...MINIMAL, user: {} }, "user"],
  ["a hostile proxy", new Proxy(MINIMAL, { ownKeys: () => JSON.parse("{") }), "cannot be read"],
])("%s is named in the log and not sent", async (_what, record, named) => {
  const { andon, follower } = await start();
  expect(() => void Reflect.apply(Reflect.get(andon, "report"), andon, [record])).not.toThrow();
  expect(andon.usageStats().waiting).toBe(0);
  const [line] = follower.lines.filter(({ level }) => level === "error");
  expect(JSON.stringify(line?.fields)).toContain(named);
});
