/** The results of a message batch, read through a guarded client: counted at the batch price, each under one id. */
import Anthropic from "@anthropic-ai/sdk";
import { expect, it } from "vitest";
import { FLAG, flagOf, HAIKU, OPUS } from "../support/guard-snapshots.ts";
import { startUsageWorld } from "../support/usage-world.ts";

const BATCH = "msgbatch_01";
const usage = { input_tokens: 100, output_tokens: 50, service_tier: "batch" };
const message = { id: "msg_1", type: "message", role: "assistant", model: OPUS, stop_reason: "end_turn", usage };

const succeeded = (custom_id: string, changes: object = {}) => ({
  custom_id,
  result: { type: "succeeded", message: { ...message, content: [{ type: "text", text: "ünï" }], ...changes } },
});
const RESULTS = [
  succeeded("plain"),
  succeeded("waived", {
    content: [],
    stop_reason: "refusal",
    stop_details: { category: "cyber" },
    usage: { ...usage, output_tokens: 1 },
  }),
  succeeded("advised", {
    usage: { ...usage, iterations: [{ type: "advisor_message", model: HAIKU, input_tokens: 7, output_tokens: 3 }] },
  }),
  { custom_id: "failed", result: { type: "errored", error: { type: "error" } } },
  { custom_id: "late", result: { type: "expired" } },
  succeeded("untold", { usage: undefined }),
];

/** Answers as the Batches API does, the results in pieces that break lines and characters. */
function batches(input: unknown): Promise<Response> {
  const url = input instanceof Request ? input.url : String(input);
  const batch = { id: BATCH, type: "message_batch", processing_status: "ended" };
  const results_url = `https://api.local/v1/messages/batches/${BATCH}/results`;
  if (!url.includes("/results")) return Promise.resolve(Response.json({ ...batch, results_url }));
  const bytes = new TextEncoder().encode(RESULTS.map((result) => JSON.stringify(result)).join("\n"));
  let from = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (from >= bytes.length) controller.close();
      else controller.enqueue(bytes.slice(from, from + 61));
      from += 61;
    },
  });
  return Promise.resolve(new Response(body, { headers: { "content-type": "application/x-jsonl" } }));
}

it("are counted as they are read, also while the flag is off, under the same ids whenever they are read again", async () => {
  const world = await startUsageWorld();
  const client = world.client(Anthropic, { fetch: batches });
  const read = async (): Promise<string[]> => {
    const ids: string[] = [];
    for await (const { custom_id } of await client.messages.batches.results(BATCH)) ids.push(custom_id);
    return ids;
  };
  expect(await read()).toEqual(RESULTS.map(({ custom_id }) => custom_id));
  await world.change({ flags: { [FLAG]: flagOf({ state: "off", cause: "manual" }) } });
  await read();
  const records = await world.finish();
  const told = records.map(({ id, part, model, exact, usage: used }) => [
    id,
    part,
    model,
    exact,
    used.input,
    used.output,
  ]);
  const once = [
    [`${BATCH}:plain:0`, undefined, OPUS, true, 100, 50],
    [`${BATCH}:waived:0`, undefined, OPUS, true, 0, 0],
    [`${BATCH}:advised:0`, undefined, OPUS, true, 100, 50],
    [`${BATCH}:advised:1`, "advisor", HAIKU, true, 7, 3],
    [`${BATCH}:untold:0`, undefined, OPUS, false, 1_000_000, expect.any(Number)],
  ];
  expect(told).toEqual([...once, ...once]);
  for (const record of records) expect(record).toMatchObject({ flag: FLAG, batch: true, once: true, attempt: 1 });
});

it("a reader who stops in between has what was read counted, and the rest not", async () => {
  const world = await startUsageWorld();
  const client = world.client(Anthropic, { fetch: batches });
  for await (const { custom_id } of await client.messages.batches.results(BATCH)) if (custom_id === "waived") break;
  const ids = (await world.finish()).map(({ id }) => id);
  expect(ids.slice(0, 2)).toEqual([`${BATCH}:plain:0`, `${BATCH}:waived:0`]);
  expect(ids).not.toContain(`${BATCH}:untold:0`);
});
