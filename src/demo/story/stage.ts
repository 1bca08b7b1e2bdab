/**
 * Everything the demo runs: the real server, local Claude endpoints, a receiver of alerts, three application processes. Invariant: `close`
 * leaves nothing behind, neither a process nor the temporary folder, however far the start came.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AlertReceiver, startAlertReceiver } from "./alert-receiver.ts";
import { LAST_WORDS } from "../fleet/app-report.ts";
import { Bill } from "./bill.ts";
import { type Behaviour, type ClaudeEndpoint, startClaudeEndpoint } from "../claude-endpoint/claude-endpoint.ts";
import { Fleet } from "../fleet/fleet.ts";
import { OperatorApi, tokenSchema } from "./operator-api.ts";
import { ServerProcess } from "./server-process.ts";

export const OPUS = "claude-opus-5-5";
export const SONNET = "claude-sonnet-5-5";
export const HAIKU = "claude-haiku-4-5";
export const ENVIRONMENT = "/v1/environments/production";
export const CHAT = "support-chat";
export const DIGEST = "nightly-digest";
/** The feature that will run away. It rests until it is told to work. */
export const AGENT = "research-agent";

const APPS = ["app-1", "app-2", "app-3"] as const;
const ANSWER = `${"One station calls for help, the line stops, and a board shows where. ".repeat(4)}${LAST_WORDS}`;

/** About 1.7 seconds per answer: long enough that calls are under way whenever the cord is pulled. */
export const ORDINARY: Behaviour = {
  kind: "answer",
  text: ANSWER,
  latencyMs: 150,
  tokenIntervalMs: 30,
};

/** What an agent's call looks like to who pays for it: a long prompt, most of it cached. */
const AGENT_ANSWER: Behaviour = {
  kind: "answer",
  text: `${"The agent found one more page to read and reads it. ".repeat(5)}${LAST_WORDS}`,
  usage: { input: 6_000, cacheWrite5m: 400, cacheRead: 40_000 },
  latencyMs: 400,
};

export interface Stage {
  readonly server: ServerProcess;
  readonly api: OperatorApi;
  readonly claude: ClaudeEndpoint;
  /** What the agent's own endpoint charges. */
  readonly bill: Bill;
  /** Where alerts go. */
  readonly alerts: AlertReceiver;
  readonly fleet: Fleet;
  close(): Promise<void>;
}

/** Starts all of it, telling `say` what has started. */
export async function setTheStage(say: (text: string) => void): Promise<Stage> {
  const opened: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let end = opened.pop(); end !== undefined; end = opened.pop()) await end();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), "andon-demo-"));
    opened.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
    const claude = await startClaudeEndpoint();
    opened.push(() => claude.close());
    claude.behave("*", ORDINARY);
    const bill = new Bill();
    const agentClaude = await startClaudeEndpoint({ onCall: (call) => bill.note(call) });
    opened.push(() => agentClaude.close());
    agentClaude.behave("*", AGENT_ANSWER);
    const alerts = await startAlertReceiver();
    opened.push(() => alerts.close());
    const server = await ServerProcess.on(join(folder, "data"));
    opened.push(() => server.stop());
    const startMs = await server.start();
    say(`The Andon server runs on ${server.url}, with its embedded database (${Math.round(startMs)} ms).`);
    const api = new OperatorApi(server.url, server.adminToken);
    const token = await setUp(api);
    say(`Flags are set up through the API: ${CHAT} and ${AGENT} (Opus → Sonnet → Haiku), ${DIGEST} (Haiku).`);
    const fleet = await Fleet.start(APPS, {
      ANDON_URL: server.url,
      ANDON_TOKEN: token,
      DEMO_CLAUDE_URL: claude.url,
      DEMO_AGENT_CLAUDE_URL: agentClaude.url,
    });
    opened.push(() => fleet.stop());
    say(`${fleet.size} application processes run: @anthropic-ai/sdk, guarded by one line each.`);
    return { server, api, claude, bill, alerts, fleet, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The chains and flags of the story; the applications' token. */
async function setUp(api: OperatorApi): Promise<string> {
  const steps = [OPUS, SONNET, HAIKU].map((model) => ({ model }));
  await api.change("PUT", `${ENVIRONMENT}/chains/best-first`, { steps });
  await api.change("PUT", `${ENVIRONMENT}/chains/haiku-only`, { steps: [{ model: HAIKU }] });
  await api.change("POST", `${ENVIRONMENT}/flags`, {
    key: CHAT,
    name: "Support chat",
    owner: "support-team",
    chain: "best-first",
    offMessage: "The assistant takes a break. Please write to support.",
    abortInFlight: true,
  });
  await api.change("POST", `${ENVIRONMENT}/flags`, {
    key: DIGEST,
    name: "Nightly digest",
    owner: "data-team",
    chain: "haiku-only",
    abortInFlight: true,
  });
  await api.change("POST", `${ENVIRONMENT}/flags`, {
    key: AGENT,
    name: "Research agent",
    owner: "research-team",
    chain: "best-first",
  });
  const body = { kind: "sdk", name: "demo applications", environments: ["production"] };
  return (await api.call("POST", "/v1/tokens", body, tokenSchema)).secret;
}
