/** One guarded call of the SDK, and what it costs, with a network that answers at once from memory. */
import Anthropic from "@anthropic-ai/sdk";
import type { Snapshot } from "andon-client";
import { flagOf, snapshotOf } from "../support/snapshot.ts";

const CALLS_PER_BATCH = 50;
/** About a page of text: a short conversation. */
const QUESTION = "What does the cord do, and who may pull it? ".repeat(90);
const MAX_TOKENS = 1024;
export const FLAG = "support-chat";

export const REQUEST: Anthropic.MessageCreateParamsNonStreaming = {
  model: "claude-opus-5-5",
  max_tokens: MAX_TOKENS,
  metadata: { user_id: "user-1" },
  messages: [{ role: "user", content: QUESTION }],
};

const ANSWER = JSON.stringify({
  id: "msg_bench",
  type: "message",
  role: "assistant",
  model: "claude-opus-5-5",
  content: [{ type: "text", text: "Everybody may." }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 1000, output_tokens: 4 },
});

/** Answers as the API would, from memory. */
const answering = (): Promise<Response> =>
  Promise.resolve(new Response(ANSWER, { headers: { "content-type": "application/json", "request-id": "req_bench" } }));

/** One flag, its chain at this level. */
export function snapshotAt(level: number): Snapshot {
  return snapshotOf({ [FLAG]: flagOf({ level }) }, ["claude-opus-5-5", "claude-sonnet-5-5"]);
}

/** How the clients under measurement are made. */
export const SETTINGS = { apiKey: "local", baseURL: "http://127.0.0.1", fetch: answering };

/** CPU microseconds per call: on a machine with other work, time on the clock is mostly theirs. */
export async function cpuUsPerCall(client: Anthropic): Promise<number> {
  const before = process.cpuUsage();
  for (let call = 0; call < CALLS_PER_BATCH; call += 1) {
    const message = await client.messages.create(REQUEST);
    if (message.stop_reason !== "end_turn") throw new Error("the stub's answer did not come back");
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CALLS_PER_BATCH;
}

/** The same for several clients, in rounds that alternate: the samples of each. */
export async function alternate(clients: readonly Anthropic[], warmUps: number, rounds: number): Promise<number[][]> {
  const samples: number[][] = clients.map(() => []);
  const there = Array.from(clients.entries());
  const back = there.toReversed();
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const [index, client] of round % 2 === 0 ? there : back) {
      const us = await cpuUsPerCall(client);
      if (round >= 0) samples[index]?.push(us);
    }
  }
  return samples;
}
