/**
 * `poll.304`: polls per second that find nothing new, which is what a server does all day. The real server beside a bare
 * hono handler and bare `node:http`, each in its own process, loaded in turn by the same generator in a fourth.
 */
import { z } from "zod";
import { SNAPSHOT_PATH } from "../../sdk-client/src/wire/protocol.ts";
import type { Child } from "../../src/demo/fleet/child.ts";
import { type AndonServer, startAndonServer } from "../support/andon-server.ts";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { median } from "../support/statistics.ts";
import { nextMessage, startWorker } from "../support/worker.ts";

const START_TIMEOUT_MS = 10_000;
const LOAD_GRACE_MS = 15_000;

const urlSchema = z.object({ url: z.string() });
const loadSchema = z.object({ perSecond: z.number(), faults: z.number() });

export async function benchPoll(effort: Effort): Promise<Figure> {
  const andon = await startAndonServer();
  const workers: Child[] = [];
  try {
    const etag = await etagOf(andon);
    const bare = async (kind: "node" | "hono"): Promise<string> => {
      const worker = startWorker("bench/poll/server.js", { kind, path: SNAPSHOT_PATH, etag });
      workers.push(worker);
      return (await nextMessage(worker, urlSchema, START_TIMEOUT_MS)).url;
    };
    const contenders = [
      { name: "andon", url: andon.url, perSecond: [] as number[] },
      { name: "hono", url: await bare("hono"), perSecond: [] as number[] },
      { name: "node", url: await bare("node"), perSecond: [] as number[] },
    ] as const;
    const seconds = by(effort, 4, 0.3);
    const rounds = by(effort, 5, 1);
    // The first round warms everything up and does not count, unless the run is quick and nothing does.
    for (let round = effort.isQuick ? 1 : 0; round <= rounds; round += 1) {
      for (const { name, url, perSecond } of contenders) {
        const rate = await load({ url, path: SNAPSHOT_PATH, etag, token: andon.sdkToken, seconds });
        effort.say(`  round ${round} ${name} ${Math.round(rate)}/s`);
        if (round > 0) perSecond.push(rate);
      }
    }
    const [ours, hono, node] = contenders;
    return {
      name: "poll.304",
      unit: "requests/s",
      ours: median(ours.perSecond),
      floor: median(node.perSecond),
      peers: { hono: median(hono.perSecond) },
      note: `${percent(median(ours.perSecond) / median(hono.perSecond))} of the bare hono handler; median of ${rounds} alternating rounds of ${seconds} s`,
    };
  } finally {
    for (const worker of workers) await worker.stop("SIGKILL");
    await andon.close();
  }
}

async function etagOf(andon: AndonServer): Promise<string> {
  const response = await fetch(`${andon.url}${SNAPSHOT_PATH}`, {
    headers: { Authorization: `Bearer ${andon.sdkToken}`, "Andon-Instance": "bench" },
  });
  await response.arrayBuffer();
  const etag = response.headers.get("ETag");
  if (!response.ok || etag === null) throw new Error(`the server answered a first poll with ${response.status}`);
  return etag;
}

/** Requests per second; throws when a single one was answered by anything but 304. */
async function load(given: {
  url: string;
  path: string;
  etag: string;
  token: string;
  seconds: number;
}): Promise<number> {
  const worker = startWorker("bench/poll/load.js", given);
  try {
    const { perSecond, faults } = await nextMessage(worker, loadSchema, given.seconds * 1000 + LOAD_GRACE_MS);
    if (faults > 0) throw new Error(`${faults} polls of ${given.url} were not answered by 304`);
    return perSecond;
  } finally {
    await worker.stop("SIGKILL");
  }
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
