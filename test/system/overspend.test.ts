/** A burst has no burn yet: sixty callers who begin at once may not cost more than the bound that their budget shows. */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Andon } from "../../sdk-client/src/andon.ts";
import { guard, isFeatureDisabled } from "../../sdk-client/src/anthropic.ts";
import { type ClaudeEndpoint, startClaudeEndpoint } from "../../src/demo/claude-endpoint/claude-endpoint.ts";
import { noonZone } from "../../src/demo/story/noon-zone.ts";
import { createBudget } from "../../src/services/budgets/budgets.ts";
import { listBudgets } from "../../src/services/budgets/view.ts";
import { createFlag } from "../../src/services/flags/flags.ts";
import { FLAG, OPUS } from "../support/guard-snapshots.ts";
import { SILENT } from "../support/guard-world.ts";
import { adminCtx, makeToken, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { dailyBudget } from "../support/usage.ts";

const CALLERS = 60;
const OUTPUT_TOKENS = 10_000;
const CALL_NANO_USD = OUTPUT_TOKENS * 20_000;

let server: TestServer;
let endpoint: ClaudeEndpoint;
beforeAll(async () => {
  [server, endpoint] = await Promise.all([startTestServer(), startClaudeEndpoint()]);
}, 60_000);
afterAll(() => Promise.all([server.close(), endpoint.close()]));

it("a burst of sixty callers on a budget of 1 USD costs no more than the bound shown at the trip", async () => {
  const ctx = adminCtx(server.deps);
  await createFlag(ctx, "production", { key: FLAG, name: "Support chat" });
  const ladder = [{ atPercent: 100, action: "kill" as const }];
  const timezone = noonZone(server.deps.clock.nowMs());
  await createBudget(ctx, "production", dailyBudget({ limitUsd: 1, timezone, ladder }));
  const shown = async () => {
    const [budget] = (await listBudgets(ctx, "production")).items;
    if (budget === undefined) throw new Error("no budget");
    return budget.now;
  };
  const token = await makeToken(server.deps, { kind: "sdk" });
  const andon = new Andon({ url: server.url, token, logger: SILENT }, { env: {} });
  await andon.ready();
  endpoint.behave("*", { kind: "answer", text: "word ".repeat(OUTPUT_TOKENS).trim(), latencyMs: 300 });
  const claude = new Anthropic({ apiKey: "test", baseURL: endpoint.url, middleware: [guard(andon, { flag: FLAG })] });
  const body = { model: OPUS, max_tokens: OUTPUT_TOKENS, messages: [{ role: "user" as const, content: "x" }] };
  const askUntilRefused = async (): Promise<unknown> => {
    for (;;) {
      try {
        await claude.messages.create(body);
      } catch (error) {
        return error;
      }
    }
  };
  const refused = await Promise.all(Array.from({ length: CALLERS }, askUntilRefused));
  expect(refused.every(isFeatureDisabled)).toBe(true);
  await andon.close();
  const billNanoUsd = endpoint.calls.length * CALL_NANO_USD;
  const { bound } = await until("all to be counted", async () => {
    const now = await shown();
    return Number(now.spentNanoUsd) >= billNanoUsd ? now : null;
  });
  expect(bound.kind).toBe("atTrip");
  // A machine too busy to answer within 300 ms has calls begin alone, and then must say so.
  expect(bound.notReporting > 0 || billNanoUsd <= (bound.nanoUsd ?? 0)).toBe(true);
}, 60_000);
