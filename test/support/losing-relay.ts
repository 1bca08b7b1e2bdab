/** A way to a server on which answers of one path can be lost after the server has done what they tell of. */
import { createServer, request } from "node:http";

export interface LosingRelay {
  url: string;
  /** From now on, answers are lost; and those that were. */
  loses: boolean;
  lost: number;
  close(): Promise<void>;
}

/** Passes everything on to the server at `to`. */
export async function startLosingRelay(to: string, path: string): Promise<LosingRelay> {
  const server = createServer((req, res) => {
    const passed = request(new URL(req.url ?? "/", to), { method: req.method, headers: req.headers }, (answer) => {
      if (!relay.loses || req.url !== path) {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(res);
        return;
      }
      answer.resume().on("end", () => {
        relay.lost += 1;
        req.socket.destroy();
      });
    });
    passed.on("error", () => req.socket.destroy());
    res.on("close", () => passed.destroy());
    req.pipe(passed);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening");
  const relay: LosingRelay = {
    url: `http://127.0.0.1:${address.port}`,
    loses: false,
    lost: 0,
    close: async () => {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
  return relay;
}
