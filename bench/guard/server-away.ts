/**
 * `guard.overhead_server_away`: CPU microseconds that the guard adds to one call while the Andon server is away, beside the
 * same while it is there. Polls and reports go on meanwhile, in this process as they would in an application's.
 */
import Anthropic from "@anthropic-ai/sdk";
import { Andon } from "andon-client";
import { guard } from "andon-client/anthropic";
import { createServer, type Server } from "node:http";
import { by, type Effort } from "../support/effort.ts";
import type { Figure } from "../support/figure.ts";
import { listen } from "../support/listen.ts";
import { SILENT } from "../support/silent-logger.ts";
import { median } from "../support/statistics.ts";
import { alternate, FLAG, SETTINGS, snapshotAt } from "./world.ts";

export async function benchServerAway(effort: Effort): Promise<Figure> {
  const [leaving, staying] = [andonServer(), andonServer()];
  const urls = [await listen(leaving), await listen(staying)];
  const hosts = urls.map((url) => new Andon({ url, token: "andon_sdk_bench", logger: SILENT }));
  try {
    for (const host of hosts) {
      if ((await host.ready({ timeoutMs: 5_000 })) !== "live") throw new Error("the server was not reached");
    }
    await away(leaving);
    const clients = [
      new Anthropic(SETTINGS),
      ...hosts.map((host) => new Anthropic({ ...SETTINGS, middleware: [guard(host, { flag: FLAG })] })),
    ];
    const samples = await alternate(clients, by(effort, 60, 1), by(effort, 400, 2));
    const [bare = NaN, gone = NaN, there = NaN] = samples.map((each) => median(each));
    const kept = hosts[0]?.usageStats().waiting ?? 0;
    return {
      name: "guard.overhead_server_away",
      unit: "µs",
      ours: gone - bare,
      peers: { "server there": there - bare },
      note: `CPU time per call over ${bare.toFixed(0)} µs of the bare SDK; ${kept} records and sums wait for the server that is away`,
    };
  } finally {
    await away(staying);
    for (const host of hosts) await host.close();
  }
}

/** As much of an Andon server as a client asks for: a snapshot, polls that are parked, reports that are acknowledged. */
function andonServer(): Server {
  const body = JSON.stringify(snapshotAt(0));
  return createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.method === "GET") {
      if (request.headers["if-none-match"] === undefined) response.end(body);
      return;
    }
    request
      .resume()
      .once("end", () => response.end(`{"accepted":0,"duplicate":false,"rejected":[],"revision":"bench.1"}`));
  });
}

/** Closed already is as well. */
async function away(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
