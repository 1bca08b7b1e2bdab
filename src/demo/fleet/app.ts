/**
 * One application process of the demo: what a user of Andon writes, with the packages a user installs. Two features call
 * Claude all the time and a third, the agent, when it is told to; each is behind its own flag. Every call's end is told
 * to the parent.
 */
import { setTimeout as sleep } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";
import { Andon } from "andon-client";
import { findFeatureDisabled, guard, guardStats } from "andon-client/anthropic";
import { appOrderSchema, type AppReport, type CallReport, LAST_WORDS } from "./app-report.ts";
import { wallMs } from "../story/wait.ts";

const STREAMS = 4;
const CREATES = 4;
const DIGESTS = 1;
/** After a refusal: an application would show its off message and wait for the next user. */
const PAUSE_MS = 100;
const MAX_TOKENS = 256;

const andon = new Andon({ app: "demo", instance: required("DEMO_APP") });
const settings = { apiKey: "local", baseURL: required("DEMO_CLAUDE_URL") };
const chat = new Anthropic({ ...settings, middleware: [guard(andon, { flag: "support-chat" })] });
const digest = new Anthropic({ ...settings, middleware: [guard(andon, { flag: "nightly-digest" })] });
const agentClaude = { ...settings, baseURL: required("DEMO_AGENT_CLAUDE_URL") };
const agent = new Anthropic({ ...agentClaude, middleware: [guard(andon, { flag: "research-agent" })] });

/** Sends what the whole answer was made by; throws what the SDK throws. */
type Call = () => Promise<Anthropic.Message>;

const question = (model: string): Anthropic.MessageCreateParamsNonStreaming => ({
  model,
  max_tokens: MAX_TOKENS,
  metadata: { user_id: "user-1" },
  messages: [{ role: "user", content: "How does the cord work?" }],
});

const streamChat: Call = () => chat.messages.stream(question("claude-opus-5-5")).finalMessage();
const createChat: Call = () => chat.messages.create(question("claude-opus-5-5"));
const createDigest: Call = () => digest.messages.create(question("claude-haiku-4-5"));
const streamAgent: Call = () => agent.messages.stream(question("claude-opus-5-5")).finalMessage();
const createAgent: Call = () => agent.messages.create(question("claude-opus-5-5"));

andon.on("change", ({ revision }) => {
  const atMs = wallMs();
  const aborted = Object.values(guardStats(andon).aborted).reduce((sum, count) => sum + count, 0);
  tell({ type: "applied", revision, atMs, aborted });
});
await andon.ready({ timeoutMs: 5000 });
const agents = { wanted: 0, atWork: 0 };
process.on("message", (message) => {
  agents.wanted = appOrderSchema.parse(message).agents;
  while (agents.atWork < agents.wanted) void workAsAgent();
});
tell({ type: "ready" });

await Promise.all([
  ...Array.from({ length: STREAMS }, () => forever("support-chat", "stream", streamChat)),
  ...Array.from({ length: CREATES }, () => forever("support-chat", "create", createChat)),
  ...Array.from({ length: DIGESTS }, () => forever("nightly-digest", "create", createDigest)),
]);

async function forever(flag: string, shape: CallReport["shape"], call: Call): Promise<never> {
  for (;;) await once(flag, shape, call);
}

/** One more agent, which goes on as long as it is wanted. */
async function workAsAgent(): Promise<void> {
  agents.atWork += 1;
  while (agents.atWork <= agents.wanted) {
    await once("research-agent", "stream", streamAgent);
    await once("research-agent", "create", createAgent);
  }
  agents.atWork -= 1;
}

async function once(flag: string, shape: CallReport["shape"], call: Call): Promise<void> {
  const startedAtMs = wallMs();
  const end = await settle(call);
  tell({ type: "call", flag, shape, ...end, startedAtMs, endedAtMs: wallMs() });
  if (end.outcome !== "answered") await sleep(PAUSE_MS);
}

async function settle(call: Call): Promise<Pick<CallReport, "outcome" | "model" | "detail">> {
  try {
    const message = await call();
    const last = message.content.at(-1);
    const isWhole = message.stop_reason === "end_turn" && last?.type === "text" && last.text.endsWith(LAST_WORDS);
    return { outcome: isWhole ? "answered" : "cut", model: message.model, detail: message.stop_reason };
  } catch (error) {
    const off = findFeatureDisabled(error);
    if (off !== null) return { outcome: "off", model: null, detail: off.reason };
    return { outcome: "failed", model: null, detail: error instanceof Error ? error.message : String(error) };
  }
}

function tell(report: AppReport): void {
  process.send?.(report);
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: the demo starts this process`);
  return value;
}
