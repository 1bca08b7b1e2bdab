/** The load of `poll.304`: many instances that poll a known revision as fast as they are answered. Its own process. */
import autocannon from "autocannon";
import { z } from "zod";
import { send, task } from "../support/worker.ts";

const CONNECTIONS = 50;
/** Each connection speaks for these in turn, so that the server tracks many instances. */
const INSTANCES = 200;

const { url, path, etag, token, seconds } = task(
  z.object({ url: z.string(), path: z.string(), etag: z.string(), token: z.string(), seconds: z.number() }),
);

const result = await autocannon({
  url,
  connections: CONNECTIONS,
  duration: seconds,
  requests: Array.from({ length: INSTANCES }, (_, index) => ({
    method: "GET",
    path,
    headers: {
      Authorization: `Bearer ${token}`,
      "If-None-Match": etag,
      "Andon-Instance": `instance-${index}`,
      "Andon-App": "bench",
      "Andon-SDK": "andon-client/0",
    },
  })),
});
const others = Object.entries(result.statusCodeStats).filter(([status]) => status !== "304");
send({
  perSecond: result.requests.total / result.duration,
  faults: result.errors + result.timeouts + others.reduce((sum, [, { count }]) => sum + count, 0),
});
