/**
 * A receiver of alerts on this machine, as on-call's own would be: it verifies every signature by Standard Webhooks and
 * keeps what it was sent, in the order it came. Invariant: what cannot be verified is refused and counted as forged.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { Webhook } from "standardwebhooks";
import { z } from "zod";

const MAX_BODY_BYTES = 65_536;
/** More than this many alerts at once is a flood, and is a failure of whoever sends them. */
const MAX_ALERTS_KEPT = 10_000;

const alertSchema = z.object({
  /** The same on every delivery of one alert. */
  id: z.string(),
  type: z.string(),
  title: z.string(),
  text: z.string(),
  budget: z.object({ name: z.string() }).optional(),
  step: z.object({ atPercent: z.number(), action: z.string() }).optional(),
});
export type ReceivedAlert = z.infer<typeof alertSchema>;

export interface AlertReceiver {
  readonly url: string;
  /** Every verified delivery, repeats included. */
  readonly deliveries: readonly ReceivedAlert[];
  /** Requests that were not signed with the secret, or were no alert. */
  readonly forged: number;
  /** The channel's signing secret (`whsec_…`), which exists only after the channel was made for this URL. */
  trust(secret: string): void;
  close(): Promise<void>;
}

/** Starts it on a free port of the loopback. */
export async function startAlertReceiver(): Promise<AlertReceiver> {
  const deliveries: ReceivedAlert[] = [];
  let webhook: Webhook | null = null;
  let forged = 0;
  const take = async (request: IncomingMessage): Promise<number> => {
    try {
      const body = await readText(request);
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      if (webhook === null || deliveries.length >= MAX_ALERTS_KEPT) throw new Error("no alert is expected");
      deliveries.push(alertSchema.parse(webhook.verify(body, headers)));
      return 204;
    } catch {
      // Whatever is wrong with it, it is not taken; the count says so to whoever makes a claim.
      forged += 1;
      return 400;
    }
  };
  const server = createServer((request, response) => {
    void take(request).then((status) => response.writeHead(status).end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the receiver of alerts has no TCP port");
  return {
    url: `http://127.0.0.1:${address.port}/andon`,
    deliveries,
    get forged() {
      return forged;
    },
    trust(secret) {
      webhook = new Webhook(secret);
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const part = Buffer.from(chunk);
    bytes += part.byteLength;
    if (bytes > MAX_BODY_BYTES) throw new Error("an alert is smaller than this");
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString("utf8");
}
