/**
 * One generation of the crowd's fleet: real clients in a process of their own, which report usage and tell when the last
 * of them has applied a revision. SIGTERM says goodbye for each of them, SIGKILL does not.
 */
import { randomInt } from "node:crypto";
import { Andon } from "../../sdk-client/src/index.ts";
import { wallMs } from "../../src/demo/story/wait.ts";
import { SILENT } from "../support/silent-logger.ts";
import { send, task } from "../support/worker.ts";
import { type Applied, fleetTaskSchema } from "./fleet-protocol.ts";
import { REPORT_EVERY_MS } from "./crowd-shape.ts";
import { MODEL } from "./traffic.ts";

const MAX_TOKENS = 500;
const MAX_LATENCY_MS = 2_000;

const given = task(fleetTaskSchema);
const revisions: (string | null)[] = Array.from({ length: given.clients }, () => null);
const clients = revisions.map((_, n) => startClient(n));

const timer = setInterval(report, REPORT_EVERY_MS);
process.once("SIGTERM", () => {
  clearInterval(timer);
  void Promise.all(clients.map((client) => client.close())).then(() => process.exit(0));
});

function startClient(n: number): Andon {
  const { url, token, generation } = given;
  const client = new Andon({ url, token, instance: `pod-${generation}-${n}`, app: "crowd", logger: SILENT });
  client.on("change", ({ revision }) => {
    revisions[n] = revision;
    if (revisions.every((other) => other === revision)) send({ revision, atMs: wallMs() } satisfies Applied);
  });
  return client;
}

/** One call of one client, as a guard would report it. */
function report(): void {
  const client = clients[randomInt(clients.length)];
  const flag = given.flags[randomInt(given.flags.length)];
  if (client === undefined || flag === undefined || !client.isEnabled(flag)) return;
  const usage = { input: randomInt(MAX_TOKENS), output: randomInt(MAX_TOKENS) };
  client.report({ flag, model: MODEL, usage, latencyMs: randomInt(1, MAX_LATENCY_MS) });
}
