/**
 * `guard.overhead`: microseconds that the guard adds to one call of the SDK. The network is a stub that answers at once,
 * so that the difference is the guard and nothing else; guarded and bare calls alternate in short batches.
 */
import Anthropic from "@anthropic-ai/sdk";
import { Andon, type Snapshot } from "andon-client";
import { guard } from "andon-client/anthropic";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { SILENT } from "../support/silent-logger.ts";
import { median } from "../support/statistics.ts";

const CALLS_PER_BATCH = 50;
const US_PER_MS = 1000;
/** About a page of text: a short conversation. */
const QUESTION = "What does the cord do, and who may pull it? ".repeat(90);
const MAX_TOKENS = 1024;
const FLAG = "support-chat";

const REQUEST: Anthropic.MessageCreateParamsNonStreaming = {
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
const stubFetch = (): Promise<Response> =>
  Promise.resolve(new Response(ANSWER, { headers: { "content-type": "application/json", "request-id": "req_bench" } }));

function snapshot(level: number): Snapshot {
  return {
    version: 1,
    environment: "bench",
    revision: "bench.1",
    committedAtMs: 0,
    master: { state: "on" },
    flags: {
      [FLAG]: {
        state: "on",
        level,
        chain: "answers",
        rollout: 100,
        ramp: null,
        salt: "salt",
        rules: [],
        offMode: "error",
        offMessage: null,
        abortInFlight: true,
        clampMaxTokens: false,
        chainOnly: false,
      },
    },
    chains: { answers: { steps: [{ model: "claude-opus-5-5" }, { model: "claude-sonnet-5-5" }] } },
    blockedModels: [],
  };
}

export async function benchGuardOverhead(effort: Effort): Promise<Figure> {
  const settings = { apiKey: "local", baseURL: "http://127.0.0.1", fetch: stubFetch };
  const hosts = [0, 1].map((level) => new Andon({ bootstrap: snapshot(level), logger: SILENT }));
  const clients = [
    new Anthropic(settings),
    ...hosts.map((host) => new Anthropic({ ...settings, middleware: [guard(host, { flag: FLAG })] })),
    new Anthropic({ ...settings, middleware: [(request, next) => next(request)] }),
  ];
  try {
    for (const host of hosts) await host.ready({ timeoutMs: 1000 });
    const warmUps = by(effort, 60, 1);
    const rounds = by(effort, 400, 2);
    const samples: number[][] = clients.map(() => []);
    for (let round = -warmUps; round < rounds; round += 1) {
      for (const [index, client] of clients.entries()) {
        const us = await batch(client);
        if (round >= 0) samples[index]?.push(us);
      }
    }
    const [bare = NaN, guarded = NaN, downgraded = NaN, middleware = NaN] = samples.map((each) => median(each));
    return {
      name: "guard.overhead",
      unit: "µs",
      ours: guarded - bare,
      floor: middleware - bare,
      note: `per call over ${bare.toFixed(0)} µs of the bare SDK, on Opus; floor: middleware that does nothing; ${(downgraded - bare).toFixed(1)} µs when downgraded, which re-encodes the body of ${JSON.stringify(REQUEST).length} bytes`,
    };
  } finally {
    for (const host of hosts) await host.close();
  }
}

/** Microseconds per call. */
async function batch(client: Anthropic): Promise<number> {
  const startedMs = performance.now();
  for (let call = 0; call < CALLS_PER_BATCH; call += 1) {
    const message = await client.messages.create(REQUEST);
    if (message.stop_reason !== "end_turn") throw new Error("the stub's answer did not come back");
  }
  return ((performance.now() - startedMs) * US_PER_MS) / CALLS_PER_BATCH;
}
