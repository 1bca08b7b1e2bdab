/** A task's budget at the provider, set from what is left of its session's: through the real SDK, at a local endpoint. */
import Anthropic from "@anthropic-ai/sdk";
import { expect, it, onTestFinished } from "vitest";
import { FLAG, flagOf, OPUS } from "../support/guard-snapshots.ts";
import { SDKS, startWorld } from "../support/guard-world.ts";

const tools = [{ name: "look", input_schema: { type: "object" as const } }];
const ASK = { model: OPUS, max_tokens: 64, messages: [{ role: "user" as const, content: "Look." }], tools };
const NANO = 1e9;

const told = (total: number) => [{ task_budget: { type: "tokens", total } }, ["task-budgets-2026-03-13"]];

it.each(SDKS)(
  "$name: is set for agents that ask for it, halves as their session spends, and is never below the least",
  async ({ Sdk }) => {
    const world = await startWorld(
      {},
      {
        subjectBudgets: [
          { id: "each", name: "Each session", session: "each", limitNanoUsd: 2 * NANO, period: "day" },
          { id: "others", name: "Others", session: "each", flags: ["other"], limitNanoUsd: 1, period: "day" },
          { id: "users", name: "Users", user: "each", limitNanoUsd: 1, period: "day" },
        ],
      },
    );
    onTestFinished(() => world.close());
    const agent = world.client(Sdk, { taskBudget: true });
    const asked = async (client: Anthropic, session: string | null, changes: object = {}): Promise<unknown> => {
      const headers = session === null ? {} : { "andon-session": session, "andon-user": "u" };
      await client.beta.messages.create({ ...ASK, betas: ["some-other-beta"], ...changes }, { headers });
      const call = world.endpoint.calls.at(-1);
      const beta = call?.headers["anthropic-beta"]?.split(",").filter((each) => each.startsWith("task-budgets"));
      return [call?.body["output_config"], beta];
    };
    // 2 USD are 100,000 tokens of output at 20 USD a million: the doubling of 20,000 below.
    world.endpoint.behaveNext(OPUS, { kind: "answer", usage: { input: 250_000 } });
    expect(await asked(agent, "s-1")).toEqual(told(80_000));
    expect(await asked(agent, "s-1")).toEqual(told(40_000));
    expect(await asked(agent, "s-2", { output_config: { effort: "low" } })).toEqual([
      { effort: "low", task_budget: { type: "tokens", total: 80_000 } },
      ["task-budgets-2026-03-13"],
    ]);
    world.endpoint.behaveNext(OPUS, { kind: "answer", usage: { input: 450_000 } });
    await asked(agent, "s-1");
    expect(await asked(agent, "s-1")).toEqual(told(20_000));
    const untold = [undefined, []];
    expect(await asked(agent, null)).toEqual(untold);
    expect(await asked(agent, "s-3", { tools: [] })).toEqual(untold);
    expect(await asked(agent, "s-3", { model: "claude-haiku-4-5" })).toEqual(untold);
    expect(await asked(world.client(Sdk), "s-3")).toEqual(untold);
    const own = { task_budget: { type: "tokens", total: 30_000 } };
    expect(await asked(agent, "s-3", { output_config: own })).toEqual([own, []]);
    await agent.messages.create(ASK, { headers: { "andon-session": "s-3" } });
    expect(world.endpoint.calls.at(-1)?.body["output_config"]).toEqual({
      task_budget: { type: "tokens", total: 80_000 },
    });
    await world.change({ flags: { [FLAG]: flagOf({ level: 1 }) } });
    // A step down to a model that takes it as well has it in the body that is sent.
    expect(await asked(agent, "s-4")).toMatchObject([{ task_budget: { type: "tokens" } }, ["task-budgets-2026-03-13"]]);
  },
);
