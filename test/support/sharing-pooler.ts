/** A pooler in transaction mode, as small as one can be: all clients share one session of the database, in turn. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

const READY_FOR_QUERY = 0x5a;
/** AuthenticationOk, then ReadyForQuery (idle). */
const GREETING = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, READY_FOR_QUERY, 0, 0, 0, 5, 0x49]);

/** The URL of the database at `url` through the pooler. Close it. */
export async function startSharingPooler(url: string): Promise<{ url: string; close(): Promise<void> }> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let session: Socket | null = null;
  let served: Socket | null = null;
  const waiting: { client: Socket; bytes: Buffer }[] = [];

  const serveNext = () => {
    const next = served === null ? waiting.shift() : undefined;
    if (next === undefined) return;
    served = next.client;
    session?.write(next.bytes);
  };
  const open = (first: Socket) => {
    session = connect(Number(target.port), target.hostname);
    sockets.add(session);
    served = first;
    session.on("data", (bytes) => {
      served?.write(bytes);
      // Every answer ends so, in a message of six bytes; the tests' answers are small and come in one piece.
      if (bytes.at(-6) !== READY_FOR_QUERY) return;
      served = null;
      serveNext();
    });
    session.on("error", () => first.destroy());
  };
  const server = createServer((client) => {
    sockets.add(client);
    client.on("error", () => client.destroy());
    let isGreeted = session === null;
    if (session === null) open(client);
    client.on("data", (bytes) => {
      if (served === client) session?.write(bytes);
      else if (isGreeted) waiting.push({ client, bytes });
      else client.write(GREETING);
      isGreeted = true;
      serveNext();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const through = new URL(url);
  through.port = String(address.port);
  return {
    url: through.href,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
