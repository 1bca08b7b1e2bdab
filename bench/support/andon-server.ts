/** A real Andon server with the state of a middling team: twenty flags, three chains, some rules. Its own process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OperatorApi, tokenSchema } from "../../src/demo/story/operator-api.ts";
import { ServerProcess } from "../../src/demo/story/server-process.ts";

export const FLAGS = 20;
const CHAINS = ["chat", "search", "batch"] as const;
const MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"] as const;

export const ENVIRONMENT_PATH = "/v1/environments/production";
export const KILLED_FLAG = "feature-0";

export interface AndonServer {
  readonly url: string;
  readonly adminToken: string;
  readonly sdkToken: string;
  readonly pid: number;
  readonly api: OperatorApi;
  close(): Promise<void>;
}

/** Starts it, on the embedded database unless `env` names another. */
export async function startAndonServer(
  env: Readonly<Record<string, string>> = {},
  { flags = FLAGS }: { flags?: number } = {},
): Promise<AndonServer> {
  const folder = await mkdtemp(join(tmpdir(), "andon-bench-"));
  const server = await ServerProcess.on(join(folder, "data"), env);
  const close = async (): Promise<void> => {
    await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await server.start();
    const api = new OperatorApi(server.url, server.adminToken);
    await fill(api, flags);
    const body = { kind: "sdk", name: "bench", environments: ["production"] };
    const { secret } = await api.call("POST", "/v1/tokens", body, tokenSchema);
    const { url, adminToken, pid } = server;
    if (pid === null) throw new Error("the server has no process id");
    return { url, adminToken, sdkToken: secret, pid, api, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function fill(api: OperatorApi, flags: number): Promise<void> {
  for (const chain of CHAINS) {
    await api.change("PUT", `${ENVIRONMENT_PATH}/chains/${chain}`, { steps: MODELS.map((model) => ({ model })) });
  }
  for (let index = 0; index < flags; index += 1) {
    await api.change("POST", `${ENVIRONMENT_PATH}/flags`, {
      key: `feature-${index}`,
      name: `Feature ${index}`,
      owner: "a team",
      chain: CHAINS[index % CHAINS.length],
      offMessage: "This assistant is having a break. Please write to support instead.",
      rollout: index % 4 === 0 ? 50 : 100,
      rules:
        index % 2 === 0
          ? [{ when: [{ attribute: "plan", operator: "in", value: ["free", "trial"] }], then: "off" }]
          : [],
    });
  }
}
