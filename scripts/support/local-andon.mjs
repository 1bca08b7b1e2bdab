// An Andon server of one flag for the examples: what it answers can be changed, and what it was told is kept.
import { createServer } from "node:http";

const [OPUS, SONNET] = ["claude-opus-5-5", "claude-sonnet-5-5"];

/** Starts it on a free port of 127.0.0.1. The chain has these model names. */
export async function startAndon() {
  let flag = { state: "on" };
  let prefix = "";
  let blocked = [];
  let revision = 1;
  const records = [];
  const server = createServer((request, response) => {
    serve(request, response).catch((error) => response.destroy(error));
  });

  async function serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method === "GET") {
      json(response, 200, snapshot(), { etag: `"examples.${revision}"` });
      return;
    }
    if (request.method !== "POST") return void response.writeHead(204).end();
    const batch = JSON.parse(Buffer.concat(chunks).toString());
    records.push(...batch.records);
    json(response, 200, { accepted: batch.records.length, rejected: [], revision: `examples.${revision}` });
  }

  function snapshot() {
    return {
      version: 1,
      environment: "examples",
      revision: `examples.${revision}`,
      committedAtMs: 0,
      master: { state: "on" },
      flags: { "support-chat": flagOf(flag) },
      chains: { default: { steps: [OPUS, SONNET].map((model) => ({ model: prefix + model })) } },
      blockedModels: blocked,
    };
  }

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Usage as it was reported. */
    records,
    get isOn() {
      return flag.state === "on";
    },
    /** `blockedModels`: by the names that Anthropic gives them, whatever a cloud calls them. */
    set({ state, modelPrefix = "", blockedModels = [] }) {
      flag = state === "on" ? { state } : { state, cause: "manual" };
      prefix = modelPrefix;
      blocked = blockedModels;
      revision += 1;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function json(response, status, value, headers = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}

function flagOf(changes) {
  return {
    level: 0,
    chain: "default",
    rollout: 100,
    ramp: null,
    salt: "salt",
    rules: [],
    offMode: "error",
    offMessage: null,
    abortInFlight: true,
    clampMaxTokens: false,
    chainOnly: false,
    ...changes,
  };
}
