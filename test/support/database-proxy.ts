/**
 * A TCP proxy before a PostgreSQL. It loses the answer to the commit of one change: the case in which nobody can know
 * whether the change was made. And it is an endpoint that leads elsewhere after a failover.
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** The statement alone: the text of a message ends with NUL. */
const COMMIT = /commit\0/;

/** `stall`: nothing is heard any more. `cut`: the connection is closed. */
export type Loss = "stall" | "cut";

export interface DatabaseProxy {
  /** The URL of the database through the proxy. */
  url: string;
  /** From now on the answer to the commit of the next change of an environment is lost. */
  loseNextCommit(loss: Loss): void;
  /** From now on new connections lead to the database at `url`; those that are open stay where they are. */
  lead(url: string): void;
  /** How many answers were lost. */
  readonly lost: number;
  close(): Promise<void>;
}

/** Starts a proxy before the database at `url`. Close it. */
export async function startDatabaseProxy(url: string): Promise<DatabaseProxy> {
  let target = new URL(url);
  const sockets = new Set<Socket>();
  let armed: Loss | null = null;
  let lost = 0;
  const server = createServer((client) => {
    const database = connect(Number(target.port), target.hostname);
    let isChange = false;
    let answers = true;
    for (const [socket, peer] of [
      [client, database],
      [database, client],
    ] as const) {
      sockets.add(socket);
      socket.on("close", () => {
        sockets.delete(socket);
        peer.destroy();
      });
      // The other side sees it as a closed connection, which is what the tests are about.
      socket.on("error", () => peer.destroy());
    }
    client.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      isChange ||= text.includes("pg_notify");
      if (armed !== null && isChange && COMMIT.test(text)) {
        answers = false;
        lost += 1;
        const loss = armed;
        armed = null;
        if (loss === "cut") database.once("data", () => client.destroy());
      }
      database.write(bytes);
    });
    database.on("data", (bytes) => {
      if (answers) client.write(bytes);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const through = new URL(url);
  through.hostname = "127.0.0.1";
  through.port = String(address.port);
  return {
    url: through.href,
    loseNextCommit: (loss) => {
      armed = loss;
    },
    lead: (to) => {
      target = new URL(to);
    },
    get lost() {
      return lost;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
